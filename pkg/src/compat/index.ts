// web3js-quorum's names over this SDK: `new Web3Quorum(...)` with its options and results. What
// differs, and why, is in MIGRATION.md.
//
// The only export is the default one, so that `require` gives the constructor itself; the types are
// in a namespace of the same name. Bytes are strings, receipts and transactions are what the node
// sent.

import type { PrivacyError } from "../errors.js";
import { connect } from "./connect.js";
import type { Emitter } from "./emitter.js";
import { NotSupportedError as NotSupported } from "./errors.js";

/**
 * web3js-quorum's constructor. Given a web3 1.x instance it adds to it and returns it; given a URL
 * or a provider it returns a client with the same names.
 *
 * @example
 * ```ts
 * import Web3 from "web3";
 * import Web3Quorum from "@coterie/sdk/compat";
 *
 * const web3 = new Web3Quorum(new Web3("http://127.0.0.1:8546"));
 * const receipt = await web3.eth.flexiblePrivacyGroup.create({ enclaveKey, privateKey, participants });
 * ```
 */
interface Web3Quorum {
  new <W extends Web3Quorum.Web3Instance>(
    web3: W,
    options?: Web3Quorum.Options,
    isQuorum?: boolean,
  ): W & Web3Quorum.Extension;
  new (
    urlOrProvider: string | Web3Quorum.Provider,
    options?: Web3Quorum.Options,
    isQuorum?: boolean,
  ): Web3Quorum.Client;
  <W extends Web3Quorum.Web3Instance>(
    web3: W,
    options?: Web3Quorum.Options,
    isQuorum?: boolean,
  ): W & Web3Quorum.Extension;
  (urlOrProvider: string | Web3Quorum.Provider, options?: Web3Quorum.Options, isQuorum?: boolean): Web3Quorum.Client;
  /** What GoQuorum's names throw. */
  readonly NotSupportedError: typeof NotSupported;
}

// A function, not a class: it may be called without `new`, and returns what it was given.
const Web3Quorum = Object.assign(
  function Web3Quorum(
    source: string | Web3Quorum.Provider | Web3Quorum.Web3Instance,
    options?: Web3Quorum.Options,
    isQuorum?: boolean,
  ) {
    return connect(source, options, isQuorum);
  },
  { NotSupportedError: NotSupported },
) as unknown as Web3Quorum;

/**
 * The shapes of web3js-quorum, as its users write and read them.
 *
 * @example
 * ```ts
 * const options: Web3Quorum.TransactionOptions = { privateKey, privateFrom, privacyGroupId, to, data };
 * ```
 */
namespace Web3Quorum {
  /**
   * Called when a pass-through method is done, in Node's style.
   *
   * @example
   * ```ts
   * web3.priv.getTransactionCount(address, privacyGroupId, (error, count) => show(error ?? count));
   * ```
   */
  export type Callback<T> = (error: Error | null | undefined, result?: T) => void;

  /**
   * A whole number: `number` up to 2^53, `bigint`, decimal or hex string, or a BN of web3 1.x.
   *
   * @example
   * ```ts
   * const gasLimit: Quantity = "0x2dc6c0";
   * ```
   */
  export type Quantity = number | bigint | string | { toString(base?: number): string; toArrayLike: unknown };

  /**
   * A block for `priv.call`: number, hex, or tag.
   *
   * @example
   * ```ts
   * const block: BlockParameter = 17;
   * ```
   */
  export type BlockParameter = Quantity | "latest" | "earliest" | "pending" | "finalized" | "safe" | "genesis";

  /**
   * A provider of web3 1.x, or any EIP-1193 provider.
   *
   * @example
   * ```ts
   * const provider: Provider = window.ethereum;
   * ```
   */
  export interface Provider {
    request?(request: { method: string; params?: any }): Promise<any>;
    sendAsync?(payload: any, callback: (error: any, result?: any) => void): any;
    send?(payload: any, callback: any): any;
    on?(event: any, listener: any): any;
    removeListener?(event: any, listener: any): any;
  }

