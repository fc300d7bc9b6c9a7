/** The client: a node, who signs, in whose name, and everything one does with them. */

import * as actions from "./actions.js";
import { createGroups, type Groups } from "./groups.js";
import { createSession, type PrivacyClientOptions, type Session } from "./session.js";
import { watchLogs, type WatchOptions, type WatchRequest } from "./watch.js";
import type { WaitOptions } from "./receipts.js";
import type { MinedPrivateTransaction } from "./responses.js";
import type {
  Address,
  Hash,
  Hex,
  PayloadKey,
  PrivateLog,
  PrivateReceipt,
  PrivateTransactionRequest,
} from "./types.js";

/**
 * A client of one node.
 *
 * @example
 * const client: PrivacyClient = createPrivacyClient({ url, signer, enclaveKey });
 */
export interface PrivacyClient {
  /** Privacy groups and their members. */
  readonly groups: Groups;
  /**
   * Signs and sends a private transaction, with the next nonce unless one is given. The marker's
   * hash; it is not mined yet.
   *
   * @example
   * const hash = await client.sendTransaction({ privacyGroupId, to, data });
   */
  sendTransaction(request: PrivateTransactionRequest): Promise<Hash>;
  /**
   * Sends a private transaction that is signed already.
   *
   * @example
   * const hash = await client.sendRawTransaction(signPrivateTransaction(transaction, key));
   */
  sendRawTransaction(
    raw: Hex,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Hash>;
  /**
   * Waits for the private receipt of a marker, whatever its status; see {@link assertSuccess}.
   *
   * @throws {ReceiptTimeoutError} there was none in time.
   * @throws {NotAParticipantError} the transaction is not for this node.
   *
   * @example
   * const receipt = await client.waitForReceipt(hash, { signal });
   */
  waitForReceipt(hash: Hash, options?: WaitOptions): Promise<PrivateReceipt>;
  /**
   * Sends, waits, and throws unless the transaction had its effect.
   *
   * @throws {TransactionRevertedError} or one of its kind.
   *
   * @example
   * const receipt = await client.execute({ privacyGroupId, to, data });
   */
  execute(request: PrivateTransactionRequest & WaitOptions): Promise<PrivateReceipt>;
  /**
   * Creates a contract and waits for it. `data` is the creation code with the arguments.
   *
   * @example
   * const { address } = await client.deployContract({ privacyGroupId, data: bytecode });
   */
  deployContract(
    request: actions.DeployRequest,
  ): Promise<{ readonly address: Address; readonly receipt: PrivateReceipt }>;
  /**
   * The receipt as it is now; null when there is none, yet or for this node.
   *
   * @example
   * const receipt = await client.getReceipt(hash);
   */
  getReceipt(hash: Hash): Promise<PrivateReceipt | null>;
  /**
   * The private transaction of a mined marker; null when there is none, yet or for this node.
   *
   * @example
   * const transaction = await client.getTransaction(hash);
   */
  getTransaction(hash: Hash): Promise<MinedPrivateTransaction | null>;
  /**
   * The next private nonce as the node counts it: what is not mined does not count.
   *
   * @example
   * const nonce = await client.getTransactionCount({ privacyGroupId, address });
   */
  getTransactionCount(request: actions.TransactionCountRequest): Promise<bigint>;
  /**
   * Runs a call on the group's state.
   *
   * @throws {CallRevertedError} it reverted.
   * @throws {BlockNotFoundError} the node does not have that block.
   *
   * @example
   * const output = await client.call({ privacyGroupId, to, data: "0x3fa4f245" });
   */
  call(request: actions.CallRequest): Promise<Hex>;
  /**
   * The code of a private contract; `0x` for none.
   *
   * @throws {BlockNotFoundError} the node does not have that block.
   *
   * @example
   * const code = await client.getCode({ privacyGroupId, address });
   */
  getCode(request: actions.CodeRequest): Promise<Hex>;
  /**
   * The group's logs that match, in chain order.
   *
   * @example
   * const logs = await client.getLogs({ privacyGroupId, address, fromBlock: 17n });
   */
  getLogs(request: actions.LogsRequest): Promise<PrivateLog[]>;
  /**
   * The root of the group's state, which is the same on all members.
   *
   * @example
   * const root = await client.getStateRoot({ privacyGroupId });
   */
  getStateRoot(request: actions.StateRootRequest): Promise<Hash>;
  /**
   * The group's logs as they come: none missed, none twice, also when the node restarts.
   *
   * @example
   * for await (const log of client.watchLogs({ privacyGroupId, address }, { signal })) show(log);
   */
  watchLogs(
    request: WatchRequest,
    options?: WatchOptions,
  ): AsyncGenerator<PrivateLog, void, undefined>;
  /**
   * Distributes a private transaction to its recipients and leaves the marker to the caller, who
   * sends what it returns in a transaction to 0x7d, for example by {@link sendMarker}. Its nonce is
   * kept for 30 seconds, and longer when this client sends the marker: until then, what is sent
   * after it in the same group has no effect unless the marker comes first.
   *
   * @example
   * const hash = await client.sendMarker(await client.distributeTransaction({ privacyGroupId, to, data }));
   */
  distributeTransaction(request: actions.DistributeRequest): Promise<PayloadKey>;
  /**
   * The same for a transaction that is signed already. Without `markerSigner` anybody may mark it.
   *
   * @example
   * const payloadKey = await client.distributeRawTransaction(raw, { markerSigner: signer.address });
   */
  distributeRawTransaction(
    raw: Hex,
    options?: {
      readonly markerSigner?: Address | null | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<PayloadKey>;
  /**
   * Signs and sends the public marker of a distributed payload. Its hash; it is not mined yet.
   *
   * @example
   * const receipt = await client.waitForReceipt(await client.sendMarker(payloadKey));
   */
  sendMarker(key: PayloadKey, options?: actions.MarkerOptions): Promise<Hash>;
}

/**
 * Makes a client. Nothing is sent yet.
 *
 * @throws {InvalidInputError} an option is wrong.
 * @throws {UnsupportedAccountError} the signer can never sign private transactions.
 *
 * @example
 * const client = createPrivacyClient({
 *   url: "http://127.0.0.1:20000",
 *   enclaveKey: enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo="),
 *   signer: privateKeySigner(process.env.KEY),
 * });
 */
export function createPrivacyClient(options: PrivacyClientOptions): PrivacyClient {
  return clientOf(createSession(options));
}

/** @internal */
export function clientOf(session: Session): PrivacyClient {
  return {
    groups: createGroups(session),
    sendTransaction: async (request) => (await actions.send(session, request)).hash,
    sendRawTransaction: (raw, options) => actions.sendRawTransaction(session, raw, options),
    waitForReceipt: (hash, options) => actions.waitForReceipt(session, hash, options),
    execute: (request) => actions.execute(session, request),
    deployContract: (request) => actions.deploy(session, request),
    getReceipt: (hash) => actions.receipt(session, hash),
    getTransaction: (hash) => actions.transaction(session, hash),
    getTransactionCount: (request) => actions.transactionCount(session, request),
    call: (request) => actions.call(session, request),
    getCode: (request) => actions.code(session, request),
    getLogs: (request) => actions.logs(session, request),
    getStateRoot: (request) => actions.stateRoot(session, request),
    watchLogs: (request, watch) => watchLogs(session, request, watch),
    distributeTransaction: (request) => actions.distribute(session, request),
    distributeRawTransaction: (raw, options) => actions.distributeRaw(session, raw, options),
    sendMarker: (key, options) => actions.sendMarker(session, key, options),
  };
}
