/**
 * Flexible privacy groups: their membership is a contract in their own private state, so changing it
 * is sending private transactions to that contract (`spec/sdk.md` 1.3, contract rules).
 */

import {
  MANAGEMENT_ADDRESS,
  addParticipantsData,
  coreReady,
  decodeParticipants,
  enclaveKey,
  groupId,
  randomGroupId,
  removeParticipantData,
  withCore,
} from "./codec.js";
import { call, execute } from "./actions.js";
import {
  AbortError,
  AddMembersError,
  CallRevertedError,
  ConnectionError,
  CreateGroupError,
  GroupExistsError,
  GroupLockedError,
  GroupNotFoundError,
  InvalidInputError,
  InvalidResponseError,
  MethodDisabledError,
  NotAParticipantError,
  ReceiptTimeoutError,
  TransactionRevertedError,
  UnauthorizedError,
  isTransient,
} from "./errors.js";
import { toAddress, toArray, toOptions, toSignal } from "./input.js";
import { toGroups } from "./responses.js";
import type { WaitOptions, WaitProgress } from "./receipts.js";
import type { Session } from "./session.js";
import type {
  Address,
  BlockTag,
  EnclaveKey,
  GroupId,
  Hex,
  PrivacyGroup,
  PrivateReceipt,
  Quantity,
} from "./types.js";

/**
 * What every change of a group can be told.
 *
 * @example
 * const options: ChangeOptions = { timeout: 60_000, onProgress: ({ step, state }) => console.log(step, state) };
 */
export interface ChangeOptions extends Omit<WaitOptions, "privacyGroupId" | "onProgress"> {
  readonly gas?: Quantity | undefined;
  readonly gasPrice?: Quantity | undefined;
  /** Another of the node's keys than the client's. */
  readonly privateFrom?: EnclaveKey | undefined;
  /** Called whenever a step begins or ends, and while it is waited for. */
  readonly onProgress?: ((progress: GroupProgress) => void) | undefined;
}

/**
 * What a change of a group reports.
 *
 * @example
 * await client.groups.add({ privacyGroupId, participants, onProgress: ({ step, state }) => console.log(step, state) });
 */
export interface GroupProgress {
  readonly step: "create" | "lock" | "add" | "remove" | "unlock" | "transfer" | "accept";
  /** `"skipped"`: was done already. */
  readonly state: "sending" | WaitProgress["state"] | "done" | "skipped";
}

/**
 * A change of one group.
 *
 * @example
 * const request: GroupRequest = { privacyGroupId, signal };
 */
export interface GroupRequest extends ChangeOptions {
  readonly privacyGroupId: GroupId;
}

/**
 * Members of a new group.
 *
 * @example
 * const request: CreateRequest = { participants: [alice, bob] };
 */
export interface CreateRequest extends ChangeOptions {
  /** All members. The client's own key is added when it is missing. */
  readonly participants: readonly EnclaveKey[];
  /** Drawn at random when absent. */
  readonly privacyGroupId?: GroupId | undefined;
  /** Do not ask first whether the group exists. */
  readonly skipExistsCheck?: boolean | undefined;
}

/**
 * Members that join a group.
 *
 * @example
 * const request: AddRequest = { privacyGroupId, participants: [carol] };
 */
export interface AddRequest extends GroupRequest {
  readonly participants: readonly EnclaveKey[];
}

/**
 * A member that leaves a group.
 *
 * @example
 * const request: RemoveRequest = { privacyGroupId, participant: carol };
 */
export interface RemoveRequest extends GroupRequest {
  readonly participant: EnclaveKey;
}

/**
 * A reading of a group.
 *
 * @example
 * const members = await client.groups.participants({ privacyGroupId, blockTag: 17n });
 */
