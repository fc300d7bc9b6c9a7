/**
 * Everything that the SDK throws: one class for each thing that a caller must treat differently.
 *
 * Each error has a stable `code`, and where it helps a `hint` at what to do. What a node refuses is
 * told apart by the node's own word (`data.code`) where there is one, else by Besu's messages,
 * because Besu has one number for nearly everything (`spec/sdk.md` 1.4, `spec/protocol.md` 1.6, 3.4,
 * 5, 7).
 */

import type {
  DecodedRevert,
  EnclaveKey,
  GroupId,
  Hash,
  Hex,
  PrivateReceipt,
  ReceiptReason,
} from "./types.js";

/**
 * What an error may carry beside its message.
 *
 * @example
 * throw new PrivacyError("not today", { code: "NOT_TODAY", hint: "Come back tomorrow." });
 */
export interface PrivacyErrorOptions {
  readonly code?: string | undefined;
  readonly rpcCode?: number | undefined;
  readonly data?: unknown;
  readonly cause?: unknown;
  readonly hint?: string | undefined;
}

/** What errors of all copies of this module have: ESM, CommonJS and `slim` have one each. */
const BRAND = Symbol.for("@coterie/sdk/error");

/**
 * The base of all errors of the SDK.
 *
 * @example
 * try {
 *   await client.groups.add({ privacyGroupId, participants });
 * } catch (error) {
 *   if (error instanceof PrivacyError) console.error(error.code, error.message, error.hint);
 * }
 */
export class PrivacyError extends Error {
  /** True for errors of the same class also when another copy of this module made them. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    // Classes that callers derive have no word of their own.
    if (!Object.hasOwn(this, "kind") || member(value, BRAND) !== true) return false;
    for (let it = member(value, "constructor"); it; it = Object.getPrototypeOf(it)) {
      if (Object.hasOwn(it, "kind") && (it as { kind?: unknown }).kind === this.kind) return true;
    }
    return false;
  }
  /** The class's name, also where a bundler gives it another. */
  protected static readonly kind: string = "PrivacyError";
  /** A stable word for the kind of error. */
  readonly code: string;
  /** The number of the JSON-RPC error, if there was one. */
  readonly rpcCode: number | undefined;
  /** The `data` of the JSON-RPC error, if there was one. */
  readonly data: unknown;
  /** What to do about it. */
  readonly hint: string | undefined;
  /**
   * When the answer to a send is lost: the transaction's nonce in its group (or a marker's on the
   * chain), since it may have been sent. With this nonce it can be sent again: at most one of the
   * two has an effect, and a {@link NonceTooLowError} says that the first one had.
   */
  declare readonly nonce?: bigint;

  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.kind;
    Object.defineProperty(this, BRAND, { value: true });
    this.code = options.code ?? "PRIVACY_ERROR";
    this.rpcCode = options.rpcCode;
    this.data = options.data;
    this.hint = options.hint;
  }
}

/**
 * An argument is wrong: nothing was sent.
 *
 * @example
 * try { groupId("too short"); } catch (error) { console.log(error instanceof InvalidInputError); }
 */
export class InvalidInputError extends PrivacyError {
  protected static override readonly kind: string = "InvalidInputError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "INVALID_INPUT", ...options });
  }
}

/**
 * Bytes that are no signed private transaction, or no ABI of the kind expected; also when the node
 * says so.
 *
 * @example
 * try { parsePrivateTransaction("0x00"); } catch (error) { console.log(error.name); } // DecodeError
 */
export class DecodeError extends PrivacyError {
  protected static override readonly kind: string = "DecodeError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "DECODE", ...options });
  }
}

/**
 * A signature is out of range, or is not by the account that was expected.
 *
 * @example
 * if (error instanceof SignatureError) console.log("the signer does not hold this account's key");
 */
export class SignatureError extends PrivacyError {
  protected static override readonly kind: string = "SignatureError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "SIGNATURE", ...options });
  }
}

/**
 * The account cannot sign private transactions: a browser wallet or a node's account signs only
 * the formats it knows.
 *
 * @example
 * if (error instanceof UnsupportedAccountError) console.log("use a local account");
 */
export class UnsupportedAccountError extends PrivacyError {
  protected static override readonly kind: string = "UnsupportedAccountError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, {
      code: "UNSUPPORTED_ACCOUNT",
      hint: "Use privateKeySigner, a local account of viem, a Wallet of ethers, or a signer with signDigest.",
      ...options,
    });
  }
}

/**
 * A method needs a signer or an enclave key, and the client was made without one.
 *
 * @example
 * if (error instanceof MissingOptionError) console.log(error.message);
 */
export class MissingOptionError extends PrivacyError {
  protected static override readonly kind: string = "MissingOptionError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "MISSING_OPTION", ...options });
  }
}

