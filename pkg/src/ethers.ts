/**
 * Private contracts with ethers 6: a provider and a signer bound to one group, on which ethers' own
 * `Contract` works. A contract is created by {@link PrivateContractFactory}, since ethers computes
 * another address than a private contract gets.
 *
 * @packageDocumentation
 */

import {
  AbiCoder,
  AbstractProvider,
  AbstractSigner,
  BaseContract,
  ContractFactory,
  Network,
  Signature,
  TransactionReceipt,
  TransactionResponse,
  assertArgument,
  getAddress,
  resolveAddress,
  type BytesLike,
  type ContractTransactionResponse,
  type Interface,
  type InterfaceAbi,
  type Listener,
  type Log,
  type Networkish,
  type PerformActionRequest,
  type Provider,
  type ProviderEvent,
  type Signer as EthersSigner,
  type Subscriber,
  type Subscription,
  type TransactionRequest,
  type TransactionResponseParams,
  type TypedDataDomain,
  type TypedDataField,
} from "ethers";
import * as actions from "./actions.js";
import { clientOf, type PrivacyClient } from "./client.js";
import { DEFAULT_GAS, groupId, parsePrivateTransaction } from "./codec.js";
import {
  CallRevertedError,
  InvalidInputError,
  PrivacyError,
  UnsupportedAccountError,
  receiptError,
  withCustomError,
  type CustomError,
} from "./errors.js";
import { kindOf, toObject, toQuantity } from "./input.js";
import { createRpc, tryRevert, type HttpOptions, type Transport } from "./rpc.js";
import { Session, keep, type SessionOptions } from "./session.js";
import { TIMER_MS_MAX, pause } from "./wait.js";
import { watchLogs } from "./watch.js";
import type { DigestSigner, Signer } from "./signer.js";
import type {
  Address,
  BlockTag,
  GroupId,
  Hash,
  Hex,
  LogFilter,
  PrivateLog,
  PrivateReceipt,
  Signature as PlainSignature,
} from "./types.js";

export { enclaveKey, groupId, legacyGroupId, privateContractAddress, randomGroupId } from "./codec.js";
export { PrivacyError, UnsupportedAccountError } from "./errors.js";

/**
 * Options of {@link privacy}.
 *
 * @example
 * const options: EthersPrivacyOptions = { privacyGroupId, enclaveKey };
 */
export interface EthersPrivacyOptions extends Omit<SessionOptions, "signer">, HttpOptions {
  /** The group that the provider and the signer are bound to. */
  readonly privacyGroupId: GroupId;
}

/**
 * What {@link privacy} makes.
 *
 * @example
 * const { provider, signer, client }: EthersPrivacy = privacy(new JsonRpcProvider(url), wallet, options);
 */
export interface EthersPrivacy {
  readonly provider: PrivateProvider;
  /** Throws when it is used and there was no signer. */
  readonly signer: PrivateSigner;
  /** The same node and account by the SDK's own client: groups, receipts, logs. */
  readonly client: PrivacyClient;
}

/**
 * A provider and a signer for one group.
 *
 * @param provider ethers' provider of the node, or any other transport
 * @param signer a Wallet, or a signer of this SDK; null to read only
 *
 * @example
 * const wallet = new Wallet(key);
 * const { signer } = privacy(new JsonRpcProvider(url), wallet, { privacyGroupId, enclaveKey });
 * const token = new Contract(address, abi, signer);
 * await (await token.transfer(to, 1n)).wait();
 */
export function privacy(
  provider: Transport | Provider,
  signer: EthersSigner | Signer | null | undefined,
  options: EthersPrivacyOptions,
): EthersPrivacy {
  const { privacyGroupId, ...rest } = toObject(options, "options");
  const group = groupId(privacyGroupId);
  const node = createRpc(provider as Transport, rest);
  const from = signer === null || signer === undefined ? undefined : toSdkSigner(signer);
  const session = new Session(node, { ...rest, signer: from });
  const bound = new PrivateProvider(session, group);
  return {
    provider: bound,
    signer: new PrivateSigner(bound, session, group, signer as EthersSigner | null),
    client: clientOf(session),
  };
}