  /**
   * What is needed of a web3 1.x instance.
   *
   * @example
   * ```ts
   * const web3: Web3Instance = new Web3("http://127.0.0.1:8546");
   * ```
   */
  export interface Web3Instance {
    currentProvider: any;
    eth: object;
    utils: object;
  }

  /**
   * The second argument of `Web3Quorum`. The transaction-manager settings of GoQuorum are accepted and
   * not used.
   *
   * @example
   * ```ts
   * const web3 = new Web3Quorum("http://127.0.0.1:8546", { groupAbi: "bytes32" });
   * ```
   */
  export interface Options {
    /**
     * How the management contract's members are encoded: `"bytes"` for this node and Besu from 22.10
     * on (the default), `"bytes32"` for older Besu and groups that web3js-quorum made.
     */
    groupAbi?: "bytes" | "bytes32";
    /** HTTP headers, when a URL is given; for example a bearer token. */
    headers?: Record<string, string>;
    /** Not used. */
    ipcPath?: string;
    /** Not used. */
    privateUrl?: string;
    /** Not used. */
    tlsSettings?: object;
  }

  /**
   * What `priv.call` calls.
   *
   * @example
   * ```ts
   * const call: CallObject = { to, data: "0x3fa4f245" };
   * ```
   */
  export interface CallObject {
    to: string;
    data?: string;
    from?: string;
    gas?: Quantity;
    gasPrice?: Quantity;
    value?: Quantity;
  }

  /**
   * Which logs. Numbers are sent as they are.
   *
   * @example
   * ```ts
   * const filter: LogFilter = { address, fromBlock: 17, topics: [null, [topicA, topicB]] };
   * ```
   */
  export interface LogFilter {
    address?: string | string[];
    topics?: (string | string[] | null)[];
    fromBlock?: number | string | undefined;
    toBlock?: number | string | undefined;
    blockHash?: string;
  }

  /**
   * A log as web3 1.x formats it.
   *
   * @example
   * ```ts
   * const [log]: FormattedLog[] = await web3.priv.getLogs(privacyGroupId, { address });
   * ```
   */
  export interface FormattedLog {
    /** `log_` and eight hex digits, the same for the same log. */
    id: string | null;
    /** In the spelling of EIP-55. */
    address: string;
    topics: string[];
    data: string;
    blockHash: string;
    blockNumber: number;
    /** The marker's. */
    transactionHash: string;
    transactionIndex: number;
    logIndex: number;
    removed?: boolean;
  }

  /**
   * A log in a receipt: as the node sends it.
   *
   * @example
   * ```ts
   * const blocks = receipt.logs.map((log: ReceiptLog) => Number(log.blockNumber));
   * ```
   */
  export interface ReceiptLog {
    address: string;
    topics: string[];
    data: string;
    blockHash: string;
    blockNumber: string;
    transactionHash: string;
    transactionIndex: string;
    logIndex: string;
    removed: boolean;
  }

  /**
   * A private receipt as the node sends it: quantities are hex.
   *
   * @example
   * ```ts
   * const receipt: PrivateTransactionReceipt | null = await web3.priv.waitForTransactionReceipt(hash);
   * ```
   */
  export interface PrivateTransactionReceipt {
    /** `0x1` success, `0x0` failed or without effect, `0x2` invalid. */
    status: string;
    /** The marker's hash. */
    commitmentHash: string;
    blockHash: string;
    blockNumber: string;
    transactionIndex: string;
    from: string;
    /** Absent for a creation. */
    to?: string;
    /** For a creation only. */
    contractAddress?: string;
    privateFrom: string;
    privacyGroupId?: string;
    privateFor?: string[];
    output: string;
    revertReason?: string;
    logs: ReceiptLog[];
    logsBloom: string;
    /** What became of it, in a word; this node only. */
    reason?: string;
  }