/**
 * The WebAssembly module is not there yet: only in the `slim` entry before `init`, or where the
 * platform refuses to compile it synchronously.
 *
 * @example
 * await init(fetch("/core.wasm"));
 */
export class NotInitializedError extends PrivacyError {
  protected static override readonly kind: string = "NotInitializedError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "NOT_INITIALIZED", hint: "Await init() first.", ...options });
  }
}

/**
 * An operation was ended by its `AbortSignal`. `cause` is the signal's reason.
 *
 * @example
 * await client.waitForReceipt(hash, { signal: AbortSignal.timeout(5000) }); // may throw AbortError
 */
export class AbortError extends PrivacyError {
  protected static override readonly kind: string = "AbortError";
  constructor(reason?: unknown) {
    super("the operation was aborted", { code: "ABORTED", cause: reason });
  }
}

/**
 * The node could not be reached, or the connection broke. Whether it has got the request is not
 * known: what was to be sent may have been sent, and with a new nonce it would be sent twice. With
 * `nonce`, which such an error has, sending it again is safe.
 *
 * @example
 * if (error instanceof ConnectionError) await client.execute({ ...request, nonce: error.nonce });
 */
export class ConnectionError extends PrivacyError {
  protected static override readonly kind: string = "ConnectionError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "CONNECTION", ...options });
  }
}

/**
 * The node did not answer in the time allowed for one request.
 *
 * @example
 * createPrivacyClient({ url, requestTimeout: 10_000 });
 */
export class RequestTimeoutError extends ConnectionError {
  protected static override readonly kind: string = "RequestTimeoutError";
  constructor(method: string, timeoutMs: number) {
    super(`${method} was not answered within ${timeoutMs} ms`, { code: "REQUEST_TIMEOUT" });
  }
}

/**
 * The server answered with an HTTP status that is an error, and without a JSON-RPC answer.
 *
 * @example
 * if (error instanceof HttpError && error.status === 503) scheduleRetry();
 */
export class HttpError extends PrivacyError {
  protected static override readonly kind: string = "HttpError";
  /** The HTTP status. */
  readonly status: number;
  constructor(status: number, message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "HTTP", ...options });
    this.status = status;
  }
}

/**
 * The answer is not what the protocol says it must be.
 *
 * @example
 * if (error instanceof InvalidResponseError) console.error("is this a node?", error.message);
 */
export class InvalidResponseError extends PrivacyError {
  protected static override readonly kind: string = "InvalidResponseError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "INVALID_RESPONSE", ...options });
  }
}

/**
 * A contract's own error, decoded by its ABI.
 *
 * @example
 * if (error instanceof CallRevertedError && error.customError?.name === "NotAllowed") explain();
 */
export interface CustomError {
  readonly name: string;
  readonly args: readonly unknown[];
}

/**
 * What a refusal carries.
 *
 * @example
 * throw new RpcError("refused", { method: "priv_call", rpcCode: -50100 });
 */
export interface RpcErrorOptions extends PrivacyErrorOptions {
  readonly method?: string | undefined;
}

/**
 * The node answered with an error. Base of all refusals; itself for those that have no class.
 *
 * @example
 * if (error instanceof RpcError) console.error(error.method, error.rpcCode, error.message);
 */
export class RpcError extends PrivacyError {
  protected static override readonly kind: string = "RpcError";
  /** The method that was called. */
  readonly method: string | undefined;
  constructor(message: string, options: RpcErrorOptions = {}) {
    super(message, { code: "RPC", ...options });
    this.method = options.method;
  }
  /** The node's own explanation, if it gave one. */
  get detail(): string | undefined {
    return text(member(this.data, "detail"));
  }
  /** The group that the node named. */
  get privacyGroupId(): GroupId | undefined {
    return text(member(this.data, "privacyGroupId")) as GroupId | undefined;
  }
  /** The enclave key that the node named. */
  get enclaveKey(): EnclaveKey | undefined {
    return text(member(this.data, "enclaveKey")) as EnclaveKey | undefined;
  }
}

/**
 * The node does not know the group, or your key is no member of it: it does not tell which. With
 * authentication it says this of calls and logs, too, and `rpcCode` is -40100 then.
 *
 * @example
 * if (error instanceof GroupNotFoundError) await client.groups.create({ participants });
 */
export class GroupNotFoundError extends RpcError {
  protected static override readonly kind: string = "GroupNotFoundError";
}

/**
 * A group with this id exists already.
 *
 * @example
 * if (error instanceof GroupExistsError) console.error("choose another id");
 */
export class GroupExistsError extends RpcError {
  protected static override readonly kind: string = "GroupExistsError";
}

/**
 * A member's node does not know the group yet, as after it was added a moment ago.
 *
 * @example
 * if (error instanceof GroupUnknownToMemberError) console.log("waits for", error.enclaveKey);
 */
