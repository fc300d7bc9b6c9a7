/**
 * Looking into a Coterie node: accounts with proofs, estimates, traces, lists of transactions, and
 * how the node and its groups are. Besu has none of these methods but `priv_traceTransaction`.
 *
 * An entry of its own, so that a page that only sends and reads does not load it.
 *
 * @packageDocumentation
 */

import { noBlock } from "./actions.js";
import { coreReady, groupId } from "./codec.js";
import { InvalidInputError } from "./errors.js";
import {
  toAddress,
  toArray,
  toBigInt,
  toBlock,
  toCount,
  toHash,
  toHex,
  toOptions,
  toQuantity,
  toSignal,
} from "./input.js";
import {
  fail,
  fields,
  group,
  index,
  key,
  keys,
  list,
  optional,
  text,
  toAddressResult,
  toDataResult,
  toHashResult,
  toNumberResult,
  toTransaction,
  type MinedPrivateTransaction,
} from "./responses.js";
import { createSession, type PrivacyClientOptions, type Session } from "./session.js";
import type { Address, BlockTag, EnclaveKey, GroupId, Hash, Hex, Quantity } from "./types.js";

/**
 * An account of a group.
 *
 * @example
 * const request: AccountRequest = { privacyGroupId, address, blockTag: "latest" };
 */
