/**
 * Private contracts with viem: an extension of any client, the same as single actions, contracts
 * with types from their ABI.
 *
 * @packageDocumentation
 */

import {
  decodeErrorResult,
  decodeEventLog,
  decodeFunctionResult,
  encodeDeployData,
  encodeEventTopics,
  encodeFunctionData,
  type Abi,
  type Account,
  type Chain,
  type Client,
  type ContractConstructorArgs,
  type ContractEventArgs,
  type ContractEventArgsFromTopics,
  type ContractEventName,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  type Transport,
} from "viem";
import * as actions from "./actions.js";
import { clientOf, type PrivacyClient } from "./client.js";
import { serializePrivateTransaction, type MarkerTransaction } from "./codec.js";
import {
  InvalidInputError,
  UnsupportedAccountError,
  withCustomError,
  type CustomError,
} from "./errors.js";
import { isOption, toBigInt, toCount, toObject, toOptions, toUint64 } from "./input.js";
import { assertSuccess, type WaitOptions } from "./receipts.js";
import { requestRpc, type Eip1193Provider, type HttpOptions } from "./rpc.js";
import { Session, type SessionOptions } from "./session.js";
import { endable } from "./wait.js";
import { watchLogs, type WatchOptions } from "./watch.js";
import type { TransactionSigner } from "./signer.js";
import type {
  Address,
  BlockTag,
  EnclaveKey,
  GroupId,
  Hash,
  Hex,
  PrivateLog,
  PrivateReceipt,
  PrivateTransaction,
  Quantity,
} from "./types.js";

export {
  enclaveKey,
  groupId,
  legacyGroupId,
  privateContractAddress,
  randomGroupId,
  serializePrivateTransaction,
} from "./codec.js";
export { PrivacyError, UnsupportedAccountError } from "./errors.js";
export { assertSuccess } from "./receipts.js";

/**
 * The private methods of a node, for viem's typed `request`.
 *
 * @example
 * const client = createClient({ transport: http(url), rpcSchema: rpcSchema<PrivRpcSchema>() });
 * const count = await client.request({ method: "priv_getTransactionCount", params: [address, group] });
 */
export type PrivRpcSchema = [
  { Method: "eea_sendRawTransaction"; Parameters: [raw: Hex]; ReturnType: Hash },
  {
    Method: "priv_call";
    Parameters: [group: string, call: { to: Address; data?: Hex; from?: Address }, block: string];
    ReturnType: Hex | null;
  },
  {
    Method: "priv_distributeRawTransaction";
    Parameters: [raw: Hex] | [raw: Hex, markerSigner: Address];
    ReturnType: Hex;
  },
  {
    Method: "priv_getCode";
    Parameters: [group: string, address: Address, block: string];
    ReturnType: Hex | null;
  },
  { Method: "priv_debugGetStateRoot"; Parameters: [group: string, block: string]; ReturnType: Hash },
  {
    Method: "priv_getEeaTransactionCount";
    Parameters: [address: Address, privateFrom: string, privateFor: readonly string[]];
    ReturnType: Hex;
  },
  { Method: "priv_getLogs"; Parameters: [group: string, filter: object]; ReturnType: RpcPrivateLog[] },
  { Method: "priv_getPrivacyPrecompileAddress"; Parameters?: undefined; ReturnType: Address },
  { Method: "priv_getPrivateTransaction"; Parameters: [hash: Hash]; ReturnType: object | null },
  {
    Method: "priv_getTransactionCount";
    Parameters: [address: Address, group: string];
    ReturnType: Hex;
  },
  {
    Method: "priv_getTransactionReceipt";
    Parameters: [hash: Hash];
    ReturnType: RpcPrivateReceipt | null;
  },
  {
    Method: "privx_findFlexiblePrivacyGroup";
    Parameters: [members: readonly string[]];
    ReturnType: RpcPrivacyGroup[];
  },
];