  /**
   * A private transaction as the node sends it.
   *
   * @example
   * ```ts
   * const transaction: PrivateTransactionObject | null = await web3.priv.getPrivateTransaction(hash);
   * ```
   */
  export interface PrivateTransactionObject {
    from: string;
    to: string | null;
    gas: string;
    gasPrice: string;
    input: string;
    nonce: string;
    value: string;
    v: string;
    r: string;
    s: string;
    privateFrom: string;
    privacyGroupId?: string;
    privateFor?: string[];
    restriction: string;
  }

  /**
   * A privacy group as the node lists it.
   *
   * @example
   * ```ts
   * const groups: PrivacyGroupObject[] = await web3.eth.flexiblePrivacyGroup.find([enclaveKey]);
   * ```
   */
  export interface PrivacyGroupObject {
    privacyGroupId: string;
    type: string;
    name: string;
    description: string;
    members: string[];
  }

  /**
   * The options of `generateAndSendRawTransaction` and `generateAndDistributeRawTransaction`. One of
   * `privacyGroupId` and `privateFor`.
   *
   * @example
   * ```ts
   * const options: TransactionOptions = { privateKey, privateFrom: enclaveKey, privacyGroupId, to, data };
   * ```
   */
  export interface TransactionOptions {
    /** The account's key: 64 hex digits, with or without 0x. */
    privateKey: string | Uint8Array;
    /** The sender's enclave key in base64. */
    privateFrom: string;
    /** 32 bytes in base64. */
    privacyGroupId?: string;
    /** Enclave keys in base64. */
    privateFor?: string[];
    /** The contract; absent to create one. */
    to?: string | null;
    /** Hex with 0x. */
    data?: string | Uint8Array;
    /** Asked of the node when absent; 0 counts. */
    nonce?: Quantity;
    /** 3,000,000 when absent. */
    gasLimit?: Quantity;
    /** 0 when absent. */
    gasPrice?: Quantity;
    /** Only `"restricted"`, which is the default. */
    restriction?: string;
  }

  /**
   * What all writing calls of a group take.
   *
   * @example
   * ```ts
   * const signer: GroupSigner = { enclaveKey, privateKey };
   * ```
   */
  export interface GroupSigner {
    /** The sender's enclave key in base64. */
    enclaveKey: string;
    /** The account's key: 64 hex digits, with or without 0x. */
    privateKey: string | Uint8Array;
    /** Not used: `enclaveKey` is. */
    privateFrom?: string;
  }

  /**
   * The options of `flexiblePrivacyGroup.create`.
   *
   * @example
   * ```ts
   * const receipt = await groups.create({ enclaveKey, privateKey, participants: [enclaveKey, other] });
   * ```
   */
  export interface CreateOptions extends GroupSigner {
    /** Enclave keys, the sender's among them. */
    participants: string[];
    /** 32 random bytes when absent. */
    privacyGroupId?: string;
  }

  /**
   * The options of `flexiblePrivacyGroup.addTo`.
   *
   * @example
   * ```ts
   * await groups.addTo({ enclaveKey, privateKey, privacyGroupId, participants: [newcomer] });
   * ```
   */
  export interface AddOptions extends GroupSigner {
    /** Enclave keys of the newcomers. */
    participants: string[];
    /** 32 bytes in base64. */
    privacyGroupId: string;
  }

  /**
   * The options of `flexiblePrivacyGroup.removeFrom`.
   *
   * @example
   * ```ts
   * await groups.removeFrom({ enclaveKey, privateKey, privacyGroupId, participant: leaver });
   * ```
   */
  export interface RemoveOptions extends GroupSigner {
    /** One enclave key. */
    participant: string;
    /** 32 bytes in base64. */
    privacyGroupId: string;
  }

  /**
   * The options of `flexiblePrivacyGroup.setLockState`.
   *
   * @example
   * ```ts
   * await groups.setLockState({ enclaveKey, privateKey, privacyGroupId, lock: true });
   * ```
   */
  export interface LockOptions extends GroupSigner {
    /** 32 bytes in base64. */
    privacyGroupId: string;
    /** Lock, or else unlock. */
    lock?: boolean;
  }