export class GroupUnknownToMemberError extends RpcError {
  protected static override readonly kind: string = "GroupUnknownToMemberError";
}

/**
 * Your node's key is no recipient of the transaction, or no member of the group.
 *
 * @example
 * if (error instanceof NotAParticipantError) console.error("this is not for us");
 */
export class NotAParticipantError extends RpcError {
  protected static override readonly kind: string = "NotAParticipantError";
}

/**
 * `privateFrom` is not a key of the node that was asked.
 *
 * @example
 * if (error instanceof EnclaveKeyMismatchError) console.error("wrong node, or wrong enclaveKey");
 */
export class EnclaveKeyMismatchError extends RpcError {
  protected static override readonly kind: string = "EnclaveKeyMismatchError";
}

/**
 * The private nonce is used already.
 *
 * @example
 * if (error instanceof NonceTooLowError) await client.sendTransaction({ privacyGroupId, to, data });
 */
export class NonceTooLowError extends RpcError {
  protected static override readonly kind: string = "NonceTooLowError";
}

/**
 * The transaction is one that nodes do not take: with value, for another chain, with a wrong
 * signature, unrestricted, without a group.
 *
 * @example
 * if (error instanceof InvalidTransactionError) console.error(error.code, error.detail);
 */
export class InvalidTransactionError extends RpcError {
  protected static override readonly kind: string = "InvalidTransactionError";
}

/**
 * More members than the network allows in a group.
 *
 * @example
 * if (error instanceof TooManyMembersError) console.error(error.detail);
 */
export class TooManyMembersError extends RpcError {
  protected static override readonly kind: string = "TooManyMembersError";
}

/**
 * No node is known for a recipient's key (`enclaveKey`): is the key right, is its node connected?
 *
 * @example
 * if (error instanceof RecipientUnknownError) console.error("who is", error.enclaveKey);
 */
export class RecipientUnknownError extends RpcError {
  protected static override readonly kind: string = "RecipientUnknownError";
}

/**
 * A recipient's node (`enclaveKey`) did not take the transaction: try again later.
 *
 * @example
 * if (error instanceof RecipientUnavailableError) scheduleRetry();
 */
export class RecipientUnavailableError extends RpcError {
  protected static override readonly kind: string = "RecipientUnavailableError";
}

/**
 * A recipient's node runs by another network definition; operators must make them agree.
 *
 * @example
 * if (error instanceof DefinitionDiffersError) console.error(error.enclaveKey, error.detail);
 */
export class DefinitionDiffersError extends RpcError {
  protected static override readonly kind: string = "DefinitionDiffersError";
}

/**
 * The node's enclave could not be asked: try again later.
 *
 * @example
 * if (error instanceof EnclaveUnavailableError) scheduleRetry();
 */
export class EnclaveUnavailableError extends RpcError {
  protected static override readonly kind: string = "EnclaveUnavailableError";
}

/**
 * The transaction is larger than an enclave takes.
 *
 * @example
 * if (error instanceof PayloadTooLargeError) console.error("split it");
 */
export class PayloadTooLargeError extends RpcError {
  protected static override readonly kind: string = "PayloadTooLargeError";
}

/**
 * The public chain did not take the marker, so nothing happened. `code` says why.
 *
 * @example
 * if (error instanceof MarkerRefusedError && error.code === "MARKER_INTRINSIC_GAS") raiseGas();
 */
export class MarkerRefusedError extends RpcError {
  protected static override readonly kind: string = "MarkerRefusedError";
}

/**
 * The node is behind the chain, or takes over the group's history: try again later.
 *
 * @example
 * if (error instanceof NodeSyncingError) scheduleRetry();
 */
export class NodeSyncingError extends RpcError {
  protected static override readonly kind: string = "NodeSyncingError";
}

/**
 * The node cannot reach its public chain: try again later.
 *
 * @example
 * if (error instanceof ChainUnavailableError) scheduleRetry();
 */
export class ChainUnavailableError extends RpcError {
  protected static override readonly kind: string = "ChainUnavailableError";
}

/**
 * The node does not serve this method.
 *
 * @example
 * if (error instanceof MethodDisabledError) console.error("not on this node:", error.method);
 */
export class MethodDisabledError extends RpcError {
  protected static override readonly kind: string = "MethodDisabledError";
}

/**
 * The caller may not do this: no token, a wrong one, one that has ended or that does not permit it.
 *
 * @example
 * if (error instanceof UnauthorizedError) renewToken();
 */
export class UnauthorizedError extends RpcError {
  protected static override readonly kind: string = "UnauthorizedError";
}

/**
 * A parameter of the request is wrong.
 *
 * @example
 * if (error instanceof InvalidParamsError) console.error(error.detail);
 */
export class InvalidParamsError extends RpcError {
  protected static override readonly kind: string = "InvalidParamsError";
}

