/**
 * Logs as they come, by asking again and again.
 *
 * Nothing is missed and nothing comes twice: each time a stretch of blocks that were seen before is
 * asked for too, so that a reorganisation shows; its logs come once more with `removed: true`. What
 * is not there is taken for removed only when the node says that it has followed that block, since a
 * node that restarts has followed nothing for a while. A node that cannot be reached is asked until
 * it answers.
 *
 * Where the node tells of logs, by WebSocket, it is asked at once when there are some, and else
 * seldom. What it tells is only a reason to ask: this way it is the same whether the connection
 * breaks, the node restarts or nothing is told at all.
 */

import { coreReady, groupId } from "./codec.js";
import { toFilter } from "./actions.js";
import { AbortError, InvalidInputError, LimitExceededError, isTransient } from "./errors.js";
import { toBlock, toCount, toOptions, toQuantity, toSignal } from "./input.js";
import { isFollowed } from "./receipts.js";
import { toLogs, toNumberResult } from "./responses.js";
import { endable, pause } from "./wait.js";
import type { Session } from "./session.js";
import type { GroupId, LogFilter, PrivateLog } from "./types.js";

/**
 * Which logs to watch.
 *
 * @example
 * const request: WatchRequest = { privacyGroupId, address, fromBlock: 17n };
 */
export interface WatchRequest extends Omit<LogFilter, "toBlock" | "blockHash"> {
  readonly privacyGroupId: GroupId;
}

/**
 * How to watch.
 *
 * @example
 * for await (const log of client.watchLogs({ privacyGroupId }, { signal, interval: 500 })) use(log);
 */
export interface WatchOptions {
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Between polls, in ms. When absent, the client's polling interval, or 30 seconds while the node
   * tells of logs by itself.
   */
  readonly interval?: number | undefined;
  /** How many blocks are asked for again, to notice reorganisations; 12 when absent. */
  readonly reorgDepth?: number | undefined;
  /** Told of failures that may pass; watching goes on. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

const REORG_DEPTH = 12;
/** Between polls while the node tells of logs: should one not be told, it comes by then. */
const TOLD_INTERVAL_MS = 30_000;
const MANY = 1n << 64n;

/** The logs that match, those of `fromBlock` on, or from now on. */
export function watchLogs(
  session: Session,
  request: WatchRequest,
  options: WatchOptions = {},
): AsyncGenerator<PrivateLog, void, undefined> {
  const { privacyGroupId, ...filter } = toOptions(request, "request");
  for (const name of ["toBlock", "blockHash"]) {
    if ((filter as Record<string, unknown>)[name] !== undefined) {
      throw new InvalidInputError(`${name} has no meaning for logs that are still to come`);
    }
  }
  const { fromBlock = "latest", ...what } = filter;
  const from = toBlock(fromBlock, "fromBlock");
  const outer = toSignal(toOptions(options, "options").signal);
  const watch = new Watch(session, privacyGroupId, toFilter(what), options);
  return endable(outer, (signal) => watch.run(from, signal));
}

class Watch {
  readonly #session: Session;
  #group: GroupId;
  readonly #filter: Record<string, unknown>;
  #signal: AbortSignal | undefined;
  readonly #intervalMs: number;
  /** The same while the node tells of logs. */
  readonly #toldMs: number;
  readonly #depth: bigint;
  readonly #onError: ((error: unknown) => void) | undefined;
  /** What was given out, of the blocks that are asked for again. */
  readonly #seen = new Map<string, PrivateLog>();
  #first = 0n;
  /** Blocks below this one were read to their end. */
  #next = 0n;
  /** How many blocks to try at a time, when the node does not give all. */
  #span = MANY;
  /** Whether the node tells of logs. */
  #isTold = false;
  /** What was seen is not there, and nobody tells when it is known why. */
  #isUnsure = false;
  /** Something was told, and not asked for yet. */
  #news = false;
  /** Ends a rest. */
  #wake = () => {};

  constructor(
    session: Session,
    group: GroupId,
    filter: Record<string, unknown>,
    options: WatchOptions,
  ) {
    this.#session = session;
    this.#group = group;
    this.#filter = filter;
    this.#intervalMs = toCount(options.interval ?? session.polling.interval, "interval");
    this.#toldMs = options.interval ?? TOLD_INTERVAL_MS;
    const depth = toCount(options.reorgDepth ?? REORG_DEPTH, "reorgDepth");
    this.#depth = BigInt(Math.min(Math.floor(depth), Number.MAX_SAFE_INTEGER));
    this.#onError = options.onError;
  }