/** A Wallet signs hashes; other signers of ethers sign only what they know. */
function toSdkSigner(signer: EthersSigner | Signer): Signer {
  const it = signer as unknown as Record<string, unknown>;
  if (typeof it !== "object") throw new UnsupportedAccountError(`a signer is no ${kindOf(signer)}`);
  if (typeof it["signDigest"] === "function" || typeof it["signPrivateTransaction"] === "function") {
    return signer as Signer;
  }
  const key = it["signingKey"] as { sign?: (digest: string) => PlainSignature } | undefined;
  if (typeof key?.sign !== "function" || typeof it["address"] !== "string") {
    throw new UnsupportedAccountError(
      "this signer of ethers cannot sign private transactions: it does not hold its key, and signs only the formats it knows",
    );
  }
  const digestSigner: DigestSigner = {
    address: it["address"] as Address,
    signDigest: (hash) => {
      const { r, s, yParity } = key.sign!(hash);
      return { r, s, yParity };
    },
  };
  return digestSigner;
}

/** How many private receipts a provider keeps for {@link privateReceiptOf}. */
const RECEIPTS_MAX = 1000;

const ZERO_BLOOM = `0x${"00".repeat(256)}`;

/**
 * A provider of ethers that reads one group's private state. Blocks are the public chain's.
 *
 * @example
 * const logs = await provider.getLogs({ address, fromBlock: 0 });
 */
export class PrivateProvider extends AbstractProvider {
  readonly #session: Session;
  readonly #group: GroupId;
  /** By hash, since Contract makes receipts of its own. */
  readonly #receipts = new Map<string, PrivateReceipt>();
  readonly #heard = new WeakMap<Listener, Listener>();

  /** Use {@link privacy}. @internal */
  constructor(session: Session, group: GroupId, network?: Networkish) {
    const pollingInterval = Math.min(Math.max(session.polling.interval, 1), TIMER_MS_MAX);
    super(network, { pollingInterval, cacheTimeout: -1 });
    this.#session = session;
    this.#group = group;
  }

  /** The group that is read. */
  get privacyGroupId(): GroupId {
    return this.#group;
  }

  override async _detectNetwork(): Promise<Network> {
    return Network.from(await this.#session.chainId());
  }

  override async _perform<T = unknown>(request: PerformActionRequest): Promise<T> {
    return (await this.#perform(request)) as T;
  }

  async #perform(request: PerformActionRequest): Promise<unknown> {
    const [session, privacyGroupId] = [this.#session, this.#group];
    switch (request.method) {
      case "chainId":
        return toQuantity(await session.chainId());
      case "getBlockNumber":
        return session.rpc("eth_blockNumber", []);
      case "getBlock":
        return "blockHash" in request
          ? session.rpc("eth_getBlockByHash", [request.blockHash, request.includeTransactions])
          : session.rpc("eth_getBlockByNumber", [request.blockTag, request.includeTransactions]);
      case "getGasPrice":
        return "0x0";
      case "getBalance":
        return "0x0";
      case "call":
        refuseValue(request.transaction.value);
        return this.#call(request.transaction, request.blockTag as BlockTag);
      case "estimateGas": {
        refuseValue(request.transaction.value);
        // Private gas is the network's cap whatever the limit says; only a revert matters.
        if (request.transaction.to) await this.#call(request.transaction, "latest");
        return toQuantity(DEFAULT_GAS);
      }
      case "getCode": {
        const address = request.address as Address;
        return actions.code(session, { privacyGroupId, address, blockTag: request.blockTag as BlockTag });
      }
      case "getTransactionCount": {
        const address = request.address as Address;
        return toQuantity(await actions.transactionCount(session, { privacyGroupId, address }));
      }
      case "getLogs": {
        const logs = await actions.logs(session, { ...toFilter(request.filter), privacyGroupId });
        return logs.map(plainLog);
      }
      case "getTransactionReceipt": {
        const receipt = await actions.receipt(session, request.hash as Hash);
        return receipt && plainReceipt(receipt);
      }
      case "getTransaction":
        return this.#transaction(request.hash as Hash);
      default:
        return super._perform(request);
    }
  }

  async #call(transaction: { to?: unknown; data?: unknown; from?: unknown }, blockTag: BlockTag) {
    try {
      return await actions.call(this.#session, {
        privacyGroupId: this.#group,
        to: transaction.to as Address,
        data: (transaction.data ?? "0x") as Hex,
        from: (transaction.from ?? undefined) as Address | undefined,
        blockTag,
      });
    } catch (error) {
      if (!(error instanceof CallRevertedError)) throw error;
      // The form that Contract decodes custom errors from.
      const failed = AbiCoder.getBuiltinCallException("call", transaction as never, error.revertData);
      throw Object.assign(failed, { cause: error });
    }
  }