/**
 * More logs or blocks than the node gives at a time: ask for a smaller range.
 *
 * @example
 * if (error instanceof LimitExceededError) halveTheRange();
 */
export class LimitExceededError extends RpcError {
  protected static override readonly kind: string = "LimitExceededError";
}

/**
 * There is no such block, or the node has not followed the chain that far.
 *
 * @example
 * if (error instanceof BlockNotFoundError) console.error("ask for an earlier block");
 */
export class BlockNotFoundError extends RpcError {
  protected static override readonly kind: string = "BlockNotFoundError";
}

/**
 * The hash is that of a transaction which is no privacy marker.
 *
 * @example
 * if (error instanceof NotAMarkerError) console.error("a public transaction");
 */
export class NotAMarkerError extends RpcError {
  protected static override readonly kind: string = "NotAMarkerError";
}

/**
 * A private call failed. `data` are the revert bytes, `revert` what they say if they are
 * `Error(string)` or `Panic(uint256)`; the viem and ethers entries decode custom errors by the ABI.
 *
 * @example
 * if (error instanceof CallRevertedError) console.error(error.revert?.reason ?? error.revertData);
 */
export class CallRevertedError extends RpcError {
  protected static override readonly kind: string = "CallRevertedError";
  /** The bytes that the contract reverted with; `0x` when there were none. */
  readonly revertData: Hex;
  /** What they say. */
  readonly revert: DecodedRevert | undefined;
  /** What they say by the contract's ABI, where the caller gave one. */
  readonly customError: CustomError | undefined;
  constructor(
    message: string,
    options: RpcErrorOptions & {
      readonly revertData?: Hex | undefined;
      readonly revert?: DecodedRevert | undefined;
      readonly customError?: CustomError | undefined;
    } = {},
  ) {
    super(message, { code: "CALL_REVERTED", ...options });
    this.revertData = options.revertData ?? "0x";
    this.revert = options.revert;
    this.customError = options.customError;
  }
}

/**
 * There was no receipt in time. The transaction may still have its effect: `hash` and `groupId` are
 * what is needed to go on waiting.
 *
 * @example
 * if (error instanceof ReceiptTimeoutError) await client.waitForReceipt(error.hash);
 */
export class ReceiptTimeoutError extends PrivacyError {
  protected static override readonly kind: string = "ReceiptTimeoutError";
  /** The marker. */
  readonly hash: Hash;
  /** The group, if it is known. */
  readonly groupId: GroupId | undefined;
  /** Whether the marker was mined: then the node has not executed it yet. */
  readonly mined: boolean;
  constructor(
    hash: Hash,
    groupId: GroupId | undefined,
    timeoutMs: number,
    mined: boolean,
    cause?: unknown,
  ) {
    const what = mined
      ? "was mined, but the node has no private receipt of it"
      : "was not mined";
    super(`marker ${hash} ${what} within ${timeoutMs} ms`, {
      code: "RECEIPT_TIMEOUT",
      cause,
      hint: mined
        ? "The node may be behind the chain or still take over the group's history; wait again."
        : "Wait again with the same hash; sending again may be needed if the chain dropped it.",
    });
    this.hash = hash;
    this.groupId = groupId;
    this.mined = mined;
  }
}

/**
 * A private transaction was mined and had no effect, or reverted: status 0x0 or 0x2. `reason` is the
 * node's word for why, `revert` what the contract said.
 *
 * @example
 * if (error instanceof TransactionRevertedError) console.error(error.reason, error.revert?.reason);
 */
export class TransactionRevertedError extends PrivacyError {
  protected static override readonly kind: string = "TransactionRevertedError";
  readonly receipt: PrivateReceipt;
  /** The node's word; undefined on nodes that do not say. */
  readonly reason: ReceiptReason | undefined;
  /** The bytes that the contract reverted with; `0x` when there were none. */
  readonly revertData: Hex;
  /** What they say. */
  readonly revert: DecodedRevert | undefined;
  /** What they say by the contract's ABI, where the caller gave one. */
  readonly customError: CustomError | undefined;
  constructor(
    receipt: PrivateReceipt,
    message: string,
    options: PrivacyErrorOptions & {
      readonly revert?: DecodedRevert | undefined;
      readonly customError?: CustomError | undefined;
    } = {},
  ) {
    super(message, { code: "TRANSACTION_REVERTED", data: receipt.revertReason, ...options });
    this.receipt = receipt;
    this.reason = receipt.outcome ?? receipt.reason;
    this.revertData = receipt.revertReason ?? "0x";
    this.revert = options.revert;
    this.customError = options.customError;
  }
  /** The receipt's status. */
  get status(): PrivateReceipt["status"] {
    return this.receipt.status;
  }
}