  async *run(from: string, signal: AbortSignal): AsyncGenerator<PrivateLog, void, undefined> {
    this.#signal = signal;
    let behind = false;
    let unsubscribe: (() => void) | undefined;
    try {
      await coreReady();
      this.#group = groupId(this.#group);
      unsubscribe = this.#session.node.privSubscribe?.([this.#group, "logs", this.#filter], (isTold) => {
        this.#isTold = isTold;
        this.#news = true;
        this.#wake();
      });
      this.#first = this.#next = await this.#persist(() => this.#start(from));
      for (;;) {
        const { logs, more } = await this.#persist(() => this.#poll(behind));
        for (const log of logs) {
          if (signal.aborted) return;
          yield log;
        }
        behind = more;
        if (!more) await this.#rest(this.#isTold && !this.#isUnsure ? this.#toldMs : this.#intervalMs);
      }
    } catch (error) {
      if (!(error instanceof AbortError && signal.aborted)) throw error;
    } finally {
      unsubscribe?.();
    }
  }

  /** Waits until the time is over or something is told. */
  async #rest(ms: number): Promise<void> {
    if (!this.#news) await pause(ms, this.#signal, (end) => (this.#wake = end));
    this.#news = false;
  }

  /** Tries until it succeeds, or fails for good. */
  async #persist<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!isTransient(error)) throw error;
        this.#onError?.(error);
      }
      await this.#rest(this.#intervalMs);
    }
  }

  async #start(from: string): Promise<bigint> {
    if (from.startsWith("0x")) return BigInt(from);
    if (from === "earliest") return 0n;
    if (from === "latest" || from === "pending") return (await this.#head()) + 1n;
    const block = await this.#call("eth_getBlockByNumber", [from, false]);
    const number = (block as Record<string, unknown> | null)?.["number"];
    return toNumberResult(number, `the number of the ${from} block`);
  }

  /** The next logs; `more` when the node was not asked for all of them. `behind`: it was not before. */
  async #poll(behind: boolean): Promise<{ logs: PrivateLog[]; more: boolean }> {
    this.#isUnsure = false;
    if (!behind) {
      try {
        return { logs: await this.#whole(), more: false };
      } catch (error) {
        if (!(error instanceof LimitExceededError)) throw error;
      }
    }
    return this.#part(behind);
  }

  /** What was seen again, and all that is new. */
  async #whole(): Promise<PrivateLog[]> {
    const from = this.#back();
    const { logs, found } = await this.#compare(from, MANY, () => this.#read(from, "latest"));
    for (const { blockNumber } of found) if (blockNumber > this.#next) this.#next = blockNumber;
    this.#forget();
    return logs;
  }

  /** The same in pages: what was seen, then the first page of what is new. */
  async #part(behind: boolean): Promise<{ logs: PrivateLog[]; more: boolean }> {
    const last = this.#next - 1n;
    const seen = behind ? [] : (await this.#compare(this.#back(), last, () => this.#pages(last))).logs;
    const [from, head] = [this.#next, await this.#head()];
    let to = head - from < this.#span ? head : from + this.#span - 1n;
    while (to > from && !(await this.#isFollowed(to))) to = from + (to - from) / 2n;
    if (to < from || (to === from && !(await this.#isFollowed(to)))) return { logs: seen, more: false };
    const page = await this.#page(from, to);
    const logs = [...seen, ...this.#take(page.found)];
    this.#next = page.to + 1n;
    this.#span = 2n * (this.#next - from);
    this.#forget();
    return { logs, more: page.to < head };
  }

  /** All logs of the blocks to be seen again. */
  async #pages(to: bigint): Promise<PrivateLog[]> {
    const all: PrivateLog[] = [];
    for (let from = this.#back(); from <= to; ) {
      const page = await this.#page(from, to);
      all.push(...page.found);
      from = page.to + 1n;
    }
    return all;
  }

  /** As many blocks as the node gives at a time; it must give one. */
  async #page(from: bigint, to: bigint): Promise<{ found: PrivateLog[]; to: bigint }> {
    for (;;) {
      try {
        return { found: await this.#read(from, toQuantity(to)), to };
      } catch (error) {
        if (!(error instanceof LimitExceededError) || to <= from) throw error;
        to = from + (to - from) / 2n;
      }
    }
  }

  /** What is new, after what is gone, in these blocks. Nothing, while the node is not there yet. */
  async #compare(
    from: bigint,
    to: bigint,
    read: () => Promise<PrivateLog[]>,
  ): Promise<{ logs: PrivateLog[]; found: PrivateLog[] }> {
    const missing = (found: readonly PrivateLog[]) => {
      const there = new Set(found.map(idOf));
      return [...this.#seen.values()].filter(
        (log) => log.blockNumber >= from && log.blockNumber <= to && !there.has(idOf(log)),
      );
    };
    let found = await read();
    const highest = missing(found).reduce(
      (max, { blockNumber }) => (blockNumber > max ? blockNumber : max),
      -1n,
    );
    if (highest >= 0n) {
      // Gone, or the node is not there yet. Read again after it says that it is.
      this.#isUnsure = !(await this.#isFollowed(highest));
      if (this.#isUnsure) return { logs: [], found: [] };
      found = await read();
    }
    const removed = missing(found).reverse();
    for (const log of removed) this.#seen.delete(idOf(log));
    const fresh = this.#take(found);
    return { logs: [...removed.map((log) => ({ ...log, removed: true })), ...fresh], found };
  }

  /** Where to begin, some blocks before those that are new. */
  #back(): bigint {
    const back = this.#next - this.#depth;
    return back > this.#first ? back : this.#first;
  }

  #take(found: readonly PrivateLog[]): PrivateLog[] {
    const fresh = found.filter((log) => !log.removed && !this.#seen.has(idOf(log)));
    for (const log of fresh) this.#seen.set(idOf(log), log);
    return fresh;
  }

  #forget(): void {
    const back = this.#back();
    for (const [id, log] of this.#seen) if (log.blockNumber < back) this.#seen.delete(id);
  }

  async #read(from: bigint, toBlock: string): Promise<PrivateLog[]> {
    const filter = { ...this.#filter, fromBlock: toQuantity(from), toBlock };
    return toLogs(await this.#call("priv_getLogs", [this.#group, filter]));
  }

  async #head(): Promise<bigint> {
    return toNumberResult(await this.#call("eth_blockNumber", []), "the block number");
  }

  async #isFollowed(block: bigint): Promise<boolean> {
    const call = (method: string, params: readonly unknown[]) => this.#call(method, params);
    return (await isFollowed(call, block, this.#group)) ?? true;
  }

  #call(method: string, params: readonly unknown[]): Promise<unknown> {
    return this.#session.rpc(method, params, { signal: this.#signal });
  }
}

function idOf({ blockHash, transactionHash, logIndex }: PrivateLog): string {
  return `${blockHash}/${transactionHash}/${logIndex}`;
}
