/**
 * Waiting for the private receipt of a marker.
 *
 * First the public chain must mine the marker, then the node must follow its block. A node that
 * answers null then either is still behind, or takes over the group's history, or the transaction
 * is not for it: these are told apart by whether the node can read the transaction, and by whether
 * it answers calls at that block.
 */

import {
  NotAParticipantError,
  ReceiptTimeoutError,
  RpcError,
  isTransient,
  receiptError,
  throwIfAborted,
} from "./errors.js";
import { toCount, toHash, toOptions, toSignal, toQuantity } from "./input.js";
import { toMinedIn, toReceipt } from "./responses.js";
import { MANAGEMENT_ADDRESS, withCore } from "./codec.js";
import { tryRevert, type Rpc } from "./rpc.js";
import { Deadline, pause } from "./wait.js";
import type { GroupId, Hash, PrivateReceipt } from "./types.js";

/**
 * How often to ask, and for how long.
 *
 * @example
 * const client = createPrivacyClient({ url, polling: { interval: 250, timeout: 60_000 } });
 */
export interface Polling {
  /** Between polls, in ms; 1000 when absent. */
  readonly interval?: number | undefined;
  /** Altogether, in ms; 300,000 when absent. */
  readonly timeout?: number | undefined;
  /** Failures in a row of a kind that may pass (a dropped connection); 10 when absent. */
  readonly retries?: number | undefined;
}

/**
 * What a wait reports while it lasts.
 *
 * @example
 * await client.waitForReceipt(hash, { onProgress: ({ state, elapsed }) => console.log(state, elapsed) });
 */
export interface WaitProgress {
  readonly hash: Hash;
  /** `"pending"`: not mined. `"mined"`: mined, the node has not executed it. */
  readonly state: "pending" | "mined";
  readonly elapsed: number;
}

/**
 * How to wait for one receipt.
 *
 * @example
 * const receipt = await client.waitForReceipt(hash, { signal, timeout: 60_000 });
 */
export interface WaitOptions extends Polling {
  readonly signal?: AbortSignal | undefined;
  /** Told in errors; the client knows it for what it sent itself. */
  readonly privacyGroupId?: GroupId | undefined;
  readonly onProgress?: ((progress: WaitProgress) => void) | undefined;
}

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 300_000;
const RETRIES = 10;
/** How often a node that cannot say how far it is must answer null before it is believed. */
const NULLS_MAX = 5;

/** Checks polling options. */
export function toPolling(polling: Polling = {}, base: Required<Polling> = defaults()) {
  const known = { ...base };
  toOptions(polling, "polling");
  for (const name of ["interval", "timeout", "retries"] as const) {
    const value = polling[name];
    if (value !== undefined) (known as Record<string, number>)[name] = toCount(value, `polling.${name}`);
  }
  return known as Required<{ [K in keyof Polling]: number }>;
}

function defaults(): { interval: number; timeout: number; retries: number } {
  return { interval: INTERVAL_MS, timeout: TIMEOUT_MS, retries: RETRIES };
}

/** Waits for the private receipt, whatever its status. */
export async function waitForReceipt(
  rpc: Rpc,
  marker: Hash,
  options: WaitOptions,
  base?: Required<{ [K in keyof Polling]: number }>,
): Promise<PrivateReceipt> {
  const hash = toHash(marker, "hash");
  const polling = toPolling(options, base);
  const signal = toSignal(options.signal);
  const started = Date.now();
  const group = options.privacyGroupId;
  const wait = new Wait(rpc, hash, group, signal);
  let failures = 0;
  let last: unknown;
  for (;;) {
    try {
      const receipt = await wait.poll(polling.timeout - (Date.now() - started));
      if (receipt) return receipt;
      failures = 0;
      last = undefined;
    } catch (error) {
      if (wait.expired) throw wait.timedOut(polling.timeout, last);
      if (!isTransient(error)) throw error;
      last = error;
      failures += 1;
      if (failures > polling.retries) throw error;
    }
    const elapsed = Date.now() - started;
    if (elapsed >= polling.timeout) throw wait.timedOut(polling.timeout, last);
    options.onProgress?.({ hash, state: wait.minedIn === null ? "pending" : "mined", elapsed });
    await pause(Math.min(polling.interval, polling.timeout - elapsed), signal);
  }
}