export interface AccountRequest {
  readonly privacyGroupId: GroupId;
  readonly address: Address;
  /** `"latest"` when absent. */
  readonly blockTag?: BlockTag | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A slot of a private contract.
 *
 * @example
 * const request: StorageRequest = { privacyGroupId, address, slot: 0n };
 */
export interface StorageRequest extends AccountRequest {
  readonly slot: Quantity;
}

/**
 * An account and slots of it, with proofs.
 *
 * @example
 * const request: ProofRequest = { privacyGroupId, address, slots: [0n, 1n] };
 */
export interface ProofRequest extends AccountRequest {
  /** At most 1024; none when absent. */
  readonly slots?: readonly Quantity[] | undefined;
}

/**
 * What the group's state root says of an account (EIP-1186).
 *
 * @example
 * const { storageProof }: AccountProof = await inspector.getProof({ privacyGroupId, address });
 */
export interface AccountProof {
  readonly address: Address;
  readonly balance: bigint;
  readonly nonce: bigint;
  readonly codeHash: Hash;
  readonly storageHash: Hash;
  /** Nodes from the group's state root down. */
  readonly accountProof: readonly Hex[];
  readonly storageProof: readonly {
    readonly key: Hash;
    readonly value: bigint;
    /** Nodes from `storageHash` down. */
    readonly proof: readonly Hex[];
  }[];
}

/**
 * A transaction whose gas limit is wanted.
 *
 * @example
 * const request: EstimateRequest = { privacyGroupId, to, data, from };
 */
export interface EstimateRequest {
  readonly privacyGroupId: GroupId;
  /** Absent or null: `data` creates a contract. */
  readonly to?: Address | null | undefined;
  readonly data?: Hex | undefined;
  readonly from?: Address | undefined;
  readonly gasPrice?: Quantity | undefined;
  /** `"latest"` when absent. */
  readonly blockTag?: BlockTag | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A transaction that is traced.
 *
 * @example
 * const request: TraceRequest = { privacyGroupId, hash };
 */
export interface TraceRequest {
  readonly privacyGroupId: GroupId;
  /** The marker's. */
  readonly hash: Hash;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A frame of an execution.
 *
 * @example
 * const [outer]: TraceFrame[] = await inspector.traceTransaction({ privacyGroupId, hash });
 */
export interface TraceFrame {
  readonly type: "call" | "create" | "suicide";
  /** For a call: which instruction. */
  readonly callType: string | undefined;
  /** Who calls or creates; the contract that destroys itself. */
  readonly from: Address;
  /** Whose code runs, or who is given the balance; null for a creation. */
  readonly to: Address | null;
  readonly value: bigint;
  /** Gas that it had; undefined where a contract destroys itself. */
  readonly gas: bigint | undefined;
  /** Call data or creation code. */
  readonly input: Hex;
  /** Undefined where it failed. */
  readonly gasUsed: bigint | undefined;
  /** What it returned, or the created code. */
  readonly output: Hex;
  readonly contractAddress: Address | null;
  readonly error: string | undefined;
  readonly revertReason: Hex | undefined;
  readonly subtraces: number;
  /** Positions among siblings, from the top down. */
  readonly traceAddress: readonly number[];
}

/**
 * Which transactions of a group are wanted.
 *
 * @example
 * const request: TransactionsRequest = { privacyGroupId, fromBlock: 17n, limit: 10 };
 */
export interface TransactionsRequest {
  readonly privacyGroupId: GroupId;
  /** The first block when absent. */
  readonly fromBlock?: BlockTag | undefined;
  /** The head when absent. */
  readonly toBlock?: BlockTag | undefined;
  /** What the page before had. */
  readonly cursor?: string | undefined;
  /** 1 to 1000; 100 when absent. */
  readonly limit?: number | undefined;
  /** Also markers that were ignored: duplicates, copies, late payloads. */
  readonly ignored?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A private transaction with its marker.
 *
 * @example
 * const [first]: readonly ListedTransaction[] = (await inspector.getBlockTransactions(request)).transactions;
 */
export interface ListedTransaction {
  /** The marker's. */
  readonly transactionHash: Hash;
  readonly blockHash: Hash;
  readonly blockNumber: bigint;
  readonly transactionIndex: number;
  readonly status: "success" | "reverted" | "invalid";
  /** Why it had the effect that it had. */
  readonly reason: string;
  /** Null when the node lost its payload. */
  readonly transaction: MinedPrivateTransaction | null;
}

/**
 * Some of a group's transactions, in chain order. A page may be empty and have a cursor.
 *
 * @example
 * const { transactions, cursor }: TransactionPage = await inspector.getBlockTransactions(request);
 */
export interface TransactionPage {
  readonly transactions: readonly ListedTransaction[];
  /** Null after the last. */
  readonly cursor: string | null;
}

/**
 * A block by number and hash.
 *
 * @example
 * const head: BlockRef | null = (await inspector.nodeStatus()).head;
 */
export interface BlockRef {
  readonly number: bigint;
  readonly hash: Hash;
}

/**
 * How taking a group's history over again, which an operator asked for, goes or went.
 *
 * @example
 * const { healing } = await inspector.groupStatus({ privacyGroupId });
 * if (healing?.state === "failed") console.error(healing.reason);
 */
export interface Healing {
  /** `"under way"`, `"taken"` or `"failed"`. */
  readonly state: string;
  /** If taken: the history's last block. */
  readonly until: BlockRef | undefined;
  /** If failed: why. */
  readonly reason: string | undefined;
}

/**
 * How a group is, at the head of its node.
 *
 * @example
 * const status: GroupStatus = await inspector.groupStatus({ privacyGroupId });
 */
export interface GroupStatus {
  readonly privacyGroupId: GroupId;
  readonly members: readonly EnclaveKey[];
  readonly owner: Address | null;
  readonly locked: boolean;
  readonly version: Hash;
  readonly created: BlockRef;
  /** The last block with a marker of it. */
  readonly head: BlockRef;
  readonly stateRoot: Hash;
  /** How many transactions counted. */
  readonly counted: bigint;
  readonly digest: Hash;
  /** Whether it waits for its history, and the rest is older. */
  readonly joining: boolean;
  /** How the last `coterie_heal` of it goes or went, since the node started. */
  readonly healing: Healing | undefined;
  readonly latePayloads: bigint;
  /** The last comparison with each member of another node; null where it has not answered. */
  readonly comparisons: readonly {
    readonly member: EnclaveKey;
    readonly block: BlockRef | null;
    readonly secondsAgo: number | null;
    readonly agrees: boolean | null;
  }[];
}

/**
 * How a node is. Counts are undefined for callers that may not see all groups.
 *
 * @example
 * const { ready, lag }: NodeStatus = await inspector.nodeStatus();
 */
export interface NodeStatus {
  readonly version: string;
  readonly chainId: bigint;
  readonly definitionHash: Hash;
  readonly ready: boolean;
  readonly followed: BlockRef | null;
  readonly head: BlockRef | null;
  /** Blocks between them. */
  readonly lag: bigint | null;
  /** Why the node follows the chain no longer, when that has stopped for good: its operator must act. */
  readonly followingStopped: string | undefined;
  readonly groups: bigint | undefined;
  readonly joining: bigint | undefined;
  readonly peers: bigint | undefined;
  readonly unreadableMarkers: bigint | undefined;
  readonly latePayloads: bigint | undefined;
  readonly divergingMembers: bigint | undefined;
}

/**
 * Looks into one node.
 *
 * @example
 * const inspector: Inspector = createInspector({ url });
 */
export interface Inspector {
  /**
   * The frames of a mined private transaction, executed again by the node; none when it is not in
   * the group, or was not executed.
   *
   * @example
   * const frames = await inspector.traceTransaction({ privacyGroupId, hash });
   */
  traceTransaction(request: TraceRequest): Promise<TraceFrame[]>;
  /**
   * A `gas` with which a transaction can be sent.
   *
   * @throws {CallRevertedError} it would revert.
   *
   * @example
   * const gas = await inspector.estimateGas({ privacyGroupId, to, data });
   */
  estimateGas(request: EstimateRequest): Promise<bigint>;
  /**
   * A private balance in wei; zero for no private account.
   *
   * @throws {BlockNotFoundError} the node does not have that block.
   *
   * @example
   * const balance = await inspector.getBalance({ privacyGroupId, address });
   */
  getBalance(request: AccountRequest): Promise<bigint>;
  /**
   * The 32 bytes of a slot.
   *
   * @throws {BlockNotFoundError} the node does not have that block.
   *
   * @example
   * const value = await inspector.getStorageAt({ privacyGroupId, address, slot: 0n });
   */
  getStorageAt(request: StorageRequest): Promise<Hex>;
  /**
   * An account and slots, with proofs against the group's state root.
   *
   * @throws {BlockNotFoundError} the node does not have that block.
   *
   * @example
   * const proof = await inspector.getProof({ privacyGroupId, address, slots: [0n] });
   */
  getProof(request: ProofRequest): Promise<AccountProof>;
  /**
   * A page of the group's transactions.
   *
   * @example
   * const { transactions, cursor } = await inspector.getBlockTransactions({ privacyGroupId });
   */
  getBlockTransactions(request: TransactionsRequest): Promise<TransactionPage>;
  /**
   * How a group is.
   *
   * @throws {GroupNotFoundError} the node does not know it, or the caller may not see it.
   *
   * @example
   * const { locked } = await inspector.groupStatus({ privacyGroupId });
   */
  groupStatus(request: { readonly privacyGroupId: GroupId }): Promise<GroupStatus>;
  /**
   * How the node is.
   *
   * @example
   * const { ready } = await inspector.nodeStatus();
   */
  nodeStatus(): Promise<NodeStatus>;
}

/**
 * Makes one. Nothing is sent yet.
 *
 * @throws {InvalidInputError} an option is wrong.
 *
 * @example
 * const inspector = createInspector({ url: "http://127.0.0.1:20000" });
 */
export function createInspector(options: PrivacyClientOptions): Inspector {
  const session = createSession(options);
  return {
    traceTransaction: (request) => traceTransaction(session, request),
    estimateGas: (request) => estimateGas(session, request),
    getBalance: (request) => balance(session, request),
    getStorageAt: (request) => storageAt(session, request),
    getProof: (request) => proof(session, request),
    getBlockTransactions: (request) => blockTransactions(session, request),
    groupStatus: (request) => groupStatus(session, request),
    nodeStatus: () => nodeStatus(session),
  };
}

const OPTIONS =
  "privacyGroupId address blockTag slot slots to data from gasPrice fromBlock toBlock cursor limit" +
  " ignored hash signal";

function toRequest<T>(request: T): T & object {
  return toOptions(request, "request", OPTIONS);
}

/** What a node answers about the state after a block; null is an error. */
async function atBlock(
  session: Session,
  method: string,
  request: AccountRequest,
  between: readonly unknown[] = [],
): Promise<unknown> {
  const it = toRequest(request);
  await coreReady();
  const [account, block] = [toAddress(it.address, "address"), toBlock(it.blockTag)];
  const params = [groupId(it.privacyGroupId), account, ...between, block];
  const found = await session.rpc(method, params, { signal: toSignal(it.signal) });
  if (found === null) throw noBlock(method, it.blockTag);
  return found;
}

async function balance(session: Session, request: AccountRequest): Promise<bigint> {
  return toNumberResult(await atBlock(session, "priv_getBalance", request), "the balance");
}

const slotOf = (slot: unknown): Hex => toQuantity(toBigInt(slot, "slot"));

async function storageAt(session: Session, request: StorageRequest): Promise<Hex> {
  const slot = slotOf(toRequest(request).slot);
  return toHashResult(await atBlock(session, "priv_getStorageAt", request, [slot]), "the slot");
}

async function proof(session: Session, request: ProofRequest): Promise<AccountProof> {
  const slots = toArray(toRequest(request).slots ?? [], "slots").map(slotOf);
  const it = fields(await atBlock(session, "priv_getProof", request, [slots]), "the proof");
  const nodes = (value: unknown, what: string) =>
    list(value, what).map((node) => toDataResult(node, what));
  return {
    address: toAddressResult(it["address"], "the proof's address"),
    balance: toNumberResult(it["balance"], "the proof's balance"),
    nonce: toNumberResult(it["nonce"], "the proof's nonce"),
    codeHash: toHashResult(it["codeHash"], "the proof's codeHash"),
    storageHash: toHashResult(it["storageHash"], "the proof's storageHash"),
    accountProof: nodes(it["accountProof"], "the proof's accountProof"),
    storageProof: list(it["storageProof"], "the proof's storageProof").map((each) => {
      const slot = fields(each, "a slot's proof");
      return {
        key: toHashResult(slot["key"], "a slot's key"),
        value: toNumberResult(slot["value"], "a slot's value"),
        proof: nodes(slot["proof"], "a slot's proof"),
      };
    }),
  };
}

async function estimateGas(session: Session, request: EstimateRequest): Promise<bigint> {
  const it = toRequest(request);
  await coreReady();
  const call: Record<string, string> = { data: toHex(it.data ?? "0x", "data") };
  if (it.to !== undefined && it.to !== null) call["to"] = toAddress(it.to, "to");
  if (it.from !== undefined) call["from"] = toAddress(it.from, "from");
  if (it.gasPrice !== undefined) call["gasPrice"] = toQuantity(toBigInt(it.gasPrice, "gasPrice"));
  if (call["to"] === undefined && call["data"] === "0x") {
    throw new InvalidInputError("a transaction has `to`, or `data` that creates a contract");
  }
  const params = [groupId(it.privacyGroupId), call, toBlock(it.blockTag)];
  const gas = await session.rpc("priv_estimateGas", params, { signal: toSignal(it.signal) });
  if (gas === null) throw noBlock("priv_estimateGas", it.blockTag);
  return toNumberResult(gas, "the estimate");
}

async function traceTransaction(session: Session, request: TraceRequest): Promise<TraceFrame[]> {
  const it = toRequest(request);
  await coreReady();
  const params = [groupId(it.privacyGroupId), toHash(it.hash, "hash")];
  const frames = await session.rpc("priv_traceTransaction", params, { signal: toSignal(it.signal) });
  return list(frames, "the trace").map(toFrame);
}

/** A number as traces have them. */
function count(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) fail(what, "a number");
  return value;
}

const KINDS: ReadonlySet<string> = new Set<TraceFrame["type"]>(["call", "create", "suicide"]);

function toFrame(frame: unknown): TraceFrame {
  const it = fields(frame, "a frame");
  const type = text(it["type"], "a frame's type");
  if (!KINDS.has(type)) fail("a frame's type", "call, create or suicide");
  const action = fields(it["action"], "a frame's action");
  const result = optional(it["result"], "a frame's result", fields) ?? {};
  const [from, to, value] =
    type === "suicide" ? ["address", "refundAddress", "balance"] : ["from", "to", "value"];
  const input = optional(action["input"] ?? action["init"], "a frame's input", toDataResult);
  const output = optional(result["output"] ?? result["code"], "a frame's output", toDataResult);
  return {
    type: type as TraceFrame["type"],
    callType: optional(action["callType"], "a frame's callType", text),
    from: toAddressResult(action[from as string], "a frame's from"),
    to: optional(action[to as string], "a frame's to", toAddressResult) ?? null,
    value: toNumberResult(action[value as string], "a frame's value"),
    gas: optional(action["gas"], "a frame's gas", toNumberResult),
    input: input ?? "0x",
    gasUsed: optional(result["gasUsed"], "a frame's gasUsed", toNumberResult),
    output: output ?? "0x",
    contractAddress: optional(result["address"], "a frame's address", toAddressResult) ?? null,
    error: optional(it["error"], "a frame's error", text),
    revertReason: optional(it["revertReason"], "a frame's revertReason", toDataResult),
    subtraces: count(it["subtraces"], "a frame's subtraces"),
    traceAddress: list(it["traceAddress"], "a frame's traceAddress").map((each) =>
      count(each, "a frame's traceAddress"),
    ),
  };
}

const STATUS: Readonly<Record<string, ListedTransaction["status"]>> = {
  "0x0": "reverted",
  "0x1": "success",
  "0x2": "invalid",
};

async function blockTransactions(
  session: Session,
  request: TransactionsRequest,
): Promise<TransactionPage> {
  const it = toRequest(request);
  await coreReady();
  const query: Record<string, unknown> = {
    fromBlock: toBlock(it.fromBlock ?? "earliest", "fromBlock"),
    toBlock: toBlock(it.toBlock, "toBlock"),
  };
  if (it.cursor !== undefined) query["cursor"] = it.cursor;
  if (it.limit !== undefined) query["limit"] = toCount(it.limit, "limit", 1);
  if (it.ignored !== undefined) query["ignored"] = it.ignored === true;
  const params = [groupId(it.privacyGroupId), query];
  const signal = toSignal(it.signal);
  const page = fields(
    await session.rpc("priv_getBlockTransactions", params, { signal }),
    "the page",
  );
  return {
    transactions: list(page["transactions"], "the page's transactions").map(toListed),
    cursor: optional(page["cursor"], "the page's cursor", text) ?? null,
  };
}

function toListed(value: unknown): ListedTransaction {
  const it = fields(value, "a transaction");
  const status = STATUS[text(it["status"], "a transaction's status")];
  if (status === undefined) fail("a transaction's status", "0x0, 0x1 or 0x2");
  return {
    transactionHash: toHashResult(it["transactionHash"], "a transaction's transactionHash"),
    blockHash: toHashResult(it["blockHash"], "a transaction's blockHash"),
    blockNumber: toNumberResult(it["blockNumber"], "a transaction's blockNumber"),
    transactionIndex: index(it["transactionIndex"], "a transaction's transactionIndex"),
    status,
    reason: text(it["reason"], "a transaction's reason"),
    transaction: it["nonce"] === undefined ? null : toTransaction(it),
  };
}

function toBlockRef(value: unknown, what: string): BlockRef {
  const it = fields(value, what);
  const number = toNumberResult(it["number"], `${what}'s number`);
  return { number, hash: toHashResult(it["hash"], `${what}'s hash`) };
}

function flag(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") fail(what, "true or false");
  return value;
}

async function groupStatus(
  session: Session,
  request: { readonly privacyGroupId: GroupId },
): Promise<GroupStatus> {
  const { privacyGroupId } = toRequest(request);
  await coreReady();
  const answer = await session.rpc("coterie_groupStatus", [groupId(privacyGroupId)]);
  const it = fields(answer, "the status");
  const field = <T>(name: string, read: (value: unknown, what: string) => T): T =>
    read(it[name], `the status's ${name}`);
  return {
    privacyGroupId: field("privacyGroupId", group),
    members: field("members", keys),
    owner: optional(it["owner"], "the status's owner", toAddressResult) ?? null,
    locked: field("locked", flag),
    version: field("version", toHashResult),
    created: field("created", toBlockRef),
    head: field("head", toBlockRef),
    stateRoot: field("stateRoot", toHashResult),
    counted: field("counted", toNumberResult),
    digest: field("digest", toHashResult),
    joining: field("joining", flag),
    healing: optional(it["healing"], "the status's healing", toHealing),
    latePayloads: field("latePayloads", toNumberResult),
    comparisons: field("comparisons", list).map((each) => {
      const other = fields(each, "a comparison");
      return {
        member: key(other["member"], "a comparison's member") as EnclaveKey,
        block: optional(other["block"], "a comparison's block", toBlockRef) ?? null,
        secondsAgo: optional(other["secondsAgo"], "a comparison's secondsAgo", count) ?? null,
        agrees: optional(other["agrees"], "a comparison's agrees", flag) ?? null,
      };
    }),
  };
}

function toHealing(value: unknown, what: string): Healing {
  const it = fields(value, what);
  return {
    state: text(it["state"], `${what}'s state`),
    until: optional(it["until"], `${what}'s until`, toBlockRef),
    reason: optional(it["reason"], `${what}'s reason`, text),
  };
}

async function nodeStatus(session: Session): Promise<NodeStatus> {
  const it = fields(await session.rpc("coterie_status", []), "the status");
  const field = <T>(name: string, read: (value: unknown, what: string) => T): T =>
    read(it[name], `the status's ${name}`);
  const maybe = <T>(name: string, read: (value: unknown, what: string) => T): T | undefined =>
    optional(it[name], `the status's ${name}`, read);
  return {
    version: field("version", text),
    chainId: field("chainId", toNumberResult),
    definitionHash: field("definitionHash", toHashResult),
    ready: field("ready", flag),
    followed: maybe("followed", toBlockRef) ?? null,
    head: maybe("head", toBlockRef) ?? null,
    lag: maybe("lag", toNumberResult) ?? null,
    followingStopped: maybe("followingStopped", text),
    groups: maybe("groups", toNumberResult),
    joining: maybe("joining", toNumberResult),
    peers: maybe("peers", toNumberResult),
    unreadableMarkers: maybe("unreadableMarkers", toNumberResult),
    latePayloads: maybe("latePayloads", toNumberResult),
    divergingMembers: maybe("divergingMembers", toNumberResult),
  };
}