  /**
   * Off-chain groups, which a node for flexible groups refuses.
   *
   * @example
   * ```ts
   * const options: OffChainGroupOptions = { addresses: [enclaveKey], name: "pair" };
   * ```
   */
  export interface OffChainGroupOptions {
    addresses: string[];
    name?: string;
    description?: string;
  }

  /**
   * A running subscription. Events: `data` with a {@link FormattedLog}, `error` with an `Error`, and
   * `connected` on WebSockets.
   *
   * @example
   * ```ts
   * const subscription = await web3.priv.subscribeWithPooling(privacyGroupId, { address });
   * subscription.on("data", (log) => show(log.data));
   * await subscription.unsubscribe();
   * ```
   */
  export interface PrivateSubscription extends Emitter {
    /** The group it is for. */
    readonly privacyGroupId: string;
    /** The filter it was made with. */
    readonly filter: LogFilter;
    /** The node's id of the filter or subscription. */
    readonly filterId: string | null;
    /**
     * Ends it: no event comes after this, and nothing is asked any more. Resolves with the filter's id,
     * on WebSockets with the node's answer; rejects when the node refuses.
     */
    unsubscribe(callback?: Callback<unknown>): Promise<unknown>;
    on(event: "data", listener: (log: FormattedLog) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    on(event: "connected", listener: () => void): this;
    on(event: string, listener: (...values: never[]) => void): this;
  }