  async #transaction(hash: Hash): Promise<TransactionResponseParams | null> {
    const it = await actions.transaction(this.#session, hash);
    if (!it) return null;
    const receipt = await actions.receipt(this.#session, hash);
    const chainId = it.v >= 35n ? (it.v - 35n) / 2n : 0n;
    const word = (value: bigint): string => `0x${value.toString(16).padStart(64, "0")}`;
    return {
      ...transactionParams({
        hash, chainId,
        from: it.from ?? `0x${"00".repeat(20)}`,
        to: it.to, nonce: it.nonce, gas: it.gas, gasPrice: it.gasPrice, data: it.data,
        signature: Signature.from({ r: word(it.r), s: word(it.s), v: it.v }),
      }),
      blockNumber: receipt && Number(receipt.blockNumber),
      blockHash: receipt && receipt.blockHash,
      index: receipt?.transactionIndex ?? 0,
    };
  }

  override _wrapTransactionReceipt(value: unknown, network: Network): TransactionReceipt {
    const it = value as ReturnType<typeof plainReceipt>;
    return it.private ? this.receipt(it.private) : super._wrapTransactionReceipt(value as never, network);
  }

  /** A receipt as ethers has it. @internal */
  receipt(receipt: PrivateReceipt): PrivateTransactionReceipt {
    keep(this.#receipts, receipt.transactionHash.toLowerCase(), receipt, RECEIPTS_MAX);
    return new PrivateTransactionReceipt(receipt, this);
  }

  /** The private receipt that was read last for a marker. @internal */
  privateReceipt(hash: string): PrivateReceipt | undefined {
    return this.#receipts.get(hash.toLowerCase());
  }

  /**
   * As ethers' own. When there will be no receipt of a transaction, such as one that is not for this
   * node, `listener` is not called, and the provider's `error` listeners are told why.
   */
  override once(event: ProviderEvent, listener: Listener): Promise<this> {
    // A transaction's hash; other events have no such end.
    if (typeof event !== "string" || !event.startsWith("0x")) return super.once(event, listener);
    const heard: Listener = (...args: unknown[]) => {
      const [first] = args;
      if (first instanceof FailedReceipt) void this.emit("error", first.error);
      else listener.apply(this, args);
    };
    this.#heard.set(listener, heard);
    return super.once(event, heard);
  }

  override async off(event: ProviderEvent, listener?: Listener): Promise<this> {
    const heard = listener && this.#heard.get(listener);
    if (heard) await super.off(event, heard);
    return super.off(event, listener);
  }

  override _wrapTransactionResponse(value: TransactionResponseParams): TransactionResponse {
    return new TransactionResponse(value, this);
  }

  /** Sends a signed private transaction. */
  override async broadcastTransaction(signedTransaction: string): Promise<TransactionResponse> {
    const raw = signedTransaction as Hex;
    const hash = await actions.sendRawTransaction(this.#session, raw);
    return this.response(hash, raw);
  }

  /** What was sent, as ethers has it. @internal */
  response(hash: Hash, raw: Hex): TransactionResponse {
    const it = parsePrivateTransaction(raw);
    return this._wrapTransactionResponse(
      transactionParams({
        hash,
        chainId: it.chainId ?? 0n,
        from: it.from ?? `0x${"00".repeat(20)}`,
        to: it.to, nonce: it.nonce, gas: it.gas, gasPrice: it.gasPrice, data: it.data,
        signature: Signature.from({ r: it.r, s: it.s, v: it.v }),
      }),
    );
  }

  override _getSubscriber(subscription: Subscription): Subscriber {
    switch (subscription.type) {
      case "transaction":
        return new ReceiptSubscriber(this, this.#session, subscription.hash as Hash);
      case "event":
        return new LogSubscriber(this, this.#session, this.#group, subscription.filter);
      default:
        return super._getSubscriber(subscription);
    }
  }
}

/** What both a sent and a mined transaction have. */
function transactionParams(it: {
  hash: Hash;
  chainId: bigint;
  from: Address;
  to: Address | null;
  nonce: bigint;
  gas: bigint;
  gasPrice: bigint;
  data: Hex;
  signature: Signature;
}): TransactionResponseParams {
  return {
    hash: it.hash,
    type: 0,
    from: getAddress(it.from),
    to: it.to && getAddress(it.to),
    nonce: Number(it.nonce),
    gasLimit: it.gas,
    gasPrice: it.gasPrice,
    maxPriorityFeePerGas: null,
    maxFeePerGas: null,
    data: it.data,
    value: 0n,
    chainId: it.chainId,
    signature: it.signature,
    accessList: null,
    blockNumber: null,
    blockHash: null,
    index: 0,
  } as unknown as TransactionResponseParams;
}

/**
 * A receipt of ethers with the private one in it. Contracts make receipts of their own from it; see
 * {@link privateReceiptOf}.
 *
 * @example
 * const receipt = (await provider.getTransactionReceipt(hash)) as PrivateTransactionReceipt;
 * console.log(receipt.privateReceipt.reason);
 */
export class PrivateTransactionReceipt extends TransactionReceipt {
  /** The private receipt: reason, output, privateFrom, group. */
  readonly privateReceipt: PrivateReceipt;

  /** @internal */
  constructor(receipt: PrivateReceipt, provider: Provider) {
    super(receiptParams(receipt), provider);
    this.privateReceipt = receipt;
  }
}

/**
 * The private receipt behind a receipt that came from a {@link PrivateProvider}, also by `wait()` of
 * a contract's transaction; undefined for others, and for one that is not among the last 1000 read.
 *
 * @example
 * const receipt = await (await contract.store(1)).wait();
 * console.log(privateReceiptOf(receipt)?.reason);
 */
export function privateReceiptOf(receipt: TransactionReceipt): PrivateReceipt | undefined {
  if (receipt instanceof PrivateTransactionReceipt) return receipt.privateReceipt;
  const { provider, hash } = receipt;
  return provider instanceof PrivateProvider ? provider.privateReceipt(hash) : undefined;
}

/** Private transactions move no ether, and so calls do not either. */
function refuseValue(value: unknown): void {
  if (value === undefined || value === null || BigInt(value as bigint) === 0n) return;
  throw new InvalidInputError("a private transaction cannot transfer value");
}

function receiptParams(receipt: PrivateReceipt) {
  const zero = `0x${"00".repeat(20)}`;
  return {
    to: receipt.to && getAddress(receipt.to),
    from: getAddress(receipt.from ?? zero),
    contractAddress: receipt.contractAddress && getAddress(receipt.contractAddress),
    hash: receipt.transactionHash,
    index: receipt.transactionIndex,
    blockHash: receipt.blockHash,
    blockNumber: Number(receipt.blockNumber),
    logsBloom: receipt.logsBloom ?? ZERO_BLOOM,
    logs: receipt.logs.map((log) => logParams(log)),
    // Private execution costs nothing; the marker's gas is on the public chain.
    gasUsed: 0n,
    cumulativeGasUsed: 0n,
    gasPrice: 0n,
    blobGasUsed: null,
    blobGasPrice: null,
    type: 0,
    status: receipt.status === "success" ? 1 : 0,
    root: null,
  } as unknown as ConstructorParameters<typeof TransactionReceipt>[0];
}

function logParams(log: PrivateLog): Log {
  return {
    address: getAddress(log.address),
    blockHash: log.blockHash,
    blockNumber: Number(log.blockNumber),
    data: log.data,
    index: log.logIndex,
    topics: log.topics,
    transactionHash: log.transactionHash,
    transactionIndex: log.transactionIndex,
    removed: log.removed,
  } as unknown as Log;
}

/** A log as a node would answer it, for ethers to read. */
function plainLog(log: PrivateLog): object {
  const { blockNumber, logIndex, transactionIndex } = log;
  return {
    ...log,
    blockNumber: toQuantity(blockNumber),
    logIndex: toQuantity(BigInt(logIndex)),
    transactionIndex: toQuantity(BigInt(transactionIndex)),
  };
}

/** A receipt on its way through ethers' own formatting. */
function plainReceipt(receipt: PrivateReceipt) {
  return { private: receipt, effectiveGasPrice: "0x0" };
}

function toFilter(filter: object): LogFilter {
  return filter as LogFilter;
}

/** Tells listeners of something, from a start to a stop. */
abstract class Telling implements Subscriber {
  #controller: AbortController | undefined;

  constructor(
    protected readonly provider: PrivateProvider,
    protected readonly session: Session,
  ) {}

  /** Tells until the signal says stop. */
  protected abstract run(signal: AbortSignal): Promise<void>;

  start(): void {
    if (this.#controller) return;
    const controller = new AbortController();
    this.#controller = controller;
    void this.run(controller.signal);
  }
  stop(): void {
    this.#controller?.abort();
    this.#controller = undefined;
  }
  pause(): void {
    this.stop();
  }
  resume(): void {
    this.start();
  }
}

/** Tells listeners of a transaction of its receipt, again and again, as ethers does with each block. */
class ReceiptSubscriber extends Telling {
  readonly #hash: Hash;

  constructor(provider: PrivateProvider, session: Session, hash: Hash) {
    super(provider, session);
    this.#hash = hash;
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { provider, session } = this;
    try {
      for (;;) {
        const receipt = await actions.waitForReceipt(session, this.#hash, { signal });
        await provider.emit(this.#hash, provider.receipt(receipt));
        await pause(session.polling.interval, signal);
      }
    } catch (error) {
      // wait() has no other way to learn of a failure than by what it reads from a receipt.
      if (!signal.aborted) await provider.emit(this.#hash, new FailedReceipt(error));
    }
  }
}

/** In the place of a receipt that there will not be: reading its status throws why. */
class FailedReceipt {
  constructor(readonly error: unknown) {}
  async confirmations(): Promise<number> {
    return Number.POSITIVE_INFINITY;
  }
  get status(): never {
    throw this.error;
  }
}

/** Tells listeners of an event's logs. */
class LogSubscriber extends Telling {
  readonly #group: GroupId;
  readonly #filter: object;

  constructor(provider: PrivateProvider, session: Session, group: GroupId, filter: object) {
    super(provider, session);
    this.#group = group;
    this.#filter = filter;
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { address, topics } = this.#filter as LogFilter;
    const request = { privacyGroupId: this.#group, address, topics };
    try {
      const network = await this.provider.getNetwork();
      for await (const log of watchLogs(this.session, request, { signal })) {
        const wrapped = this.provider._wrapLog(plainLog(log) as never, network);
        await this.provider.emit(this.#filter as never, wrapped);
      }
    } catch (error) {
      if (!signal.aborted) await this.provider.emit("error", error);
    }
  }
}

/**
 * A signer of ethers that sends private transactions in one group.
 *
 * @example
 * const contract = new Contract(address, abi, signer);
 */
export class PrivateSigner extends AbstractSigner<PrivateProvider> {
  readonly #session: Session;
  readonly #group: GroupId;
  readonly #inner: EthersSigner | null;

  /** Use {@link privacy}. @internal */
  constructor(
    provider: PrivateProvider,
    session: Session,
    group: GroupId,
    inner: EthersSigner | null,
  ) {
    super(provider);
    this.#session = session;
    this.#group = group;
    this.#inner = inner;
  }

  override async getAddress(): Promise<string> {
    return getAddress(this.#session.signer.address);
  }

  /** The same: it is bound to its provider and group. Call {@link privacy} for another. */
  override connect(provider: Provider | null): PrivateSigner {
    assertArgument(provider === this.provider, "call privacy() for another provider", "provider", provider);
    return this;
  }

  /** Sends a private transaction. A contract is created by {@link PrivateContractFactory}. */
  override async sendTransaction(transaction: TransactionRequest): Promise<TransactionResponse> {
    if (transaction.to === undefined || transaction.to === null) {
      throw new InvalidInputError("ethers would give the new contract a wrong address", {
        code: "WRONG_FACTORY",
        hint: "Use PrivateContractFactory of @coterie/sdk/ethers instead of ContractFactory.",
      });
    }
    const sent = await this.#send(transaction);
    return this.provider.response(sent.hash, sent.raw);
  }

  /** Sends a contract's creation; tells its address. @internal */
  async create(transaction: TransactionRequest): Promise<{
    readonly address: Address;
    readonly response: TransactionResponse;
  }> {
    const { contractAddress, hash, raw } = await this.#send({ ...transaction, to: null });
    return { address: contractAddress!, response: this.provider.response(hash, raw) };
  }

  async #send(transaction: TransactionRequest): Promise<actions.Sent> {
    const { value, nonce, gasLimit, gasPrice, data } = transaction;
    refuseValue(value);
    const from = transaction.from && (await resolveAddress(transaction.from, this));
    if (from && getAddress(from) !== (await this.getAddress())) {
      throw new InvalidInputError("the transaction's from is another account than the signer's");
    }
    const to = transaction.to ? await resolveAddress(transaction.to, this) : null;
    const amount = (it: unknown) =>
      it === undefined || it === null ? undefined : BigInt(it as bigint | number | string);
    return actions.send(this.#session, {
      privacyGroupId: this.#group,
      to: to as Address | null,
      data: (data ?? "0x") as Hex,
      nonce: amount(nonce),
      gas: amount(gasLimit),
      gasPrice: amount(gasPrice),
    });
  }

  /** Not supported: what ethers populates is a public transaction. */
  override signTransaction(): Promise<string> {
    return Promise.reject(
      new UnsupportedAccountError("sign private transactions by signPrivateTransaction()"),
    );
  }

  override signMessage(message: string | Uint8Array): Promise<string> {
    return this.#signer().signMessage(message);
  }

  override signTypedData(
    domain: TypedDataDomain,
    types: Record<string, TypedDataField[]>,
    value: Record<string, unknown>,
  ): Promise<string> {
    return this.#signer().signTypedData(domain, types, value);
  }

  #signer(): EthersSigner {
    if (typeof this.#inner?.signMessage === "function") return this.#inner;
    throw new UnsupportedAccountError("this signer signs private transactions only");
  }
}

/**
 * ethers' `ContractFactory` for private contracts.
 *
 * @example
 * const token = await new PrivateContractFactory(abi, bytecode, signer).deploy("Token", 100n);
 * await token.waitForDeployment();
 */
export class PrivateContractFactory<
  A extends unknown[] = unknown[],
  I = BaseContract,
> extends ContractFactory<A, I> {
  constructor(abi: Interface | InterfaceAbi, bytecode: BytesLike | { object: string }, signer: PrivateSigner) {
    super(abi, bytecode, signer);
    if (!(signer instanceof PrivateSigner)) {
      throw new InvalidInputError("a private contract is created by the signer that privacy() makes");
    }
  }

  override async deploy(
    ...args: Parameters<ContractFactory<A, I>["deploy"]>
  ): Promise<
    BaseContract & { deploymentTransaction(): ContractTransactionResponse } & Omit<I, keyof BaseContract>
  > {
    const signer = this.runner as unknown as PrivateSigner;
    const transaction = await this.getDeployTransaction(...args);
    const { address, response } = await signer.create(transaction as TransactionRequest);
    const Made = BaseContract as unknown as new (
      target: string,
      abi: Interface,
      runner: unknown,
      sent: TransactionResponse,
    ) => never;
    return new Made(getAddress(address), this.interface, signer, response);
  }

  override connect(runner: unknown): PrivateContractFactory<A, I> {
    return new PrivateContractFactory<A, I>(this.interface, this.bytecode, runner as PrivateSigner);
  }
}

/**
 * What an error of `wait()` or of a call says, by the contract's interface: the SDK's own error
 * with `reason`, `revert` and `customError`; the error itself when it is no revert.
 *
 * @example
 * try { await (await contract.withdraw()).wait(); }
 * catch (error) { const { customError } = explainError(error, contract.interface); }
 */
export function explainError(error: unknown, contract?: Interface): unknown {
  const { receipt, cause } = (error ?? {}) as { receipt?: unknown; cause?: unknown };
  let own: unknown = error;
  if (receipt instanceof PrivateTransactionReceipt) own = receiptError(receipt.privateReceipt, tryRevert);
  else if (cause instanceof PrivacyError) own = cause;
  if (!contract) return own;
  return withCustomError(own, (data) => customError(contract, data));
}

function customError(contract: Interface, data: Hex): CustomError | undefined {
  const parsed = contract.parseError(data);
  return parsed ? { name: parsed.name, args: [...parsed.args] } : undefined;
}


