/**
 * What one does to a node: send, wait, read. Each takes a {@link Session} first, so that those which
 * are not used are not in a bundle.
 */

import {
  DEFAULT_GAS,
  MARKER_ADDRESS,
  coreReady,
  groupId,
  legacyGroupId,
  parsePrivateTransaction,
  privateContractAddress,
  toAudience,
} from "./codec.js";
import {
  BlockNotFoundError,
  InvalidInputError,
  NodeSyncingError,
  lost,
  throwIfAborted,
  type PrivacyError,
} from "./errors.js";
import {
  toAddress,
  toArray,
  toBigInt,
  toBlock,
  toHash,
  toHex,
  toOptions,
  toSignal,
  toUint64,
} from "./input.js";
import {
  toAddressResult,
  toDataResult,
  toHashResult,
  toLogs,
  toNumberResult,
  toPayloadKeyResult,
  toReceipt,
  toTransaction,
  type MinedPrivateTransaction,
} from "./responses.js";
import { assertSuccess, isFollowed, waitForReceipt as wait, type WaitOptions } from "./receipts.js";
import type { Session } from "./session.js";
import { signMarkerWith, signWith, toSigner, type Signer } from "./signer.js";
import { orAborted } from "./wait.js";
import type {
  Address,
  Audience,
  BlockTag,
  EnclaveKey,
  GroupId,
  Hash,
  Hex,
  LogFilter,
  PayloadKey,
  PrivateLog,
  PrivateReceipt,
  PrivateTransaction,
  PrivateTransactionRequest,
  Quantity,
} from "./types.js";

/** What was sent, with what a caller may need of it. */
export interface Sent {
  /** The marker's hash. */
  readonly hash: Hash;
  readonly nonce: bigint;
  readonly from: Address;
  readonly privacyGroupId: GroupId;
  /** The signed private transaction. */
  readonly raw: Hex;
  /** Where the contract will be, for a creation. */
  readonly contractAddress: Address | null;
}

/** Signs with the next nonce and gives the raw transaction to `submit`, in the account's turn. */
async function inTurn<T>(
  session: Session,
  request: PrivateTransactionRequest,
  submit: (raw: Hex, signal: AbortSignal | undefined) => Promise<T>,
  failed?: (result: T) => Promise<boolean>,
): Promise<{ result: T; raw: Hex; nonce: bigint; group: GroupId; from: Address }> {
  const it = toOptions(request, "request");
  const signal = toSignal(it.signal);
  throwIfAborted(signal);
  await coreReady();
  const { signer } = session;
  const privateFrom = session.enclaveKey(it.privateFrom);
  const audience = toAudience(it);
  const group = groupOf(audience, privateFrom);
  const explicit = it.nonce === undefined ? undefined : toUint64(it.nonce, "nonce");
  // No ether moves in a group; the types do not have it, but not everybody has types.
  toBigInt((it as { value?: unknown }).value ?? 0n, "value", 0n);
  const fields = {
    to: it.to === undefined || it.to === null ? null : toAddress(it.to, "to"),
    data: toHex(it.data ?? "0x", "data"),
    gas: toUint64(it.gas ?? DEFAULT_GAS, "gas"),
    gasPrice: toBigInt(it.gasPrice ?? 0n, "gasPrice"),
  };
  if (fields.to === null && fields.data === "0x") {
    throw new InvalidInputError("a transaction has `to`, or `data` that creates a contract");
  }
  const chainId = await session.chainId(signal);
  const from = toAddress(signer.address, "signer.address");
  let used: { nonce: bigint; raw: Hex } = { nonce: 0n, raw: "0x" };
  const result = await session.nonces.use(
    { address: from, group, chainId },
    {
      explicit,
      signal,
      read: () => countOf(session, from, group, signal),
      send: async (nonce) => {
        const transaction = { ...audience, ...fields, nonce, chainId, privateFrom } as PrivateTransaction;
        const raw = await orAborted(signWith(signer, transaction), signal);
        used = { nonce, raw };
        return submit(raw, signal).catch(lost(nonce));
      },
      ...(failed && { failed }),
    },
  );
  return { result, ...used, group, from };
}