/**
 * A log as a node answers it.
 *
 * @example
 * const logs: RpcPrivateLog[] = await client.request({ method: "priv_getLogs", params: [group, {}] });
 */
export interface RpcPrivateLog {
  address: Address;
  topics: Hex[];
  data: Hex;
  blockHash: Hash;
  blockNumber: Hex;
  transactionHash: Hash;
  transactionIndex: Hex;
  logIndex: Hex;
  removed: boolean;
}

/**
 * A receipt as a node answers it.
 *
 * @example
 * const receipt = await client.request({ method: "priv_getTransactionReceipt", params: [hash] });
 */
export interface RpcPrivateReceipt {
  status: Hex;
  commitmentHash: Hash;
  blockHash: Hash;
  blockNumber: Hex;
  transactionIndex: Hex;
  from?: Address;
  to?: Address;
  contractAddress?: Address;
  privateFrom?: string;
  privacyGroupId?: string;
  privateFor?: string[];
  output: Hex;
  revertReason?: Hex;
  logs: RpcPrivateLog[];
  logsBloom: Hex;
  reason?: string;
  decidedBy?: Hash;
  outcome?: string;
}

/**
 * A group as a node answers it.
 *
 * @example
 * const groups = await client.request({ method: "privx_findFlexiblePrivacyGroup", params: [[alice]] });
 */
export interface RpcPrivacyGroup {
  privacyGroupId: string;
  members: string[];
  type: string;
  name: string;
  description: string;
}

type AnyClient = Client<Transport, Chain | undefined, Account | undefined>;

/**
 * Options of {@link privacyActions}: the signer is the client's account.
 *
 * @example
 * const options: PrivacyActionsOptions = { enclaveKey, polling: { interval: 500 } };
 */
export type PrivacyActionsOptions = Omit<SessionOptions, "signer"> & {
  /** Instead of the client's. */
  readonly account?: Account | undefined;
  /** For one request with viem's repetitions, in ms; 60,000 when absent. A send is not repeated. */
  readonly requestTimeout?: HttpOptions["requestTimeout"];
};

/**
 * What {@link privacyActions} adds to a client.
 *
 * @example
 * const { priv }: PrivacyActions = client.extend(privacyActions({ enclaveKey }));
 */
export type PrivacyActions = {
  /** Private transactions, groups and contracts. */
  readonly priv: PrivacyClient & {
    /** {@link getPrivateContract} of this client. */
    getContract<const abi extends Abi | readonly unknown[]>(
      parameters: Omit<PrivateContractParameters<abi>, "client">,
    ): PrivateContract<abi>;
    /** {@link deployPrivateContract} by this client. */
    deploy<const abi extends Abi | readonly unknown[]>(
      parameters: DeployPrivateContractParameters<abi>,
    ): Promise<DeployedPrivateContract<abi>>;
  };
};

/**
 * An extension of viem's clients: `client.priv`. Sends over viem's `fallback` transport are refused,
 * because it would give a transaction to several nodes.
 *
 * @example
 * const client = createWalletClient({ account, transport: http(url) }).extend(
 *   privacyActions({ enclaveKey: enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=") }),
 * );
 * const { privacyGroupId } = await client.priv.groups.create({ participants: [alice, bob] });
 */
export function privacyActions(
  options: PrivacyActionsOptions = {},
): (client: AnyClient) => PrivacyActions {
  toObject(options, "options");
  return (client) => {
    const session = createViemSession(client, options);
    // viem copies it to the extended client, and to what is extended from that.
    const carried = { [SESSION]: session };
    return {
      ...carried,
      priv: {
        ...clientOf(session),
        getContract: (parameters) => contractOf(session, parameters),
        deploy: (parameters) => deployOf(session, parameters),
      },
    };
  };
}

/** Where an extended client has its session. */
const SESSION = Symbol.for("@coterie/sdk/session/1");

/** Sessions of clients that are not extended and call the single actions. */
const sessions = new WeakMap<object, Session>();