  /**
   * `web3.priv`: what the node answers about private transactions. Methods that are one request to the
   * node take a callback as a further last argument.
   *
   * @example
   * ```ts
   * const value = await web3.priv.call(privacyGroupId, { to, data }, "latest");
   * ```
   */
  export interface Priv {
    /** Milliseconds between the polls of a subscription; read when one is made. */
    subscriptionPollingInterval: number;
    /** Calls a private contract without a transaction (`priv_call`). */
    call(privacyGroupId: string, call: CallObject, block?: BlockParameter, callback?: Callback<string>): Promise<string>;
    /** The root of the group's state (`priv_debugGetStateRoot`). The block is sent as it is. */
    debugGetStateRoot(privacyGroupId: string, block: number | string, callback?: Callback<string>): Promise<string>;
    /** Stores a signed private transaction with its members without a marker (`priv_distributeRawTransaction`). */
    distributeRawTransaction(raw: string, callback?: Callback<string>): Promise<string>;
    /** Sends a signed private transaction (`eea_sendRawTransaction`); the marker's hash. */
    sendRawTransaction(raw: string, callback?: Callback<string>): Promise<string>;
    /** The nonce in a legacy group, as hex (`priv_getEeaTransactionCount`). */
    getEeaTransactionCount(address: string, sender: string, recipients: string[], callback?: Callback<string>): Promise<string>;
    /** The next nonce of an account in a group (`priv_getTransactionCount`). */
    getTransactionCount(address: string, privacyGroupId: string, callback?: Callback<number>): Promise<number>;
    /** The private receipt as the node has it now (`priv_getTransactionReceipt`). */
    getTransactionReceipt(hash: string, callback?: Callback<PrivateTransactionReceipt | null>): Promise<PrivateTransactionReceipt | null>;
    /** The private transaction; null for who is no member (`priv_getPrivateTransaction`). */
    getPrivateTransaction(hash: string, callback?: Callback<PrivateTransactionObject | null>): Promise<PrivateTransactionObject | null>;
    /** Where markers go (`priv_getPrivacyPrecompileAddress`). */
    getPrivacyPrecompileAddress(callback?: Callback<string>): Promise<string>;
    /** A private contract's code (`priv_getCode`). The block is sent as it is. */
    getCode(privacyGroupId: string, address: string, block: number | string, callback?: Callback<string | null>): Promise<string | null>;
    /** Off-chain groups only (`priv_createPrivacyGroup`). */
    createPrivacyGroup(options: OffChainGroupOptions, callback?: Callback<string>): Promise<string>;
    /** Off-chain groups only (`priv_deletePrivacyGroup`). */
    deletePrivacyGroup(privacyGroupId: string, callback?: Callback<string>): Promise<string>;
    /** Off-chain groups only (`priv_findPrivacyGroup`). */
    findPrivacyGroup(members: string[], callback?: Callback<PrivacyGroupObject[]>): Promise<PrivacyGroupObject[]>;
    /** Logs of private contracts (`priv_getLogs`). */
    getLogs(privacyGroupId: string, filter: LogFilter, callback?: Callback<FormattedLog[]>): Promise<FormattedLog[]>;
    /** Makes a filter (`priv_newFilter`). */
    newFilter(privacyGroupId: string, filter: LogFilter, callback?: Callback<string>): Promise<string>;
    /** The logs since the last time (`priv_getFilterChanges`). */
    getFilterChanges(privacyGroupId: string, filterId: string, callback?: Callback<FormattedLog[]>): Promise<FormattedLog[]>;
    /** All logs of a filter (`priv_getFilterLogs`). */
    getFilterLogs(privacyGroupId: string, filterId: string, callback?: Callback<FormattedLog[]>): Promise<FormattedLog[]>;
    /** Ends a filter (`priv_uninstallFilter`). */
    uninstallFilter(privacyGroupId: string, filterId: string, callback?: Callback<boolean>): Promise<boolean>;
    /** Subscribes on a WebSocket (`priv_subscribe`). */
    subscribe(privacyGroupId: string, type: "logs", filter: LogFilter, callback?: Callback<string>): Promise<string>;
    /** Ends a subscription on a WebSocket (`priv_unsubscribe`). */
    unsubscribe(privacyGroupId: string, subscriptionId: string, callback?: Callback<boolean>): Promise<boolean>;
    /** Signs a private transaction and sends it; the marker's hash, before it is mined. */
    generateAndSendRawTransaction(options: TransactionOptions): Promise<string>;
    /** Signs a private transaction and stores it with its members; the key for a marker of one's own. */
    generateAndDistributeRawTransaction(options: TransactionOptions): Promise<string>;
    /**
     * Waits until the marker is mined, asking up to `retries` times (300) every `delay` milliseconds
     * (1000), and gives the private receipt: null when this node is no party to it.
     */
    waitForTransactionReceipt(hash: string, retries?: number, delay?: number): Promise<PrivateTransactionReceipt | null>;
    /** Follows the logs of a group; see {@link PrivateSubscription}. The name is web3js-quorum's. */
    subscribeWithPooling(privacyGroupId: string, filter: LogFilter, callback?: Callback<string>): Promise<PrivateSubscription>;
    /** The same as `subscribeWithPooling`. */
    subscribeWithPolling(privacyGroupId: string, filter: LogFilter, callback?: Callback<string>): Promise<PrivateSubscription>;
  }

  /**
   * `web3.eth.flexiblePrivacyGroup`: groups whose members are kept on the chain. What writes waits for
   * the private receipt and gives it as it is; look at its `status`.
   *
   * @example
   * ```ts
   * const { privacyGroupId } = await web3.eth.flexiblePrivacyGroup.create({ enclaveKey, privateKey, participants });
   * ```
   */
  export interface FlexiblePrivacyGroup {
    /** The node's groups that contain all these keys. */
    find(keys: string[], callback?: Callback<PrivacyGroupObject[]>): Promise<PrivacyGroupObject[]>;
    /** A group's members, in either encoding. */
    getParticipants(options: { privacyGroupId: string }): Promise<string[]>;
    /** Makes a group; its id is in the receipt, and `privacyGroupId` of the error when this fails. */
    create(options: CreateOptions): Promise<PrivateTransactionReceipt>;
    /** Locks the group and adds; unlocks it again when adding failed. */
    addTo(options: AddOptions): Promise<PrivateTransactionReceipt>;
    /** Takes one member out. */
    removeFrom(options: RemoveOptions): Promise<PrivateTransactionReceipt>;
    /** Locks or unlocks. */
    setLockState(options: LockOptions): Promise<PrivateTransactionReceipt>;
  }