/** The group in which the transaction's nonce counts. */
function groupOf(audience: Audience, privateFrom: EnclaveKey): GroupId {
  return audience.privacyGroupId ?? legacyGroupId([...(audience.privateFor ?? []), privateFrom]);
}

async function countOf(
  session: Session,
  address: Address,
  group: GroupId,
  signal?: AbortSignal,
): Promise<bigint> {
  const count = await session.rpc("priv_getTransactionCount", [address, group], { signal });
  return toNumberResult(count, "the transaction count");
}

/** Sends a private transaction; tells what it sent. */
export async function send(session: Session, request: PrivateTransactionRequest): Promise<Sent> {
  const { result: hash, raw, nonce, group, from } = await inTurn(
    session,
    request,
    (bytes, signal) => submitRaw(session, bytes, signal),
    (marker) => hasFailed(session, marker),
  );
  session.remember(hash, group);
  const creates = request.to === undefined || request.to === null;
  const contractAddress = creates ? privateContractAddress(from, nonce, group) : null;
  return { hash, raw, nonce, from, privacyGroupId: group, contractAddress };
}

/** Whether a receipt says that it had no effect, so that its nonce is unused. */
async function hasFailed(session: Session, marker: Hash): Promise<boolean> {
  const found = await ask(session, marker);
  return found !== null && found.status !== "success";
}

async function ask(session: Session, marker: Hash): Promise<PrivateReceipt | null> {
  return toReceipt(await session.rpc("priv_getTransactionReceipt", [marker]), marker);
}

async function submitRaw(
  session: Session,
  raw: Hex,
  signal: AbortSignal | undefined,
  method = "eea_sendRawTransaction",
): Promise<Hash> {
  const hash = await session.rpc(method, [raw], { signal, once: true });
  return toHashResult(hash, "the marker's hash");
}