function sessionOf(client: AnyClient): Session {
  let session = (client as { [SESSION]?: Session })[SESSION] ?? sessions.get(client);
  if (!session) {
    session = createViemSession(client, {});
    sessions.set(client, session);
  }
  return session;
}

function createViemSession(client: AnyClient, options: PrivacyActionsOptions): Session {
  const { account = client.account, requestTimeout, ...rest } = options;
  const chainId = options.chainId ?? client.chain?.id;
  const noSigner = unsupported(account);
  const timeoutMs = requestTimeout && toCount(requestTimeout, "requestTimeout", 1);
  const signer = account && !noSigner ? signerOf(account) : undefined;
  return new Session(requestRpc(client as Eip1193Provider, timeoutMs), { ...rest, chainId, signer }, noSigner);
}

/** Why this account can never sign private transactions. */
function unsupported(account: Account | undefined): UnsupportedAccountError | undefined {
  if (!account) return undefined;
  if (account.type === "local" && typeof account.signTransaction === "function") return undefined;
  const kind = account.type === "json-rpc" ? "its key is in a wallet or a node" : "it is no local account";
  return new UnsupportedAccountError(
    `the account ${account.address} cannot sign private transactions: ${kind}, which signs only the formats it knows`,
  );
}

/** Any local account: private key, HD, or a custom one over hardware. */
function signerOf(account: Account): TransactionSigner {
  const sign = account.signTransaction as unknown as (
    transaction: unknown,
    options?: { serializer: unknown },
  ) => Promise<Hex>;
  return {
    address: account.address,
    signPrivateTransaction: (transaction: PrivateTransaction) =>
      sign(transaction, { serializer: serializePrivateTransaction }),
    signMarkerTransaction: ({ nonce, gasPrice, gas, to, data, chainId }: MarkerTransaction) =>
      sign({
        type: "legacy", to, data,
        nonce: Number(toUint64(nonce, "nonce")),
        gasPrice: toBigInt(gasPrice, "gasPrice"),
        gas: toUint64(gas, "gas"),
        chainId: chainId === undefined ? undefined : Number(toUint64(chainId, "chainId")),
      }),
  };
}

/** In whose name, for the single actions. */
interface FromKey {
  /** The node's key in whose name is sent. */
  readonly privateFrom: EnclaveKey;
}

/**
 * Sends a private transaction; the marker's hash.
 *
 * @example
 * const hash = await sendPrivateTransaction(client, { privateFrom, privacyGroupId, to, data });
 */
export async function sendPrivateTransaction(
  client: AnyClient,
  parameters: Parameters<PrivacyClient["sendTransaction"]>[0],
): Promise<Hash> {
  return (await actions.send(sessionOf(client), parameters)).hash;
}

/**
 * Waits for a private receipt, whatever its status.
 *
 * @example
 * const receipt = await waitForPrivateReceipt(client, { hash });
 */
export function waitForPrivateReceipt(
  client: AnyClient,
  { hash, ...options }: WaitOptions & { readonly hash: Hash },
): Promise<PrivateReceipt> {
  return actions.waitForReceipt(sessionOf(client), hash, options);
}

/**
 * Runs a call on a group's state.
 *
 * @example
 * const output = await callPrivate(client, { privacyGroupId, to, data });
 */
export function callPrivate(client: AnyClient, parameters: actions.CallRequest): Promise<Hex> {
  return actions.call(sessionOf(client), parameters);
}

/**
 * A group's logs.
 *
 * @example
 * const logs = await getPrivateLogs(client, { privacyGroupId, address });
 */
export function getPrivateLogs(
  client: AnyClient,
  parameters: actions.LogsRequest,
): Promise<PrivateLog[]> {
  return actions.logs(sessionOf(client), parameters);
}

/**
 * A function of a private contract, to be read.
 *
 * @example
 * const parameters: ReadPrivateContractParameters<typeof abi, "value"> = { abi, address, privacyGroupId, functionName: "value" };
 */