/** What is known so far of one marker. */
class Wait {
  minedIn: bigint | null = null;
  expired = false;
  #nulls = 0;

  constructor(
    readonly rpc: Rpc,
    readonly hash: Hash,
    readonly group: GroupId | undefined,
    readonly signal: AbortSignal | undefined,
  ) {}

  timedOut(timeoutMs: number, cause: unknown): ReceiptTimeoutError {
    return new ReceiptTimeoutError(this.hash, this.group, timeoutMs, this.minedIn !== null, cause);
  }

  /** Asks once; null when it is too early. A single answer may not outlast the whole wait. */
  async poll(remainingMs: number): Promise<PrivateReceipt | null> {
    const limit = new Deadline(this.signal, remainingMs);
    try {
      return await this.#ask(limit.signal);
    } catch (error) {
      throwIfAborted(this.signal);
      this.expired = limit.expired;
      throw error;
    } finally {
      limit.end();
    }
  }

  async #ask(signal: AbortSignal): Promise<PrivateReceipt | null> {
    const call = (method: string, params: readonly unknown[]) =>
      this.rpc.rpc(method, params, { signal });
    // Asked anew each time: a reorganisation may move the marker, or take it away.
    this.minedIn = toMinedIn(await call("eth_getTransactionReceipt", [this.hash]));
    if (this.minedIn === null) {
      this.#nulls = 0;
      return null;
    }
    const ask = async () =>
      toReceipt(await call("priv_getTransactionReceipt", [this.hash]), this.hash);
    const receipt = await ask();
    if (receipt) return receipt;
    if (await this.#isOurs(call)) return null;
    if (!(await this.#isFollowed(call, this.minedIn))) return null;
    // The block may have been followed between the two questions.
    const again = await ask();
    if (again) return again;
    throw new NotAParticipantError(`the transaction of marker ${this.hash} is not for this node`, {
      code: "NOT_A_PARTICIPANT",
      method: "priv_getTransactionReceipt",
      hint: "Its node's keys are no recipients of it; ask another member's node.",
    });
  }

  /** Whether the node can read the transaction. */
  async #isOurs(call: (method: string, params: readonly unknown[]) => Promise<unknown>) {
    return (await call("priv_getPrivateTransaction", [this.hash])) !== null;
  }

  /** Whether the node has followed the marker's block: a call at a block that it has not is null. */
  async #isFollowed(
    call: (method: string, params: readonly unknown[]) => Promise<unknown>,
    block: bigint,
  ): Promise<boolean> {
    const followed = await isFollowed(call, block, this.group);
    if (followed !== undefined) return followed;
    this.#nulls += 1;
    return this.#nulls >= NULLS_MAX;
  }
}

/**
 * Whether the node has followed this block, a number or as nodes take it; undefined when it cannot be
 * told. Any group will do, because a call in an unknown one is answered from empty state; only with
 * authentication it must be one of the caller's, or it is not told.
 */
export async function isFollowed(
  call: (method: string, params: readonly unknown[]) => Promise<unknown>,
  block: bigint | string,
  group: GroupId | undefined,
): Promise<boolean | undefined> {
  const data = withCore((core) => core.canExecuteCalldata());
  const anyGroup = group ?? "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  try {
    const at = typeof block === "string" ? block : toQuantity(block);
    const params = [anyGroup, { to: MANAGEMENT_ADDRESS, data }, at];
    return (await call("priv_call", params)) !== null;
  } catch (error) {
    // Still behind, or something that may pass.
    if (isTransient(error) || !(error instanceof RpcError)) throw error;
    return undefined;
  }
}

/**
 * Throws unless the transaction had its effect.
 *
 * @throws {TransactionRevertedError} or one of its kind, or {@link GroupLockedError}.
 *
 * @example
 * assertSuccess(await client.waitForReceipt(hash));
 */
export function assertSuccess(receipt: PrivateReceipt): PrivateReceipt {
  if (receipt.status === "success") return receipt;
  throw receiptError(receipt, tryRevert);
}