export interface GroupQuery {
  readonly privacyGroupId: GroupId;
  /** `"latest"` when absent. */
  readonly blockTag?: BlockTag | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A group that has been created.
 *
 * @example
 * const { privacyGroupId, receipt }: CreatedGroup = await client.groups.create({ participants });
 */
export interface CreatedGroup {
  readonly privacyGroupId: GroupId;
  readonly participants: readonly EnclaveKey[];
  readonly receipt: PrivateReceipt;
}

/**
 * The outcome of `add`.
 *
 * @example
 * const { added }: AddedMembers = await client.groups.add({ privacyGroupId, participants: [carol] });
 */
export interface AddedMembers {
  /** Those that were no members before. */
  readonly added: readonly EnclaveKey[];
  /** Null when all of them were members already, so that nothing was sent. */
  readonly receipt: PrivateReceipt | null;
}

/**
 * The outcome of `remove`.
 *
 * @example
 * const { removed }: RemovedMember = await client.groups.remove({ privacyGroupId, participant: carol });
 */
export interface RemovedMember {
  /** Whether it was a member. */
  readonly removed: boolean;
  readonly receipt: PrivateReceipt;
}

/**
 * The groups of a client.
 *
 * @example
 * const { privacyGroupId } = await client.groups.create({ participants: [alice, bob] });
 */
export interface Groups {
  /**
   * Fixes a new group's id and members without sending anything, so that the id can be stored
   * first. What it returns is what `create` takes.
   *
   * @example
   * const prepared = client.groups.prepareCreate({ participants: [alice, bob] });
   * await store(prepared.privacyGroupId);
   * await client.groups.create(prepared);
   */
  prepareCreate(request: CreateRequest): CreateRequest & { readonly privacyGroupId: GroupId };
  /**
   * Creates a group; its owner is the signer.
   *
   * @throws {GroupExistsError} the node, or another member's, knows a group with this id.
   * @throws {CreateGroupError} it may have been created or not; `groupId` is its id.
   *
   * @example
   * const { privacyGroupId, receipt } = await client.groups.create({ participants: [alice, bob] });
   */
  create(request: CreateRequest): Promise<CreatedGroup>;
  /**
   * Adds members: locks the group, adds (which unlocks it), and when adding fails unlocks it again.
   * Goes on where an earlier attempt stopped. Only the owner can.
   *
   * @throws {AddMembersError} adding failed; `cause` is why.
   *
   * @example
   * await client.groups.add({ privacyGroupId, participants: [carol] });
   */
  add(request: AddRequest): Promise<AddedMembers>;
  /**
   * Removes a member. It keeps the history it has.
   *
   * @example
   * await client.groups.remove({ privacyGroupId, participant: carol });
   */
  remove(request: RemoveRequest): Promise<RemovedMember>;
  /**
   * Stops the group until it is unlocked: only management calls have effect.
   *
   * @example
   * await client.groups.lock({ privacyGroupId });
   */
  lock(request: GroupRequest): Promise<PrivateReceipt>;
  /**
   * Lets a locked group go on.
   *
   * @example
   * await client.groups.unlock({ privacyGroupId });
   */
  unlock(request: GroupRequest): Promise<PrivateReceipt>;
  /**
   * Whether the group is locked.
   *
   * @example
   * if (await client.groups.isLocked({ privacyGroupId })) console.log("somebody is being added");
   */
  isLocked(query: GroupQuery): Promise<boolean>;
  /**
   * The members, in the contract's order.
   *
   * @throws {GroupNotFoundError} the node does not know the group.
   *
   * @example
   * const members = await client.groups.participants({ privacyGroupId });
   */
  participants(query: GroupQuery): Promise<EnclaveKey[]>;
  /**
   * The groups that have all of these members, or, with `exact`, no others. On a node with
   * authentication the token's own key must be among them, or the list is empty.
   *
   * @throws {EnclaveKeyMismatchError} it is not.
   *
   * @example
   * const groups = await client.groups.find([alice, bob], { exact: true });
   */
  find(
    members: readonly EnclaveKey[],
    options?: { readonly exact?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<PrivacyGroup[]>;
  /**
   * Who may change the membership. Groups of Besu's contract do not tell.
   *
   * @example
   * const owner = await client.groups.owner({ privacyGroupId });
   */
  owner(query: GroupQuery): Promise<Address>;
  /**
   * Offers the ownership to an account or a contract, which gets it by accepting.
   *
   * @example
   * await client.groups.transferOwnership({ privacyGroupId, newOwner });
   */
  transferOwnership(request: GroupRequest & { readonly newOwner: Address }): Promise<PrivateReceipt>;
  /**
   * Takes an offered ownership.
   *
   * @example
   * await client.groups.acceptOwnership({ privacyGroupId });
   */
  acceptOwnership(request: GroupRequest): Promise<PrivateReceipt>;
}

/** @internal */
export function createGroups(session: Session): Groups {
  // Where the core cannot compile itself synchronously, it is waited for.
  const ready =
    <A extends unknown[], T>(run: (session: Session, ...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      await coreReady();
      return run(session, ...args);
    };
  return {
    prepareCreate: (request) => prepareCreate(session, request),
    create: ready(create),
    add: ready(add),
    remove: ready(remove),
    lock: ready(lock),
    unlock: ready(unlock),
    isLocked: ready(isLocked),
    participants: ready(participants),
    find: ready(find),
    owner: ready(owner),
    transferOwnership: ready(transferOwnership),
    acceptOwnership: ready(acceptOwnership),
  };
}

function prepareCreate(
  session: Session,
  request: CreateRequest,
): CreateRequest & { readonly privacyGroupId: GroupId } {
  const it = toOptions(request, "request");
  const own = session.enclaveKey(it.privateFrom);
  const members = toKeys(it.participants);
  if (!members.includes(own)) members.unshift(own);
  const id = it.privacyGroupId === undefined ? randomGroupId() : groupId(it.privacyGroupId);
  return { ...it, participants: members, privacyGroupId: id };
}

/** What is answered of a group that the caller may not see, as of one that there is not. */
const UNSEEN = [GroupNotFoundError, UnauthorizedError, NotAParticipantError];

/** Creates a group. */
export async function create(session: Session, request: CreateRequest): Promise<CreatedGroup> {
  const prepared = prepareCreate(session, request);
  const { privacyGroupId, participants: members } = prepared;
  if (!prepared.skipExistsCheck) {
    const signal = toSignal(prepared.signal);
    // Sees only groups that this node knows; the node asks the members' nodes.
    const query = { privacyGroupId, signal };
    const answer = await ask(session, query, participantsData()).catch((error: unknown) => {
      // With authentication: no group of the caller's. If it is another's, the node refuses it.
      if (UNSEEN.some((kind) => error instanceof kind)) return "0x";
      throw error;
    });
    if (answer !== "0x") {
      throw new GroupExistsError(`privacy group ${privacyGroupId} exists already`, {
        code: "GROUP_EXISTS",
        hint: "Choose another id; random ones never collide.",
      });
    }
  }
  const data = addParticipantsData(members, session.groupAbi);
  const receipt = await change(session, "create", prepared, data).catch((error: unknown) => {
    const open = error instanceof AbortError || isTransient(error);
    throw open ? new CreateGroupError(privacyGroupId, error) : error;
  });
  return { privacyGroupId, participants: members, receipt };
}

/** Adds members. */
export async function add(session: Session, request: AddRequest): Promise<AddedMembers> {
  const it = toGroupRequest(request);
  const wanted = toKeys(it.participants);
  if (wanted.length === 0) throw new InvalidInputError("participants must have a key");
  const query = { privacyGroupId: it.privacyGroupId, signal: it.signal };
  const present = await participants(session, query);
  const added = wanted.filter((key) => !present.includes(key));
  if (added.length === 0) {
    it.onProgress?.({ step: "add", state: "skipped" });
    return { added, receipt: null };
  }
  const locked = await isLocked(session, query);
  if (locked) it.onProgress?.({ step: "lock", state: "skipped" });
  else await lock(session, it);
  try {
    const data = addParticipantsData(added, session.groupAbi);
    return { added, receipt: await change(session, "add", it, data) };
  } catch (error) {
    throw await undoLock(session, it, error, locked);
  }
}

/**
 * Unlocks after a failed addition, unless the group was locked before, or the addition may still
 * have its effect.
 */
async function undoLock(
  session: Session,
  request: AddRequest,
  cause: unknown,
  wasLocked: boolean,
): Promise<AddMembersError> {
  const { privacyGroupId } = request;
  const open =
    cause instanceof ReceiptTimeoutError ||
    cause instanceof AbortError ||
    cause instanceof ConnectionError;
  if (wasLocked || open) return new AddMembersError(privacyGroupId, cause, false);
  try {
    // A callback that throws must not keep the group locked.
    await unlock(session, { ...request, onProgress: quiet(request.onProgress) });
    return new AddMembersError(privacyGroupId, cause, true);
  } catch (error) {
    return new AddMembersError(privacyGroupId, cause, false, error);
  }
}

/** Removes a member. */
export async function remove(session: Session, request: RemoveRequest): Promise<RemovedMember> {
  const it = toGroupRequest(request);
  const data = removeParticipantData(enclaveKey(it.participant), session.groupAbi);
  const receipt = await change(session, "remove", it, data);
  return { removed: toBool(receipt.output), receipt };
}

/** Locks a group. */
export function lock(session: Session, request: GroupRequest): Promise<PrivateReceipt> {
  const it = toGroupRequest(request);
  return change(session, "lock", it, withCore((core) => core.lockCalldata()) as Hex);
}

/** Unlocks a group. */
export function unlock(session: Session, request: GroupRequest): Promise<PrivateReceipt> {
  const it = toGroupRequest(request);
  return change(session, "unlock", it, withCore((core) => core.unlockCalldata()) as Hex);
}

/** Whether a group is locked. */
export async function isLocked(session: Session, query: GroupQuery): Promise<boolean> {
  const data = withCore((core) => core.canExecuteCalldata()) as Hex;
  return !toBool(await known(session, query, data));
}

/** The members of a group. */
export async function participants(session: Session, query: GroupQuery): Promise<EnclaveKey[]> {
  return decodeParticipants(await known(session, query, participantsData()), "auto");
}

/** Finds groups by their members. */
export async function find(
  session: Session,
  members: readonly EnclaveKey[],
  options: { readonly exact?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<PrivacyGroup[]> {
  const keys = toKeys(members);
  const { exact, signal } = toOptions(options, "options");
  const ask = (method: string) => session.rpc(method, [keys], { signal: toSignal(signal) });
  const groups = toGroups(
    await ask("privx_findFlexiblePrivacyGroup").catch((error: unknown) => {
      // Its name before Besu 22.1.
      if (!(error instanceof MethodDisabledError)) throw error;
      return ask("privx_findOnChainPrivacyGroup");
    }),
  );
  if (!exact) return groups;
  const wanted = new Set<string>(keys);
  return groups.filter((group) => {
    const found = new Set<string>(group.members);
    return found.size === wanted.size && [...found].every((key) => wanted.has(key));
  });
}

/** The owner of a group. */
export async function owner(session: Session, query: GroupQuery): Promise<Address> {
  const data = withCore((core) => core.ownerCalldata()) as Hex;
  let output: Hex;
  try {
    output = await known(session, query, data);
  } catch (error) {
    if (!(error instanceof CallRevertedError)) throw error;
    throw new MethodDisabledError("this group's management contract does not tell its owner", {
      code: "NO_OWNER_FUNCTION",
      method: "priv_call",
      cause: error,
      hint: "Groups of Besu's own contract have no owner(); the creator owns them.",
    });
  }
  if (!/^0x0{24}[0-9a-fA-F]{40}$/.test(output)) {
    throw new InvalidResponseError("owner() did not answer an address");
  }
  return `0x${output.slice(26)}`;
}

/** Offers the ownership. */
export function transferOwnership(
  session: Session,
  request: GroupRequest & { readonly newOwner: Address },
): Promise<PrivateReceipt> {
  const it = toGroupRequest(request);
  const next = toAddress(it.newOwner, "newOwner");
  const data = withCore((core) => core.transferOwnershipCalldata(next)) as Hex;
  return change(session, "transfer", it, data);
}

/** Takes an offered ownership. */
export function acceptOwnership(session: Session, request: GroupRequest): Promise<PrivateReceipt> {
  const it = toGroupRequest(request);
  return change(session, "accept", it, withCore((core) => core.acceptOwnershipCalldata()) as Hex);
}

/** Sends a management call, waits, and says what went wrong in terms of groups. */
async function change(
  session: Session,
  step: GroupProgress["step"],
  request: GroupRequest,
  data: Hex,
): Promise<PrivateReceipt> {
  const { privacyGroupId, onProgress } = request;
  const { signal, interval, timeout, retries, gas, gasPrice, privateFrom } = request;
  onProgress?.({ step, state: "sending" });
  let receipt: PrivateReceipt;
  try {
    receipt = await execute(session, {
      privacyGroupId, to: MANAGEMENT_ADDRESS, data,
      gas, gasPrice, privateFrom, signal, interval, timeout, retries,
      onProgress: ({ state }) => onProgress?.({ step, state }),
    });
  } catch (error) {
    throw await inTermsOfGroups(session, step, privacyGroupId, error);
  }
  quiet(onProgress)({ step, state: "done" });
  return receipt;
}

/** A callback whose failure changes nothing: what it is told of has happened already. */
function quiet(onProgress: ChangeOptions["onProgress"]): (progress: GroupProgress) => void {
  return (progress) => {
    try {
      onProgress?.(progress);
    } catch {
      // Its own matter.
    }
  };
}

/** The contract reverts without a word when the lock is not as it must be. */
async function inTermsOfGroups(
  session: Session,
  step: GroupProgress["step"],
  group: GroupId,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof TransactionRevertedError) || error.constructor !== TransactionRevertedError) {
    return error;
  }
  if (error.revertData !== "0x") return error;
  let locked: boolean;
  try {
    locked = await isLocked(session, { privacyGroupId: group });
  } catch {
    return error;
  }
  const wrong = { lock: locked, remove: locked, unlock: !locked, add: !locked } as Record<string, boolean>;
  if (!wrong[step]) return error;
  const message = locked ? "the group is locked" : "the group is not locked";
  return new GroupLockedError(message, group, error.receipt, {
    code: locked ? "GROUP_LOCKED" : "GROUP_NOT_LOCKED",
    cause: error,
    hint: locked ? undefined : "Lock the group first.",
  });
}

/** Asks the management contract. */
function ask(session: Session, query: GroupQuery, data: Hex): Promise<Hex> {
  const { privacyGroupId, blockTag, signal } = toOptions(query, "query");
  return call(session, { privacyGroupId, blockTag, signal, to: MANAGEMENT_ADDRESS, data });
}

/** The same for a group that must exist. */
async function known(session: Session, query: GroupQuery, data: Hex): Promise<Hex> {
  const output = await ask(session, query, data);
  if (output !== "0x") return output;
  throw new GroupNotFoundError(`privacy group ${query.privacyGroupId} is unknown to this node`, {
    code: "GROUP_UNKNOWN",
    method: "priv_call",
    hint: "Is the id right, and is your node's key a member?",
  });
}

function participantsData(): Hex {
  return withCore((core) => core.participantsCalldata()) as Hex;
}

/** Keys without repetition. */
function toKeys(value: readonly EnclaveKey[]): EnclaveKey[] {
  return [...new Set(toArray(value, "participants").map((key) => enclaveKey(key as string)))];
}

function toGroupRequest<T extends GroupRequest>(request: T): T {
  const it = toOptions(request, "request");
  return { ...it, privacyGroupId: groupId(it.privacyGroupId) };
}

function toBool(output: Hex): boolean {
  if (!/^0x0{63}[01]$/.test(output)) {
    throw new InvalidResponseError("the management contract did not answer a bool");
  }
  return output.endsWith("1");
}