/**
 * The group was locked (or was not, when members were to be added), so the transaction had no
 * effect.
 *
 * @example
 * if (error instanceof GroupLockedError) await client.groups.unlock({ privacyGroupId });
 */
export class GroupLockedError extends PrivacyError {
  protected static override readonly kind: string = "GroupLockedError";
  readonly groupId: GroupId | undefined;
  /** The receipt, if there is one. */
  readonly receipt: PrivateReceipt | undefined;
  constructor(
    message: string,
    groupId: GroupId | undefined,
    receipt?: PrivateReceipt,
    options: PrivacyErrorOptions = {},
  ) {
    super(message, {
      code: "GROUP_LOCKED",
      hint: "Unlock the group, or finish the addition for which it was locked.",
      ...options,
    });
    this.groupId = groupId;
    this.receipt = receipt;
  }
}

/**
 * The membership changed between sending and execution, so the transaction had no effect: send it
 * again.
 *
 * @example
 * if (error instanceof StaleMembershipError) await client.execute(request);
 */
export class StaleMembershipError extends TransactionRevertedError {
  protected static override readonly kind: string = "StaleMembershipError";
}

/**
 * The transaction's nonce was not the next one when it was executed: another with this nonce came
 * first, or an earlier one had no effect. Send it again.
 *
 * @example
 * if (error instanceof NonceConflictError) await client.execute(request);
 */
export class NonceConflictError extends TransactionRevertedError {
  protected static override readonly kind: string = "NonceConflictError";
}

/**
 * The sender was no member when the transaction was executed.
 *
 * @example
 * if (error instanceof MembershipLostError) console.error("we were removed");
 */
export class MembershipLostError extends TransactionRevertedError {
  protected static override readonly kind: string = "MembershipLostError";
}

/**
 * Another marker of the same payload decided it; see `receipt.decidedBy` and `receipt.outcome`.
 *
 * @example
 * if (error instanceof DuplicateMarkerError) await client.getReceipt(error.receipt.decidedBy);
 */
export class DuplicateMarkerError extends TransactionRevertedError {
  protected static override readonly kind: string = "DuplicateMarkerError";
}

/**
 * The payload came too late for its block, or the accepted history says it did not count: it has no
 * effect, for ever.
 *
 * @example
 * if (error instanceof LatePayloadError) console.error("ask the sender's operator");
 */
export class LatePayloadError extends TransactionRevertedError {
  protected static override readonly kind: string = "LatePayloadError";
}

/**
 * Only the group's owner may do this.
 *
 * @example
 * if (error instanceof NotTheOwnerError) console.error("ask", await client.groups.owner({ privacyGroupId }));
 */
export class NotTheOwnerError extends TransactionRevertedError {
  protected static override readonly kind: string = "NotTheOwnerError";
}

/**
 * Adding members failed after the group had been locked. `cause` is why; `unlocked` says whether
 * the group could be unlocked again. If not, the same `add` goes on where it stopped.
 *
 * @example
 * if (error instanceof AddMembersError && !error.unlocked) await client.groups.add(request);
 */
export class AddMembersError extends PrivacyError {
  protected static override readonly kind: string = "AddMembersError";
  readonly groupId: GroupId;
  readonly unlocked: boolean;
  /** Why the group could not be unlocked, if that was tried. */
  readonly unlockError: unknown;
  constructor(groupId: GroupId, cause: unknown, unlocked: boolean, unlockError?: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const state = unlocked ? "the group is unlocked again" : "the group is still locked";
    super(`members were not added: ${why}; ${state}`, {
      code: "ADD_MEMBERS",
      cause,
      hint: unlocked ? undefined : "Call add again to go on, or unlock the group.",
    });
    this.groupId = groupId;
    this.unlocked = unlocked;
    this.unlockError = unlockError;
  }
}

/**
 * It is not known whether the group was created: the connection broke, or the creation was aborted.
 * `cause` is why. With the same `groupId` the creation can be tried again: if it was created, that
 * is a {@link GroupExistsError}.
 *
 * @example
 * if (error instanceof CreateGroupError) await client.groups.create({ ...request, privacyGroupId: error.groupId });
 */
export class CreateGroupError extends PrivacyError {
  protected static override readonly kind: string = "CreateGroupError";
  readonly groupId: GroupId;
  constructor(groupId: GroupId, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`it is not known whether privacy group ${groupId} was created: ${why}`, {
      code: "CREATE_GROUP",
      cause,
      hint: "Create it again with this id; it may exist by then.",
    });
    this.groupId = groupId;
  }
}

