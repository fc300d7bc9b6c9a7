// Logs of a group as they come: by the node's filters, by its WebSocket subscriptions, or where it
// has neither by asking for logs. One shape of event whichever it is: a formatted log, once each.

import { MethodDisabledError, RpcError } from "../errors.js";
import { providerError, type Rpc } from "../rpc.js";
import { Session } from "../session.js";
import type { GroupId, LogFilter, PrivateLog } from "../types.js";
import { TIMER_MS_MAX, pause } from "../wait.js";
import { watchLogs } from "../watch.js";
import type { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { formatLog } from "./format.js";
import { withCallback } from "./methods.js";
import type Web3Quorum from "./index.js";

/** Logs that are kept for the first listener. */
const WAITING_MAX = 10_000;
/** Logs that are remembered so that none is told twice. */
const SEEN_MAX = 10_000;
/** Blocks that are read again after an interruption: some may have been reorganised meanwhile. */
const OVERLAP_BLOCKS = 12;

type Logs = Record<string, unknown>[];

/** Where logs come from. */
interface Source {
  /** Starts; gives the id that callers are told. */
  start(): Promise<string>;
  /** New logs, when they must be asked for. */
  poll?(): Promise<Logs>;
  /** Ends it at the node. */
  stop(id: string): Promise<unknown>;
}

/** The node has no such method: another way must do. */
export function isMissing(error: unknown): boolean {
  return error instanceof MethodDisabledError;
}

/** A running subscription. */
export class PrivateSubscription extends Emitter {
  readonly privacyGroupId: string;
  readonly filter: Web3Quorum.LogFilter;
  /** The node's id of the filter or subscription. */
  filterId: string | null = null;
  readonly #connection: Connection;
  readonly #intervalMs: number;
  readonly #seen = new Set<string>();
  #source: Source | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: Web3Quorum.FormattedLog[] = [];
  #stopped = false;
  /** The newest block of which there was a log. */
  #newest = -1n;
  #ended: Promise<unknown> | undefined;

  constructor(connection: Connection, privacyGroupId: string, filter: Web3Quorum.LogFilter, intervalMs: number) {
    super();
    this.#connection = connection;
    this.privacyGroupId = privacyGroupId;
    this.filter = filter ?? {};
    this.#intervalMs = Math.min(Math.max(Number(intervalMs) || 1000, 1), TIMER_MS_MAX);
  }

  /** Starts it. Not for callers: `subscribeWithPooling` has done it. */
  async subscribe(): Promise<string> {
    const provider = this.#connection.provider as Web3Quorum.Provider;
    const sources = [
      // Only web3's own socket providers tell notifications of any method.
      ...(typeof provider?.on === "function" && typeof provider.request !== "function"
        ? [() => new Notifications(this.#connection, provider, this)]
        : []),
      () => new NodeFilter(this.#connection, this),
      () => new LogPoll(this.#connection, this, this.#intervalMs),
    ];
    for (const [at, make] of sources.entries()) {
      const source = make();
      try {
        this.filterId = await source.start();
        this.#source = source;
        break;
      } catch (error) {
        if (!isMissing(error) || at === sources.length - 1) throw error;
      }
    }
    if (this.filterId === null || this.filterId === undefined) throw new RpcError("Failed to set filter ID");
    if (this.#source?.poll) void this.#poll();
    return this.filterId;
  }

  override on(event: string, listener: (...values: never[]) => void): this {
    super.on(event, listener);
    if (event === "data") this.#deliver();
    return this;
  }

  override once(event: string, listener: (...values: never[]) => void): this {
    super.once(event, listener);
    if (event === "data") this.#deliver();
    return this;
  }

  /** Ends it: no event comes after this, and nothing is asked any more. */
  unsubscribe(callback?: Web3Quorum.Callback<unknown>): Promise<unknown> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.removeAllListeners();
    this.#ended ??= this.#source && this.filterId !== null ? this.#source.stop(this.filterId) : Promise.resolve(null);
    const told = callback && ((error: Error | null | undefined) => (error ? callback(error) : callback(null, true)));
    return withCallback(this.#ended, told);
  }

  /** Takes logs from a source, in whatever form and however often they come. */
  accept(logs: Logs): void {
    if (this.#stopped) return;
    for (const log of logs) {
      const id = ["blockHash", "transactionHash", "logIndex"].map((name) => String(log[name])).join();
      const key = `${id},${log["removed"] === true}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      // A branch may come back: what was taken back is told again, and the other way round.
      this.#seen.delete(`${id},${log["removed"] !== true}`);
      this.#waiting.push(formatLog(log));
      const block = blockNumber(log["blockNumber"]) ?? -1n;
      if (block > this.#newest) this.#newest = block;
    }
    // The oldest go first: a set keeps the order.
    for (const key of this.#seen) {
      if (this.#seen.size <= SEEN_MAX) break;
      this.#seen.delete(key);
    }
    this.#waiting = this.#waiting.slice(-WAITING_MAX);
    this.#deliver();
  }

  /** Where to begin again what began at `first`, so that little is read twice. */
  again(first: bigint): bigint {
    const back = this.#newest - BigInt(OVERLAP_BLOCKS);
    return back > first ? back : first;
  }

  /** Whether it was ended. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Tells an error; polling goes on. */
  fail(error: unknown): void {
    this.tell("error", error);
  }

  /** Tells what is no log. What a listener throws is uncaught, as it is for `data`, and ends nothing. */
  tell(event: string, ...values: unknown[]): void {
    if (this.#stopped) return;
    try {
      this.emit(event, ...values);
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }

  /** What waited for a listener, and what has come; not before the caller has its promise. */
  #deliver(): void {
    queueMicrotask(() => {
      while (!this.#stopped && this.#waiting.length > 0 && this.listenerCount("data") > 0) {
        this.emit("data", this.#waiting.shift());
      }
    });
  }

  async #poll(): Promise<void> {
    try {
      this.accept((await this.#source?.poll?.()) ?? []);
    } catch (error) {
      this.fail(error);
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#poll(), this.#intervalMs);
  }
}

/** `priv_newFilter` and `priv_getFilterChanges`. */
class NodeFilter implements Source {
  readonly #connection: Connection;
  readonly #of: PrivateSubscription;
  /** Past logs are asked for once, when the caller wants them. */
  #past: boolean;
  /** The block where it began; undefined when the node does not tell. */
  #first: bigint | undefined;

  constructor(connection: Connection, of: PrivateSubscription) {
    this.#connection = connection;
    this.#of = of;
    this.#past = (of.filter.fromBlock ?? null) !== null;
  }

  async start(): Promise<string> {
    const { filter } = this.#of;
    // Asked before the filter is there, so that nothing lies between the two.
    this.#first = blockNumber(filter.fromBlock) ?? (await fromNow(this.#connection, this.#past ? 0n : 1n));
    return this.#make(filter);
  }

  async poll(): Promise<Logs> {
    const params = [this.#of.privacyGroupId, this.#of.filterId];
    try {
      if (this.#past) {
        this.#of.accept((await this.#connection.request("priv_getFilterLogs", params)) as Logs);
        this.#past = false;
      }
      return (await this.#connection.request("priv_getFilterChanges", params)) as Logs;
    } catch (error) {
      if (!(error instanceof RpcError && /filter not found/i.test(error.message))) throw error;
      await this.#replace();
      return [];
    }
  }

  async stop(id: string): Promise<unknown> {
    await this.#connection.request("priv_uninstallFilter", [this.#of.privacyGroupId, id]);
    return id;
  }

  #make(filter: Web3Quorum.LogFilter): Promise<string> {
    return this.#connection.request("priv_newFilter", [this.#of.privacyGroupId, filter]) as Promise<string>;
  }

  /** The node forgot the filter, as after a restart: a new one, and what was missed in between. */
  async #replace(): Promise<void> {
    const { filter } = this.#of;
    const first = this.#first;
    const missed = first === undefined ? {} : { fromBlock: hex(this.#of.again(first)) };
    const id = await this.#make({ ...filter, ...missed });
    if (this.#of.stopped) {
      // Nobody is left to be told of a failure; the node forgets filters that are not asked for.
      await this.stop(id).catch(() => {});
      return;
    }
    this.#of.filterId = id;
    this.#past = first !== undefined;
  }
}

/**
 * `priv_getLogs` again and again, for nodes that have no filters. How that is done without missing
 * any is `watchLogs`'s affair; here an error does not end it.
 */
class LogPoll implements Source {
  readonly #session: Session;
  readonly #connection: Connection;
  readonly #of: PrivateSubscription;
  readonly #intervalMs: number;
  readonly #ending = new AbortController();
  /** The newest block that the caller wants. */
  #last: bigint | undefined;
  #first = 0n;

  constructor(connection: Connection, of: PrivateSubscription, intervalMs: number) {
    this.#connection = connection;
    this.#of = of;
    this.#intervalMs = intervalMs;
    const rpc: Rpc["rpc"] = (method, params, options) => connection.request(method, params, options);
    this.#session = new Session({ rpc }, {});
  }

  async start(): Promise<string> {
    const { fromBlock, toBlock } = this.#of.filter;
    this.#last = blockNumber(toBlock);
    this.#first = blockNumber(fromBlock) ?? (await this.#head()) + 1n;
    // What is wrong with the filter is told before anything is begun.
    void this.#run(this.#watch());
    const random = crypto.getRandomValues(new Uint8Array(16));
    return `0x${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  stop(id: string): Promise<unknown> {
    this.#ending.abort();
    return Promise.resolve(id);
  }

  #watch(): AsyncIterable<PrivateLog> {
    const { fromBlock: _from, toBlock: _to, ...rest } = this.#of.filter;
    // web3 takes null for what is not given.
    const given = Object.entries(rest).filter(([, value]) => value !== null && value !== undefined);
    const filter = Object.fromEntries(given) as Omit<LogFilter, "fromBlock" | "toBlock">;
    const privacyGroupId = this.#of.privacyGroupId as GroupId;
    const request = { ...filter, privacyGroupId, fromBlock: this.#of.again(this.#first) };
    const onError = (error: unknown) => this.#of.fail(error);
    return watchLogs(this.#session, request, { interval: this.#intervalMs, signal: this.#ending.signal, onError });
  }

  async #run(watched: AsyncIterable<PrivateLog>): Promise<void> {
    for (let logs = watched; !this.#ending.signal.aborted; logs = this.#watch()) {
      try {
        for await (const log of logs) {
          if (this.#last === undefined || log.blockNumber <= this.#last) this.#of.accept([asSent(log)]);
        }
      } catch (error) {
        this.#of.fail(error);
        await pause(this.#intervalMs, this.#ending.signal).catch(() => {});
      }
    }
  }

  async #head(): Promise<bigint> {
    return BigInt((await this.#connection.request("eth_blockNumber", [])) as string);
  }
}

/** A block counted from the newest one; undefined when the node does not tell. */
async function fromNow(connection: Connection, more: bigint): Promise<bigint | undefined> {
  try {
    return BigInt((await connection.request("eth_blockNumber", [])) as string) + more;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

/** A block that is the same one for ever; undefined for `latest` and the like, and for none. */
function blockNumber(block: unknown): bigint | undefined {
  if (block === "earliest") return 0n;
  return /^(0x[0-9a-f]+|[0-9]+)$/i.test(String(block)) ? BigInt(block as string) : undefined;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** A log in the node's own form. */
function asSent(log: PrivateLog): Record<string, unknown> {
  const { blockNumber, transactionIndex, logIndex } = log;
  return { ...log, blockNumber: hex(blockNumber), transactionIndex: hex(transactionIndex), logIndex: hex(logIndex) };
}

/** `priv_subscribe` on a WebSocket of web3 1.x. */
class Notifications implements Source {
  readonly #connection: Connection;
  readonly #provider: Web3Quorum.Provider;
  readonly #of: PrivateSubscription;
  /** Unknown until the node has answered. */
  #id: string | undefined;
  /** What came before that. */
  #early: { id: string; log: Record<string, unknown> }[] = [];
  /** The block where it began; undefined when the node does not tell. */
  #first: bigint | undefined;

  constructor(connection: Connection, provider: Web3Quorum.Provider, of: PrivateSubscription) {
    this.#connection = connection;
    this.#provider = provider;
    this.#of = of;
  }

  async start(): Promise<string> {
    this.#provider.on?.("data", this.#notified);
    this.#provider.on?.("error", this.#failed);
    this.#provider.on?.("connect", this.#connected);
    try {
      // Asked before the subscription is there, so that nothing lies between the two.
      this.#first = await fromNow(this.#connection, 1n);
      return await this.#ask();
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  stop(id: string): Promise<unknown> {
    this.#release();
    return this.#connection.request("priv_unsubscribe", [this.#of.privacyGroupId, id]);
  }

  async #ask(): Promise<string> {
    const { privacyGroupId, filter } = this.#of;
    const id = (await this.#connection.request("priv_subscribe", [privacyGroupId, "logs", filter])) as string;
    this.#id = id;
    this.#of.accept(this.#early.filter((it) => it.id === id).map(({ log }) => log));
    this.#early = [];
    return id;
  }

  #release(): void {
    this.#provider.removeListener?.("data", this.#notified);
    this.#provider.removeListener?.("error", this.#failed);
    this.#provider.removeListener?.("connect", this.#connected);
  }

  readonly #notified = (message: {
    params?: { subscription?: string; result?: Record<string, unknown>; error?: unknown };
  }) => {
    // Every subscription of the socket comes by here.
    const { subscription: id, result: log, error } = message?.params ?? {};
    // Nodes that tell why a subscription ends do it so.
    if (id !== undefined && id === this.#id && error) this.#of.fail(providerError(error, "priv_subscribe"));
    if (id === undefined || log === undefined) return;
    if (this.#id === undefined) this.#early = [...this.#early, { id, log }].slice(-WAITING_MAX);
    else if (id === this.#id) this.#of.accept([log]);
  };

  readonly #failed = (error: unknown) => this.#of.fail(error);

  readonly #connected = () => {
    this.#of.tell("connected");
    // Before the first answer the request itself waits for the socket. Later the node has forgotten
    // the subscription with the old socket.
    if (this.#id === undefined) return;
    this.#id = undefined;
    this.#again().catch((error: unknown) => this.#of.fail(error));
  };

  /** On a new socket: subscribes again, and reads what was missed in between. */
  async #again(): Promise<void> {
    const id = await this.#ask();
    if (this.#of.stopped) {
      // Nobody is left to be told of a failure.
      await this.stop(id).catch(() => {});
      return;
    }
    this.#of.filterId = id;
    if (this.#first === undefined) return;
    const { privacyGroupId, filter } = this.#of;
    const missed = { ...filter, fromBlock: hex(this.#of.again(this.#first)), toBlock: "latest" };
    this.#of.accept((await this.#connection.request("priv_getLogs", [privacyGroupId, missed])) as Logs);
  }
}