  /**
   * What is added to `web3.utils`.
   *
   * @example
   * ```ts
   * const id = web3.utils.generatePrivacyGroup({ privateFrom: mine, privateFor: [other] });
   * ```
   */
  export interface Utils {
    /** The id of the legacy group that these keys form. */
    generatePrivacyGroup(options: { privateFrom: string | string[]; privateFor?: string[] }): string;
    /** GoQuorum's; throws a `NotSupportedError`. */
    setPrivate(rawTransaction: string): never;
  }

  /**
   * web3-eea's name for sending.
   *
   * @example
   * ```ts
   * const hash = await web3.eea.sendRawTransaction({ privateKey, privateFrom, privacyGroupId, data });
   * ```
   */
  export interface Eea {
    /** The same as `priv.generateAndSendRawTransaction`. */
    sendRawTransaction(options: TransactionOptions): Promise<string>;
  }

  /**
   * web3-eea's names for flexible groups.
   *
   * @example
   * ```ts
   * await web3.privx.addToPrivacyGroup({ enclaveKey, privateKey, privacyGroupId, participants });
   * ```
   */
  export interface Privx {
    /** The same as `eth.flexiblePrivacyGroup.create`. */
    createPrivacyGroup: FlexiblePrivacyGroup["create"];
    /** The same as `eth.flexiblePrivacyGroup.addTo`. */
    addToPrivacyGroup: FlexiblePrivacyGroup["addTo"];
    /** The same as `eth.flexiblePrivacyGroup.removeFrom`. */
    removeFromPrivacyGroup: FlexiblePrivacyGroup["removeFrom"];
    /** The same as `eth.flexiblePrivacyGroup.setLockState`. */
    setPrivacyGroupLockState: FlexiblePrivacyGroup["setLockState"];
    /** The same as `eth.flexiblePrivacyGroup.find`. */
    findOnChainPrivacyGroup(options: { addresses: string[] }): Promise<PrivacyGroupObject[]>;
  }

  /**
   * A namespace of GoQuorum: its methods are there and reject with a `NotSupportedError`.
   *
   * @example
   * ```ts
   * await web3.raft.cluster().catch((error) => show(error.code)); // NOT_SUPPORTED
   * ```
   */
  export type Unsupported = Record<string, (...args: unknown[]) => Promise<never>>;

  /**
   * What is added to web3.
   *
   * @example
   * ```ts
   * function pay(web3: Extension) {
   *   return web3.priv.generateAndSendRawTransaction({ privateKey, privateFrom, privacyGroupId, to, data });
   * }
   * ```
   */
  export interface Extension {
    /** Always false: GoQuorum is not supported. */
    isQuorum: boolean;
    utils: Utils;
    priv: Priv;
    eth: { flexiblePrivacyGroup: FlexiblePrivacyGroup };
    eea: Eea;
    privx: Privx;
    ptm: Unsupported;
    raft: Unsupported;
    istanbul: Unsupported;
    permission: Unsupported;
  }

  /**
   * What `Web3Quorum` gives for a URL or a provider: the same names without a web3 around them.
   *
   * @example
   * ```ts
   * const client: Client = new Web3Quorum("http://127.0.0.1:8546");
   * ```
   */
  export interface Client extends Extension {
    /** The provider or URL it was made with. */
    currentProvider: string | Provider;
  }

  /**
   * What GoQuorum's names throw.
   *
   * @example
   * ```ts
   * const isGoQuorum = (error: unknown) => error instanceof Web3Quorum.NotSupportedError;
   * ```
   */
  export interface NotSupportedError extends PrivacyError {}
}

export default Web3Quorum;