export type ReadPrivateContractParameters<
  abi extends Abi | readonly unknown[] = Abi,
  name extends ContractFunctionName<abi, "pure" | "view"> = ContractFunctionName<abi, "pure" | "view">,
> = ReadOptions & {
  readonly abi: abi;
  readonly address: Address;
  readonly privacyGroupId: GroupId;
  readonly functionName: name;
} & WithArgs<ContractFunctionArgs<abi, "pure" | "view", name>>;

type WithArgs<args> = readonly [] extends args ? { readonly args?: args } : { readonly args: args };

/**
 * How to read.
 *
 * @example
 * await contract.read.value([], { blockTag: 17n });
 */
export interface ReadOptions {
  /** Whom the contract sees calling. */
  readonly from?: Address | undefined;
  readonly blockTag?: BlockTag | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * How to write.
 *
 * @example
 * await contract.write.store([42n], { gas: 1_000_000n });
 */
export interface WriteOptions {
  readonly gas?: Quantity | undefined;
  readonly gasPrice?: Quantity | undefined;
  readonly nonce?: Quantity | undefined;
  readonly privateFrom?: EnclaveKey | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a private contract.
 *
 * @throws {CallRevertedError} with the contract's own error by the ABI.
 *
 * @example
 * const value = await readPrivateContract(client, { abi, address, privacyGroupId, functionName: "value" });
 */
export function readPrivateContract<
  const abi extends Abi | readonly unknown[],
  name extends ContractFunctionName<abi, "pure" | "view">,
>(
  client: AnyClient,
  parameters: ReadPrivateContractParameters<abi, name>,
): Promise<ContractFunctionReturnType<abi, "pure" | "view", name>> {
  const { functionName, args } = parameters as unknown as AnyCall;
  const options = withoutArtifact(parameters as ReadOptions);
  return readOf(sessionOf(client), parameters as AnyContract, functionName, args, options) as never;
}

/**
 * A function of a private contract, to be written.
 *
 * @example
 * const parameters: WritePrivateContractParameters<typeof abi, "store"> = { abi, address, privacyGroupId, privateFrom, functionName: "store", args: [42n] };
 */
export type WritePrivateContractParameters<
  abi extends Abi | readonly unknown[] = Abi,
  name extends ContractFunctionName<abi, "nonpayable" | "payable"> = ContractFunctionName<
    abi,
    "nonpayable" | "payable"
  >,
> = WriteOptions &
  FromKey & {
    readonly abi: abi;
    readonly address: Address;
    readonly privacyGroupId: GroupId;
    readonly functionName: name;
  } & WithArgs<ContractFunctionArgs<abi, "nonpayable" | "payable", name>>;

/**
 * Calls a function of a private contract by a transaction; the marker's hash.
 *
 * @example
 * const hash = await writePrivateContract(client, {
 *   abi, address, privacyGroupId, privateFrom, functionName: "store", args: [42n],
 * });
 */
export function writePrivateContract<
  const abi extends Abi | readonly unknown[],
  name extends ContractFunctionName<abi, "nonpayable" | "payable">,
>(client: AnyClient, parameters: WritePrivateContractParameters<abi, name>): Promise<Hash> {
  const { functionName, args } = parameters as unknown as AnyCall;
  const options = withoutArtifact(parameters as WriteOptions);
  return writeOf(sessionOf(client), parameters as AnyContract, functionName, args, options);
}

/**
 * What to deploy.
 *
 * @example
 * const parameters: DeployPrivateContractParameters<typeof abi> = { abi, bytecode, privacyGroupId };
 */
export type DeployPrivateContractParameters<abi extends Abi | readonly unknown[] = Abi> =
  WriteOptions &
    WaitOptions & {
      readonly abi: abi;
      readonly bytecode: Hex;
      readonly privacyGroupId: GroupId;
    } & WithArgs<ContractConstructorArgs<abi>>;

/**
 * What was deployed.
 *
 * @example
 * const { address, contract }: DeployedPrivateContract<typeof abi> = await client.priv.deploy({ abi, bytecode, privacyGroupId });
 */
export interface DeployedPrivateContract<abi extends Abi | readonly unknown[] = Abi> {
  readonly address: Address;
  readonly receipt: PrivateReceipt;
  readonly contract: PrivateContract<abi>;
}

/**
 * Creates a private contract and waits for it.
 *
 * @example
 * const { contract } = await deployPrivateContract(client, { abi, bytecode, args: [1n], privacyGroupId, privateFrom });
 */
export function deployPrivateContract<const abi extends Abi | readonly unknown[]>(
  client: AnyClient,
  parameters: DeployPrivateContractParameters<abi>,
): Promise<DeployedPrivateContract<abi>> {
  return deployOf(sessionOf(client), parameters);
}

/**
 * A contract in a group.
 *
 * @example
 * const parameters: PrivateContractParameters<typeof abi> = { abi, address, privacyGroupId, client };
 */
export interface PrivateContractParameters<abi extends Abi | readonly unknown[] = Abi> {
  readonly address: Address;
  readonly abi: abi;
  readonly privacyGroupId: GroupId;
  readonly client: AnyClient;
  /** The node's key in whose name is sent, where the client has none. */
  readonly privateFrom?: EnclaveKey | undefined;
}

type Parameters0<args, options> = readonly [] extends args
  ? [args?: args, options?: options]
  : [args: args, options?: options];

/**
 * A log with its event, by the ABI.
 *
 * @example
 * const [log]: PrivateEventLog<typeof abi, "stored">[] = await contract.getEvents.stored();
 */
export type PrivateEventLog<
  abi extends Abi | readonly unknown[] = Abi,
  name extends ContractEventName<abi> = ContractEventName<abi>,
> = PrivateLog & {
  readonly eventName: name;
  readonly args: ContractEventArgsFromTopics<abi, name>;
};

/**
 * A private contract: `read`, `write` and `events` by the names in its ABI.
 *
 * @example
 * const value = await contract.read.value();
 * const hash = await contract.write.store([42n]);
 */
export interface PrivateContract<abi extends Abi | readonly unknown[] = Abi> {
  readonly address: Address;
  readonly abi: abi;
  readonly privacyGroupId: GroupId;
  /** Runs a call. */
  readonly read: {
    readonly [name in ContractFunctionName<abi, "pure" | "view">]: (
      ...parameters: Parameters0<ContractFunctionArgs<abi, "pure" | "view", name>, ReadOptions>
    ) => Promise<ContractFunctionReturnType<abi, "pure" | "view", name>>;
  };
  /** Sends a transaction; the marker's hash. */
  readonly write: {
    readonly [name in ContractFunctionName<abi, "nonpayable" | "payable">]: (
      ...parameters: Parameters0<
        ContractFunctionArgs<abi, "nonpayable" | "payable", name>,
        WriteOptions
      >
    ) => Promise<Hash>;
  };
  /** Sends a transaction, waits, and throws unless it had its effect. */
  readonly execute: {
    readonly [name in ContractFunctionName<abi, "nonpayable" | "payable">]: (
      ...parameters: Parameters0<
        ContractFunctionArgs<abi, "nonpayable" | "payable", name>,
        WriteOptions & WaitOptions
      >
    ) => Promise<PrivateReceipt>;
  };
  /** Past events, filtered by their indexed arguments. */
  readonly getEvents: {
    readonly [name in ContractEventName<abi>]: (
      args?: ContractEventArgs<abi, name>,
      options?: {
        readonly fromBlock?: BlockTag | undefined;
        readonly toBlock?: BlockTag | undefined;
        readonly signal?: AbortSignal | undefined;
      },
    ) => Promise<PrivateEventLog<abi, name>[]>;
  };
  /** Events as they come. */
  readonly watchEvents: {
    readonly [name in ContractEventName<abi>]: (
      args?: ContractEventArgs<abi, name>,
      options?: WatchOptions & { readonly fromBlock?: BlockTag | undefined },
    ) => AsyncGenerator<PrivateEventLog<abi, name>, void, undefined>;
  };
}

/**
 * A private contract with the types of its ABI.
 *
 * @example
 * const token = getPrivateContract({ address, abi: erc20Abi, privacyGroupId, client });
 * const balance = await token.read.balanceOf([owner]);
 */
export function getPrivateContract<const abi extends Abi | readonly unknown[]>(
  parameters: PrivateContractParameters<abi>,
): PrivateContract<abi> {
  return contractOf(sessionOf(toObject(parameters, "parameters").client), parameters);
}

interface AnyContract {
  readonly address: Address;
  readonly abi: Abi;
  readonly privacyGroupId: GroupId;
  readonly privateFrom?: EnclaveKey | undefined;
}

interface AnyCall {
  readonly functionName: string;
  readonly args?: readonly unknown[] | undefined;
}

function contractOf<abi extends Abi | readonly unknown[]>(
  session: Session,
  parameters: Omit<PrivateContractParameters<abi>, "client">,
): PrivateContract<abi> {
  const { address, abi, privacyGroupId, privateFrom } = toObject(parameters, "parameters");
  const it = { address, abi, privacyGroupId, privateFrom } as unknown as AnyContract;
  type Args = readonly unknown[] | undefined;
  const contract = {
    address,
    abi,
    privacyGroupId,
    read: named(abi, "function", (name) => (args: Args, options: ReadOptions = {}) =>
      readOf(session, it, name, args, options),
    ),
    write: named(abi, "function", (name) => (args: Args, options: WriteOptions = {}) =>
      writeOf(session, it, name, args, options),
    ),
    execute: named(abi, "function", (name) => (args: Args, options: WriteOptions & WaitOptions = {}) =>
      executeOf(session, it, name, args, options),
    ),
    getEvents: named(abi, "event", (name) => (args: unknown, options: object = {}) =>
      eventsOf(session, it, name, args, options),
    ),
    watchEvents: named(abi, "event", (name) => (args: unknown, options: object = {}) =>
      watchEventsOf(session, it, name, args, options),
    ),
  };
  return contract as unknown as PrivateContract<abi>;
}

/** A member for each name in the ABI. */
function named<T>(
  abi: Abi | readonly unknown[],
  type: "function" | "event",
  make: (name: string) => T,
): Record<string, T> {
  const members = Object.create(null) as Record<string, T>;
  for (const item of abi as Abi) {
    if (item.type === type) members[item.name] ??= make(item.name);
  }
  return members;
}

async function readOf(
  session: Session,
  { abi, address, privacyGroupId }: AnyContract,
  functionName: string,
  args: readonly unknown[] | undefined,
  options: ReadOptions,
): Promise<unknown> {
  const { from, blockTag, signal } = toOptions(options, "options");
  const data = encodeFunctionData({ abi, functionName, args });
  const request = { privacyGroupId, to: address, data, from, blockTag, signal };
  const output = await decoded(abi, () => actions.call(session, request));
  if (output === "0x" && returns(abi, functionName)) {
    throw new InvalidInputError(
      `${functionName} returned nothing: there is no contract with this function at ${address} in the group`,
      { code: "NO_CONTRACT", hint: "Are the address and the group right, and is the node a member?" },
    );
  }
  return decodeFunctionResult({ abi, functionName, args, data: output } as never);
}

function returns(abi: Abi, name: string): boolean {
  return abi.some((item) => item.type === "function" && item.name === name && item.outputs.length > 0);
}

async function writeOf(
  session: Session,
  contract: AnyContract,
  functionName: string,
  args: readonly unknown[] | undefined,
  options: WriteOptions,
): Promise<Hash> {
  return (await sendOf(session, contract, functionName, args, options)).hash;
}

function sendOf(
  session: Session,
  { abi, address, privacyGroupId, privateFrom }: AnyContract,
  functionName: string,
  args: readonly unknown[] | undefined,
  options: WriteOptions,
): Promise<actions.Sent> {
  const { gas, gasPrice, nonce, signal } = toOptions(options, "options");
  const data = encodeFunctionData({ abi, functionName, args });
  return actions.send(session, {
    privacyGroupId, to: address, data, gas, gasPrice, nonce, signal,
    privateFrom: options.privateFrom ?? privateFrom,
  });
}

async function executeOf(
  session: Session,
  contract: AnyContract,
  functionName: string,
  args: readonly unknown[] | undefined,
  options: WriteOptions & WaitOptions,
): Promise<PrivateReceipt> {
  const { hash } = await sendOf(session, contract, functionName, args, options);
  return decoded(contract.abi, async () =>
    assertSuccess(await actions.waitForReceipt(session, hash, waitOptions(options))),
  );
}

function waitOptions(options: WaitOptions): WaitOptions {
  const { signal, onProgress, interval, timeout, retries } = options;
  return { signal, onProgress, interval, timeout, retries };
}

async function deployOf<abi extends Abi | readonly unknown[]>(
  session: Session,
  parameters: DeployPrivateContractParameters<abi>,
): Promise<DeployedPrivateContract<abi>> {
  const { abi, bytecode, args } = toObject(parameters, "parameters") as unknown as AnyContract & {
    bytecode: Hex;
    args?: readonly unknown[];
  };
  const options = withoutArtifact(parameters);
  const data = encodeDeployData({ abi, bytecode, args } as never);
  const { address, receipt } = await decoded(abi, () =>
    actions.deploy(session, { ...options, data }),
  );
  const { privacyGroupId, privateFrom } = parameters;
  const contract = contractOf(session, { address, abi: parameters.abi, privacyGroupId, privateFrom });
  return { address, receipt, contract };
}

/**
 * The options among members of an artifact, which is often spread beside them and may have any. What
 * is misspelt is not told from those; the name that other libraries have for `gas` is refused.
 */
function withoutArtifact<T extends object>(parameters: T): T {
  const options = Object.entries(parameters).filter(([name]) => isOption(name) || name === "gasLimit");
  return Object.fromEntries(options) as T;
}

function topicsOf(abi: Abi, eventName: string, args: unknown): readonly (Hex | Hex[] | null)[] {
  return encodeEventTopics({ abi, eventName, args } as never);
}

async function eventsOf(
  session: Session,
  { abi, address, privacyGroupId }: AnyContract,
  eventName: string,
  args: unknown,
  options: object,
): Promise<unknown[]> {
  const topics = topicsOf(abi, eventName, args);
  const found = await actions.logs(session, { ...options, privacyGroupId, address, topics });
  return found.map((log) => withEvent(abi, eventName, log));
}

function watchEventsOf(
  session: Session,
  { abi, address, privacyGroupId }: AnyContract,
  eventName: string,
  args: unknown,
  options: WatchOptions & { readonly fromBlock?: BlockTag | undefined },
): AsyncGenerator<unknown, void, undefined> {
  const { fromBlock, ...how } = options;
  const request = { privacyGroupId, address, topics: topicsOf(abi, eventName, args), fromBlock };
  return endable(how.signal, async function* (signal) {
    const logs = watchLogs(session, request, { ...how, signal });
    for await (const log of logs) yield withEvent(abi, eventName, log);
  });
}

function withEvent(abi: Abi, eventName: string, log: PrivateLog): object {
  const { topics, data } = log;
  const event = decodeEventLog({ abi, eventName, topics: topics as [Hex, ...Hex[]], data } as never);
  return { ...log, ...(event as object) };
}

/** Decodes the contract's own errors by its ABI. */
async function decoded<T>(abi: Abi, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw withCustomError(error, (data) => customError(abi, data));
  }
}

function customError(abi: Abi, data: Hex): CustomError {
  const { errorName, args } = decodeErrorResult({ abi, data }) as {
    errorName: string;
    args?: readonly unknown[];
  };
  return { name: errorName, args: args ?? [] };
}