/** Sends a signed private transaction. */
export async function sendRawTransaction(
  session: Session,
  raw: Hex,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Hash> {
  const bytes = toHex(raw, "raw");
  const signal = toSignal(toOptions(options, "options").signal);
  await coreReady();
  const { privacyGroupId } = parsePrivateTransaction(bytes);
  const hash = await submitRaw(session, bytes, signal);
  if (privacyGroupId !== undefined) session.remember(hash, privacyGroupId);
  return hash;
}

/** Waits for a private receipt, whatever its status. */
export async function waitForReceipt(
  session: Session,
  hash: Hash,
  options: WaitOptions = {},
): Promise<PrivateReceipt> {
  const marker = toHash(hash, "hash");
  const it = toOptions(options, "options");
  await coreReady();
  const group = it.privacyGroupId ?? session.groupOf(marker);
  const known = { ...it, privacyGroupId: group && groupId(group) };
  const receipt = await wait(session, marker, known, session.polling);
  await noteReceipt(session, receipt);
  return receipt;
}

/** A private transaction that failed left its nonce unused: the queue is told. */
async function noteReceipt(session: Session, receipt: PrivateReceipt): Promise<void> {
  const { status, from: address, privacyGroupId: group, transactionHash } = receipt;
  if (status === "success" || address === undefined || group === undefined) return;
  // Who has not asked for it has sent nothing.
  if (!session.knowsChainId) return;
  session.nonces.failed?.({ address, group, chainId: await session.chainId() }, transactionHash);
}

/** Sends, waits, and throws unless the transaction had its effect. */
export async function execute(
  session: Session,
  request: PrivateTransactionRequest & WaitOptions,
): Promise<PrivateReceipt> {
  const { hash, privacyGroupId } = await send(session, request);
  const { signal, onProgress, interval, timeout, retries } = request;
  const options = { signal, onProgress, interval, timeout, retries, privacyGroupId };
  return assertSuccess(await waitForReceipt(session, hash, options));
}

/** The receipt as it is now; null when there is none (yet, or for this node). */
export async function receipt(session: Session, hash: Hash): Promise<PrivateReceipt | null> {
  const marker = toHash(hash, "hash");
  const found = await ask(session, marker);
  if (found) await noteReceipt(session, found);
  return found;
}

/** The transaction of a mined marker; null when there is none (yet, or for this node). */
export async function transaction(
  session: Session,
  hash: Hash,
): Promise<MinedPrivateTransaction | null> {
  const marker = toHash(hash, "hash");
  return toTransaction(await session.rpc("priv_getPrivateTransaction", [marker]));
}

/**
 * Whose next nonce.
 *
 * @example
 * const count = await client.getTransactionCount({ privacyGroupId, address });
 */
export interface TransactionCountRequest {
  readonly privacyGroupId: GroupId;
  /** The signer's when absent. */
  readonly address?: Address | undefined;
}

/** The next nonce as the node counts it: what is not mined does not count. */
export async function transactionCount(
  session: Session,
  request: TransactionCountRequest,
): Promise<bigint> {
  const { address, privacyGroupId } = toOptions(request, "request");
  await coreReady();
  const whose = toAddress(address ?? session.signer.address, "address");
  return countOf(session, whose, groupId(privacyGroupId));
}

/**
 * A private call.
 *
 * @example
 * const request: CallRequest = { privacyGroupId, to, data: "0x3fa4f245", blockTag: "latest" };
 */
export interface CallRequest {
  readonly privacyGroupId: GroupId;
  readonly to: Address;
  readonly data?: Hex | undefined;
  /** Whom the contract sees calling; the zero address when absent. */
  readonly from?: Address | undefined;
  /** `"latest"` when absent. */
  readonly blockTag?: BlockTag | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a call on private state. A block that the node does not have is an error. */
export async function call(session: Session, request: CallRequest): Promise<Hex> {
  const it = toOptions(request, "request");
  await coreReady();
  const call: Record<string, string> = {
    to: toAddress(it.to, "to"),
    data: toHex(it.data ?? "0x", "data"),
  };
  if (it.from !== undefined) call["from"] = toAddress(it.from, "from");
  const params = [groupId(it.privacyGroupId), call, toBlock(it.blockTag)];
  const output = await session.rpc("priv_call", params, { signal: toSignal(it.signal) });
  if (output !== null) return toDataResult(output, "the call's output");
  throw noBlock("priv_call", it.blockTag);
}

/** Why there is no state at a block. @internal */
export function noBlock(method: string, blockTag: BlockTag = "latest"): PrivacyError {
  if (blockTag === "latest" || blockTag === "pending") {
    return new NodeSyncingError("the node has not followed any block yet", {
      code: "SYNCING",
      method,
      hint: "Try again later.",
    });
  }
  return new BlockNotFoundError("the node does not have this block", { code: "BLOCK_UNKNOWN", method });
}

/**
 * Code of a private contract.
 *
 * @example
 * const code = await client.getCode({ privacyGroupId, address, blockTag: 17n });
 */
export interface CodeRequest {
  readonly privacyGroupId: GroupId;
  readonly address: Address;
  readonly blockTag?: BlockTag | undefined;
}

/** The code at an address; `0x` for none. */
export async function code(session: Session, request: CodeRequest): Promise<Hex> {
  const it = toOptions(request, "request");
  await coreReady();
  const [group, block] = [groupId(it.privacyGroupId), toBlock(it.blockTag)];
  const params = [group, toAddress(it.address, "address"), block];
  const found = await session.rpc("priv_getCode", params);
  if (found !== null) return toDataResult(found, "the code");
  // No contract, or no such block: a call tells.
  const followed = await isFollowed((method, query) => session.rpc(method, query), block, group);
  if (followed === false) throw noBlock("priv_getCode", it.blockTag);
  return "0x";
}

/**
 * Logs of a group.
 *
 * @example
 * const request: LogsRequest = { privacyGroupId, address, topics: [topic], fromBlock: 17n };
 */
export interface LogsRequest extends LogFilter {
  readonly privacyGroupId: GroupId;
  readonly signal?: AbortSignal | undefined;
}

/** A filter as nodes take it. */
export function toFilter(filter: LogFilter): Record<string, unknown> {
  const it = toOptions(filter, "filter");
  const made: Record<string, unknown> = {};
  if (it.blockHash !== undefined) {
    if (it.fromBlock !== undefined || it.toBlock !== undefined) {
      throw new InvalidInputError("blockHash excludes fromBlock and toBlock");
    }
    made["blockHash"] = toHash(it.blockHash, "blockHash");
  } else {
    made["fromBlock"] = toBlock(it.fromBlock ?? "earliest", "fromBlock");
    made["toBlock"] = toBlock(it.toBlock, "toBlock");
  }
  if (it.address !== undefined) {
    const { address } = it;
    made["address"] = Array.isArray(address)
      ? address.map((each) => toAddress(each, "address"))
      : toAddress(address, "address");
  }
  if (it.topics !== undefined) {
    made["topics"] = toArray(it.topics, "topics").map((topic) => {
      if (topic === null) return null;
      return Array.isArray(topic)
        ? topic.map((each) => toHash(each, "a topic"))
        : toHash(topic, "a topic");
    });
  }
  return made;
}

/** The group's logs that match, in chain order. */
export async function logs(session: Session, request: LogsRequest): Promise<PrivateLog[]> {
  const it = toOptions(request, "request");
  await coreReady();
  const params = [groupId(it.privacyGroupId), toFilter(it)];
  return toLogs(await session.rpc("priv_getLogs", params, { signal: toSignal(it.signal) }));
}

/**
 * A group's state root.
 *
 * @example
 * const root = await client.getStateRoot({ privacyGroupId, blockTag: "latest" });
 */
export interface StateRootRequest {
  readonly privacyGroupId: GroupId;
  readonly blockTag?: BlockTag | undefined;
}

/** The root of a group's private state: equal on all members. */
export async function stateRoot(session: Session, request: StateRootRequest): Promise<Hash> {
  const it = toOptions(request, "request");
  await coreReady();
  const params = [groupId(it.privacyGroupId), toBlock(it.blockTag)];
  return toHashResult(await session.rpc("priv_debugGetStateRoot", params), "the state root");
}

/**
 * A private transaction whose marker the caller sends.
 *
 * @example
 * const request: DistributeRequest = { privacyGroupId, to, data, markerSigner: signer.address };
 */
export type DistributeRequest = PrivateTransactionRequest & {
  /**
   * The account that will send the marker; the signer when absent. `null`: anybody may, and so a
   * stranger can choose the moment.
   */
  readonly markerSigner?: Address | null | undefined;
};

/** How long a distributed transaction keeps its nonce when this client sends no marker for it. */
const RESERVED_MS = 30_000;

/** Distributes a private transaction to its recipients without a marker. */
export async function distribute(session: Session, request: DistributeRequest): Promise<PayloadKey> {
  const { markerSigner = session.signer.address } = toOptions(request, "request");
  let at = 0;
  const { result } = await inTurn(
    session,
    request,
    async (raw, signal) => {
      const key = await submitDistribution(session, raw, markerSigner, signal);
      at = Date.now();
      return key;
    },
    // Without a marker it comes to nothing.
    async (key) => {
      const marker = session.markerOf(key);
      return marker ? hasFailed(session, marker) : Date.now() - at >= RESERVED_MS;
    },
  );
  return result;
}

/** Distributes a signed private transaction without a marker. */
export async function distributeRaw(
  session: Session,
  raw: Hex,
  options: {
    readonly markerSigner?: Address | null | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<PayloadKey> {
  const bytes = toHex(raw, "raw");
  const { markerSigner = null, signal } = toOptions(options, "options");
  await coreReady();
  parsePrivateTransaction(bytes);
  return submitDistribution(session, bytes, markerSigner, toSignal(signal));
}

async function submitDistribution(
  session: Session,
  raw: Hex,
  markerSigner: Address | null,
  signal: AbortSignal | undefined,
): Promise<PayloadKey> {
  const named = markerSigner === null ? [] : [toAddress(markerSigner, "markerSigner")];
  const params = [raw, ...named];
  const key = await session.rpc("priv_distributeRawTransaction", params, { signal, once: true });
  return toPayloadKeyResult(key);
}

/**
 * How a marker is sent.
 *
 * @example
 * const hash = await client.sendMarker(payloadKey, { gasPrice: 0n });
 */
export interface MarkerOptions {
  /** Who sends it; the client's signer when absent. */
  readonly signer?: Signer | undefined;
  readonly nonce?: Quantity | undefined;
  readonly gas?: Quantity | undefined;
  /** In wei; what the chain's node suggests when absent. */
  readonly gasPrice?: Quantity | undefined;
  /** The group, told in errors while waiting for the receipt. */
  readonly privacyGroupId?: GroupId | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends the public marker of a distributed payload. The marker's hash. */
export async function sendMarker(
  session: Session,
  key: PayloadKey,
  options: MarkerOptions = {},
): Promise<Hash> {
  const data = toHex(key, "payload key");
  const it = toOptions(options, "options");
  await coreReady();
  const signal = toSignal(it.signal);
  const signer = it.signer === undefined ? session.signer : toSigner(it.signer);
  const address = toAddress(signer.address, "signer.address");
  // EIP-7623's floor: 40 gas for a byte that is not zero.
  const gas = toUint64(it.gas ?? BigInt(21_000 + 40 * (data.length / 2 - 1)), "gas");
  const suggested = async () =>
    toNumberResult(await session.rpc("eth_gasPrice", [], { signal }), "the gas price");
  const gasPrice = it.gasPrice === undefined ? await suggested() : toBigInt(it.gasPrice, "gasPrice");
  const chainId = await session.chainId(signal);
  const explicit = it.nonce === undefined ? undefined : toUint64(it.nonce, "nonce");
  const hash = await session.nonces.use(
    { address, group: "public", chainId },
    {
      explicit,
      signal,
      read: async () => {
        const params = [address, "pending"];
        const count = await session.rpc("eth_getTransactionCount", params, { signal });
        return toNumberResult(count, "the transaction count");
      },
      send: async (nonce) => {
        const marker = { nonce, gas, gasPrice, chainId, data, to: MARKER_ADDRESS };
        const raw = await orAborted(signMarkerWith(signer, marker), signal);
        return submitRaw(session, raw, signal, "eth_sendRawTransaction").catch(lost(nonce));
      },
    },
  );
  session.mark(data, hash);
  if (it.privacyGroupId !== undefined) session.remember(hash, groupId(it.privacyGroupId));
  return hash;
}

/**
 * A contract's creation.
 *
 * @example
 * const request: DeployRequest = { privacyGroupId, data: bytecode, timeout: 60_000 };
 */
export type DeployRequest = Omit<PrivateTransactionRequest, "to"> & WaitOptions & Audience;

/** Creates a private contract and waits for it. */
export async function deploy(
  session: Session,
  request: DeployRequest,
): Promise<{ readonly address: Address; readonly receipt: PrivateReceipt }> {
  const it = toOptions(request, "request");
  if (it.data === undefined) throw new InvalidInputError("data with the creation code is expected");
  const made = await execute(session, { ...it, to: null } as PrivateTransactionRequest & WaitOptions);
  return { address: toAddressResult(made.contractAddress, "the contract's address"), receipt: made };
}