/** An error answer as JSON-RPC has it. */
export interface RpcErrorBody {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

type RpcErrorClass = new (message: string, options: RpcErrorOptions) => PrivacyError;
type Row = readonly [RpcErrorClass, string?];

const LATER = "Try again later.";
const MEMBER = "Is the id right, and is your node's key a member?";

/** By our node's word, which is stable. A prefix ends with `_`. */
const BY_WORD: Readonly<Record<string, Row>> = {
  GROUP_UNKNOWN: [GroupNotFoundError, MEMBER],
  GROUP_EXISTS: [GroupExistsError, "Choose another id; random ones never collide."],
  GROUP_UNKNOWN_TO_MEMBER: [GroupUnknownToMemberError, LATER],
  PRIVATE_FROM_MISMATCH: [
    EnclaveKeyMismatchError,
    "enclaveKey must be a key of the node that this client talks to.",
  ],
  NOT_OUR_KEY: [
    EnclaveKeyMismatchError,
    "enclaveKey must be a key of the node that this client talks to.",
  ],
  NONCE_TOO_LOW: [NonceTooLowError, "Leave the nonce out to have it taken from the node."],
  UNDECODABLE: [DecodeError],
  INVALID_MEMBERS: [DecodeError, "This network takes enclave keys of 32 bytes."],
  INVALID_V: [InvalidTransactionError],
  INVALID_SIGNATURE: [InvalidTransactionError],
  UNSUPPORTED_RESTRICTION: [InvalidTransactionError],
  MISSING_GROUP_ID: [InvalidTransactionError, "Use privacyGroupId instead of privateFor."],
  VALUE_NOT_ZERO: [InvalidTransactionError, "Private transactions move no ether."],
  WRONG_CHAIN_ID: [InvalidTransactionError, "Is the client's chainId right?"],
  TOO_MANY_MEMBERS: [TooManyMembersError],
  RECIPIENT_UNKNOWN: [RecipientUnknownError, "Is the key right, and its node connected?"],
  RECIPIENT_FAILED: [RecipientUnavailableError, LATER],
  RECIPIENT_REFUSED: [RecipientUnavailableError, LATER],
  DEFINITION_DIFFERS: [DefinitionDiffersError],
  PAYLOAD_TOO_LARGE: [PayloadTooLargeError],
  ENCLAVE_UNAVAILABLE: [EnclaveUnavailableError, LATER],
  JOINING: [NodeSyncingError, LATER],
  SYNCING: [NodeSyncingError, LATER],
  CHAIN_SYNCING: [NodeSyncingError, LATER],
  BLOCK_NOT_FOLLOWED: [NodeSyncingError, LATER],
  // Not a NodeSyncingError: waiting does not help.
  FOLLOWING_STOPPED: [RpcError, "The node follows the chain no longer: its operator must act."],
  CHAIN_UNAVAILABLE: [ChainUnavailableError, LATER],
  CHAIN_REFUSED: [ChainUnavailableError],
  CHAIN_STATE_PRUNED: [ChainUnavailableError, "The chain's node no longer has that block's state."],
  METHOD_NOT_ENABLED: [MethodDisabledError],
  METHOD_NOT_FOUND: [MethodDisabledError],
  UNAUTHORIZED: [UnauthorizedError],
  NOT_PERMITTED: [UnauthorizedError],
  INVALID_PARAMS: [InvalidParamsError],
  INVALID_GROUP_ID: [InvalidParamsError],
  LIMIT_EXCEEDED: [LimitExceededError, "Ask for a smaller range of blocks."],
  BLOCK_UNKNOWN: [BlockNotFoundError],
  NOT_A_MARKER: [NotAMarkerError],
  REVERTED: [CallRevertedError],
  HALTED: [CallRevertedError],
  TOO_MANY_PUBLIC_READS: [CallRevertedError],
};

/** By Besu's message, the most telling first. */
const BY_MESSAGE: readonly (readonly [RegExp, RpcErrorClass, string, string?])[] = [
  [/privacy group already exists/i, GroupExistsError, "GROUP_EXISTS"],
  [/unknown to a member/i, GroupUnknownToMemberError, "GROUP_UNKNOWN_TO_MEMBER"],
  [/privacy group does not exist/i, GroupNotFoundError, "GROUP_UNKNOWN", MEMBER],
  [/error finding (flexible )?privacy group/i, GroupNotFoundError, "GROUP_UNKNOWN", MEMBER],
  [/group must contain the enclave public key/i, NotAParticipantError, "NOT_A_PARTICIPANT"],
  [/private from does not match/i, EnclaveKeyMismatchError, "PRIVATE_FROM_MISMATCH"],
  [/intrinsic gas/i, MarkerRefusedError, "MARKER_INTRINSIC_GAS"],
  [/nonce too low/i, NonceTooLowError, "NONCE_TOO_LOW"],
  [/nonce too high/i, MarkerRefusedError, "MARKER_NONCE_TOO_HIGH"],
  [/nonce is too distant/i, MarkerRefusedError, "MARKER_NONCE_TOO_DISTANT"],
  [/upfront cost exceeds/i, MarkerRefusedError, "MARKER_INSUFFICIENT_FUNDS"],
  [/exceeds block gas limit/i, MarkerRefusedError, "MARKER_EXCEEDS_BLOCK_GAS"],
  [/not authorized to send transactions/i, MarkerRefusedError, "MARKER_SENDER_NOT_AUTHORIZED"],
  [/gas price below/i, MarkerRefusedError, "MARKER_GAS_PRICE_TOO_LOW"],
  [/replacement transaction underpriced/i, MarkerRefusedError, "MARKER_REPLACEMENT_UNDERPRICED"],
  [/known transaction/i, MarkerRefusedError, "MARKER_KNOWN"],
  [/unable to decode the private/i, DecodeError, "UNDECODABLE"],
  [/wrong chainid|chainid not supported/i, InvalidTransactionError, "WRONG_CHAIN_ID"],
  [/invalid signature/i, InvalidTransactionError, "INVALID_SIGNATURE"],
  [/unsupported private transaction type/i, InvalidTransactionError, "UNSUPPORTED_RESTRICTION"],
  [/must use privacygroupid/i, InvalidTransactionError, "MISSING_GROUP_ID"],
  [/cannot transfer ether/i, InvalidTransactionError, "VALUE_NOT_ZERO"],
  [/too many members/i, TooManyMembersError, "TOO_MANY_MEMBERS"],
  [/recipient not found for key/i, RecipientUnknownError, "RECIPIENT_UNKNOWN"],
  [/nodepushingtopeer/i, RecipientUnavailableError, "RECIPIENT_FAILED", LATER],
  [/error communicating with enclave/i, EnclaveUnavailableError, "ENCLAVE_UNAVAILABLE", LATER],
  [/initial sync is still in progress/i, NodeSyncingError, "SYNCING", LATER],
  [/privacy is not enabled|method not enabled/i, MethodDisabledError, "METHOD_NOT_ENABLED"],
  [/private transaction failed/i, CallRevertedError, "CALL_REVERTED"],
  [/exceeds maximum rpc range/i, LimitExceededError, "LIMIT_EXCEEDED"],
  [/unknown block/i, BlockNotFoundError, "BLOCK_UNKNOWN"],
];

/** By number, where the number says it. */
const BY_NUMBER: Readonly<Record<number, readonly [RpcErrorClass, string]>> = {
  [-32601]: [MethodDisabledError, "METHOD_NOT_FOUND"],
  [-32604]: [MethodDisabledError, "METHOD_NOT_ENABLED"],
  [-40100]: [UnauthorizedError, "UNAUTHORIZED"],
  [-32602]: [InvalidParamsError, "INVALID_PARAMS"],
  [-32001]: [NonceTooLowError, "NONCE_TOO_LOW"],
  [-32008]: [NodeSyncingError, "SYNCING"],
  [-39001]: [BlockNotFoundError, "BLOCK_UNKNOWN"],
};

const HEX = /^0x(?:[0-9a-fA-F]{2})*$/;

/**
 * The typed error for a JSON-RPC error answer. `decode` reads revert bytes; it is not called
 * for anything else.
 *
 * @internal
 */
export function classify(
  body: RpcErrorBody,
  method: string,
  decode: (data: Hex) => DecodedRevert | undefined = () => undefined,
): PrivacyError {
  const { code: rpcCode, message, data } = body;
  const options = { rpcCode, data, method };
  if (isRevert(method, body)) {
    const revertData = data as Hex;
    const revert = decode(revertData);
    const text = revert ? `private call reverted: ${revert.reason}` : "private call reverted";
    return new CallRevertedError(text, { ...options, revertData, revert });
  }
  let word = text(member(data, "code"));
  if (word !== undefined) {
    const detail = text(member(data, "detail"));
    // Of a token there is no more to say; with more it is a group that the caller may not see.
    if (word === "UNAUTHORIZED" && detail !== undefined) word = "GROUP_UNKNOWN";
    const row = Object.hasOwn(BY_WORD, word) ? BY_WORD[word] : undefined;
    const kind = row?.[0] ?? (word.startsWith("MARKER_") ? MarkerRefusedError : RpcError);
    return new kind(detail === undefined ? message : `${message} (${detail})`, {
      ...options,
      code: word,
      hint: row?.[1],
    });
  }
  for (const [pattern, kind, code, hint] of BY_MESSAGE) {
    if (pattern.test(message)) return new kind(message, { ...options, code, hint });
  }
  const known = BY_NUMBER[rpcCode];
  if (known) return new known[0](message, { ...options, code: known[1] });
  return new RpcError(message, options);
}

/** Revert bytes: from `priv_call`, or from a public node's `eth_call` and `eth_estimateGas`. */
function isRevert(method: string, { message, data }: RpcErrorBody): boolean {
  if (typeof data !== "string" || !HEX.test(data)) return false;
  return method === "priv_call" || /revert/i.test(message);
}

/**
 * The error for a receipt that is not a success.
 *
 * @internal
 */
export function receiptError(
  receipt: PrivateReceipt,
  decode: (data: Hex) => DecodedRevert | undefined,
): TransactionRevertedError | GroupLockedError {
  const reason = receipt.outcome ?? receipt.reason;
  const bytes = receipt.revertReason;
  const revert = bytes !== undefined && bytes !== "0x" ? decode(bytes) : undefined;
  const hash = receipt.transactionHash;
  const failed = (why: string) => `private transaction ${hash} ${why}`;
  if (receipt.reason === "duplicate" || receipt.reason === "copied") {
    return new DuplicateMarkerError(
      receipt,
      failed(`was decided by another marker, ${receipt.decidedBy ?? "not mined yet"}`),
      { code: "DUPLICATE_MARKER", revert },
    );
  }
  switch (reason) {
    case "locked":
      return new GroupLockedError(
        failed("had no effect: the group was locked, or was not locked and members were to be added"),
        receipt.privacyGroupId,
        receipt,
      );
    case "version":
      return new StaleMembershipError(
        receipt,
        failed("had no effect: the membership changed after it was sent"),
        { code: "STALE_MEMBERSHIP", hint: "Send it again." },
      );
    case "nonce":
      return new NonceConflictError(
        receipt,
        failed("had no effect: its nonce was not the sender's next one"),
        { code: "NONCE_CONFLICT", hint: "Send it again; use one nonce queue for an account." },
      );
    case "not_a_member":
      return new MembershipLostError(
        receipt,
        failed("had no effect: the sender was no member"),
        { code: "MEMBERSHIP_LOST" },
      );
    case "late":
    case "not_in_history":
      return new LatePayloadError(
        receipt,
        failed("had no effect: its payload was not there when its block was followed"),
        { code: "LATE_PAYLOAD" },
      );
    case "out_of_gas":
      return new TransactionRevertedError(receipt, failed("ran out of private gas"), {
        code: "OUT_OF_GAS",
      });
    default:
      break;
  }
  if (revert?.kind === "error" && /not the (pending )?owner|not allowed to upgrade/i.test(revert.reason)) {
    return new NotTheOwnerError(receipt, failed(`reverted: ${revert.reason}`), {
      code: "NOT_THE_OWNER",
      revert,
    });
  }
  const invalid = receipt.status === "invalid" ? "is invalid" : "reverted";
  const why = revert?.reason ?? (reason === "reverted" ? undefined : reason);
  return new TransactionRevertedError(
    receipt,
    failed(why === undefined ? invalid : `${invalid}: ${why}`),
    { revert },
  );
}

/**
 * The same error, with the contract's own error that its revert bytes are; the error itself when
 * there are none, or `decode` does not know them or cannot read them.
 *
 * @internal
 */
export function withCustomError(
  error: unknown,
  decode: (data: Hex) => CustomError | undefined,
): unknown {
  const call = error instanceof CallRevertedError;
  const transaction = error instanceof TransactionRevertedError;
  if ((!call && !transaction) || error.revert || error.revertData === "0x") return error;
  let customError: CustomError | undefined;
  try {
    customError = decode(error.revertData);
  } catch {
    return error;
  }
  if (!customError) return error;
  const args = customError.args.map(String).join(", ");
  const message = `${error.message}: ${customError.name}(${args})`;
  const { code, rpcCode, data, cause, hint } = error;
  const options = { code, rpcCode, data, cause, hint, customError };
  if (transaction) return new TransactionRevertedError(error.receipt, message, options);
  return new CallRevertedError(message, {
    ...options,
    method: error.method,
    revertData: error.revertData,
  });
}

/**
 * Whether trying the same again later may help.
 *
 * @internal
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof HttpError) return [408, 425, 429, 500, 502, 503, 504].includes(error.status);
  return (
    error instanceof ConnectionError ||
    error instanceof NodeSyncingError ||
    error instanceof ChainUnavailableError ||
    error instanceof EnclaveUnavailableError
  );
}

/**
 * Throws what a send with this nonce has failed with; where it may have been sent all the same, with
 * the nonce in it.
 *
 * @internal
 */
export const lost = (nonce: bigint) => (error: unknown): never => {
  if (
    error instanceof ConnectionError ||
    error instanceof HttpError ||
    error instanceof InvalidResponseError
  ) {
    const hint = "It may have been sent. If sent again, then with the same nonce.";
    Object.assign(error, { nonce, hint });
  }
  throw error;
};

/** A member of an object of unknown shape. */
function member(value: unknown, name: PropertyKey): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<PropertyKey, unknown>)[name]
    : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/**
 * Throws when the signal is aborted.
 *
 * @internal
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason);
}

