/**
 * JSON-RPC over a WebSocket, which tells of logs as they come. An entry of its own: programs that
 * ask by HTTP do not load it.
 *
 * It is an EIP-1193 provider, so everything that takes one takes it. Errors of the node are thrown
 * as the node words them, and made typed by whoever was given the provider, with the core that it
 * has. Nothing is ever executed twice: what is in flight when the connection breaks fails, and what is
 * asked then waits for one attempt to connect again. Only what the node refused because the token had
 * ended is sent once more, over a new connection with new headers.
 *
 * Formats: JSON-RPC 2.0; EIP-1193; `spec/protocol.md` 7.15.
 *
 * @packageDocumentation
 */

import { InvalidInputError, InvalidResponseError, PrivacyError, RequestTimeoutError } from "./errors.js";
import { kindOf, toArray, toCount, toObject, toOptions } from "./input.js";
import {
  UNAUTHORIZED,
  closedByCaller,
  connectionFailure,
  openSocket,
  refused,
  type Failure,
  type Socket,
  type SocketOptions,
  type WebSocketClass,
} from "./socket.js";
import { TIMER_MS_MAX, pause } from "./wait.js";
import type { Eip1193Provider, PrivSubscribe, RequestHeaders } from "./rpc.js";

export type { WebSocketClass, WebSocketLike } from "./socket.js";

/**
 * How a node is reached by WebSocket.
 *
 * @example
 * const options: WebSocketOptions = { headers: { authorization: `Bearer ${token}` }, WebSocket };
 */
export interface WebSocketOptions {
  /**
   * Sent when a connection is opened, such as `authorization`; a function is asked for each, also when
   * the node says that the token has ended. Not in browsers, whose WebSockets take no headers.
   */
  readonly headers?: RequestHeaders | undefined;
  /** Subprotocols to offer, for proxies that want one. */
  readonly protocols?: string | readonly string[] | undefined;
  /** Instead of the platform's class; needed in Node.js before 22, where npm's `ws` fits. */
  readonly WebSocket?: WebSocketClass | undefined;
  /** For one request, in ms; 60,000 when absent. */
  readonly requestTimeout?: number | undefined;
  /** The longest message taken, in bytes; 64 MiB when absent. */
  readonly responseBytesMax?: number | undefined;
  /**
   * The pause before connecting again, in ms, doubled with each failure; 100 when absent. Up to half
   * of it is left out at random, so that not all clients of a node come back at once.
   */
  readonly reconnectDelay?: number | undefined;
  /** The longest such pause, in ms; 10,000 when absent. */
  readonly reconnectDelayMax?: number | undefined;
}

/**
 * A node over a WebSocket. It connects when it is first used, and again when the connection breaks.
 * An open connection keeps a program from ending: `close` it.
 *
 * @example
 * const transport: WebSocketTransport = webSocket("ws://127.0.0.1:20000");
 */
export interface WebSocketTransport extends Eip1193Provider {
  /**
   * One request.
   *
   * @example
   * const block = await transport.request({ method: "eth_blockNumber" });
   */
  request(args: { method: string; params?: readonly unknown[] }): Promise<unknown>;
  /**
   * Has the node tell of logs; see {@link PrivSubscribe}.
   *
   * @example
   * const end = transport.privSubscribe([privacyGroupId, "logs", {}], () => ask());
   */
  privSubscribe: PrivSubscribe;
  /**
   * Closes the connection for good. What is in flight fails.
   *
   * @example
   * transport.close();
   */
  close(): void;
}

const OPTIONS =
  "headers protocols WebSocket requestTimeout responseBytesMax reconnectDelay reconnectDelayMax";
const REQUEST_TIMEOUT_MS = 60_000;
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;
const OPEN_MS_MAX = 15_000;
const RECONNECT_MS = 100;
const RECONNECT_MS_MAX = 10_000;
/** A connection that stood for so long was a good one. */
const GOOD_MS = 5_000;
/** The pause before a subscription that the node ended or refused is tried again. */
const SUBSCRIBE_MS = 1_000;
const SUBSCRIBE_MS_MAX = 60_000;
const NORMAL_CLOSURE = 1000;
/** Numbers of "no such method" and "not enabled". */
const UNKNOWN_METHOD: readonly unknown[] = [-32601, -32604];

/**
 * A node over a WebSocket, as a transport of clients. `watchLogs` has the node tell it when there
 * are logs, and finds by asking what came while the connection was broken.
 *
 * @throws {InvalidInputError} the platform has no WebSocket, or an option is wrong.
 *
 * @example
 * import { createPrivacyClient } from "@coterie/sdk";
 * import { webSocket } from "@coterie/sdk/ws";
 *
 * const transport = webSocket("ws://127.0.0.1:20000");
 * const client = createPrivacyClient({ transport });
 * for await (const log of client.watchLogs({ privacyGroupId })) show(log);
 */
export function webSocket(url: string | URL, options: WebSocketOptions = {}): WebSocketTransport {
  return new SocketProvider(url, toOptions(options, "options", OPTIONS));
}

/** An outcome, exactly once. */
type Settle = (error: unknown, result?: unknown) => void;

interface Pending {
  readonly method: string;
  readonly settle: Settle;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly text: string;
  isSent: boolean;
  /** Whether a refusal for its token would be the first. */
  mayRepeat: boolean;
  /** How many messages had come when it was sent. */
  heard?: number;
}

interface Subscription {
  readonly params: readonly unknown[];
  readonly onChange: (isTold: boolean) => void;
  isTold: boolean;
  failures: number;
  timer?: ReturnType<typeof setTimeout> | undefined;
}

class SocketProvider implements WebSocketTransport {
  readonly #options: SocketOptions;
  readonly #timeoutMs: number;
  readonly #delayMs: number;
  readonly #delayMsMax: number;
  readonly #closing = new AbortController();
  readonly #pending = new Map<number, Pending>();
  readonly #subscriptions = new Set<Subscription>();
  /** Those that the node has, by its ids, which are of one connection. */
  readonly #ids = new Map<string, Subscription>();
  #socket: Socket | undefined;
  #isConnecting = false;
  #lastId = 0;
  #heard = 0;
  /** Since the last good connection. */
  #failures = 0;
  #openedAt = 0;
  /** Not to be connected before. */
  #notBefore = 0;
  /** The connection's token has ended: nothing more goes over it. */
  #tokenEnded = false;

  constructor(url: string | URL, options: WebSocketOptions) {
    const count = (name: keyof WebSocketOptions, otherwise: number, min: number) =>
      toCount(options[name] ?? otherwise, name, min);
    this.#timeoutMs = Math.min(count("requestTimeout", REQUEST_TIMEOUT_MS, 1), TIMER_MS_MAX);
    this.#delayMs = count("reconnectDelay", RECONNECT_MS, 1);
    this.#delayMsMax = count("reconnectDelayMax", RECONNECT_MS_MAX, 1);
    this.#options = {
      url: toUrl(url),
      protocols: toProtocols(options.protocols),
      headers: options.headers,
      WebSocket: toClass(options.WebSocket),
      bytesMax: count("responseBytesMax", RESPONSE_BYTES_MAX, 1),
      openMs: Math.min(this.#timeoutMs, OPEN_MS_MAX),
    };
  }

  request(args: { method: string; params?: readonly unknown[] }): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { method, params = [] } = toObject(args, "request");
      if (typeof method !== "string") throw new InvalidInputError("method must be a string");
      this.#ask(method, params, (error, result) => (error === undefined ? resolve(result) : reject(error)));
    });
  }

  readonly privSubscribe: PrivSubscribe = (params, onChange) => {
    const it: Subscription = { params: toArray(params, "params"), onChange, isTold: false, failures: 0 };
    this.#subscriptions.add(it);
    if (this.#socket) this.#subscribe(it);
    else this.#connect();
    return () => {
      clearTimeout(it.timer);
      if (!this.#subscriptions.delete(it)) return;
      for (const [id, other] of this.#ids) if (other === it) this.#unsubscribe(it, id);
    };
  };

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#socket?.end(NORMAL_CLOSURE);
    this.#lost(closedByCaller);
  }

  /** Sends once there is a connection; `settle` is called once, whatever comes. */
  #ask(
    method: string,
    params: readonly unknown[],
    settle: Settle,
    mayRepeat = typeof this.#options.headers === "function",
  ): void {
    if (this.#closing.signal.aborted) {
      // Unlike a connection that broke, this does not pass.
      settle(new PrivacyError(`${method}: the WebSocket was closed by close()`, { code: "CLOSED" }));
      return;
    }
    const id = ++this.#lastId;
    const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
    const timer = setTimeout(() => this.#expire(id), this.#timeoutMs);
    const it: Pending = { method, settle, timer, text, isSent: false, mayRepeat };
    this.#pending.set(id, it);
    if (this.#socket) this.#send(this.#socket, it);
    else this.#connect();
  }

  #send(socket: Socket, it: Pending): void {
    if (it.isSent || this.#tokenEnded) return;
    it.isSent = true;
    it.heard = this.#heard;
    socket.send(it.text);
  }

  #settle(id: number, error: unknown, result?: unknown): void {
    const it = this.#pending.get(id);
    if (!it) return;
    this.#pending.delete(id);
    clearTimeout(it.timer);
    it.settle(error, result);
    this.#renew();
  }

  /** When the token has ended, connects anew, once nothing is in flight. */
  #renew(): void {
    if (!this.#tokenEnded || [...this.#pending.values()].some(({ isSent }) => isSent)) return;
    this.#socket?.end(NORMAL_CLOSURE);
    this.#lost(connectionFailure("the token has ended"));
  }

  /** A request has waited too long. A connection on which nothing came meanwhile is dead. */
  #expire(id: number): void {
    const it = this.#pending.get(id);
    if (!it) return;
    this.#settle(id, new RequestTimeoutError(it.method, this.#timeoutMs));
    if (it.heard !== this.#heard || !this.#socket) return;
    this.#break(connectionFailure(`nothing came for ${this.#timeoutMs} ms`));
  }

  /** Opens a connection, after the pause that is due. */
  #connect(): void {
    if (this.#isConnecting || this.#closing.signal.aborted) return;
    this.#isConnecting = true;
    void this.#open().then((opened) => {
      this.#isConnecting = false;
      if ("failure" in opened) return this.#lost(opened.failure);
      const { socket } = opened;
      if (this.#closing.signal.aborted) return socket.end(NORMAL_CLOSURE);
      this.#socket = socket;
      this.#openedAt = performance.now();
      for (const it of this.#subscriptions) this.#subscribe(it);
      for (const it of [...this.#pending.values()]) this.#send(socket, it);
    });
  }

  async #open(): Promise<{ socket: Socket } | { failure: Failure }> {
    const { signal } = this.#closing;
    try {
      const ms = this.#notBefore - performance.now();
      if (ms > 0) await pause(ms, signal);
      const events = {
        message: (text: string) => this.#message(text),
        ended: (failure: Failure) => this.#lost(failure),
      };
      return await openSocket(this.#options, events, signal);
    } catch (error) {
      return { failure: signal.aborted ? closedByCaller : () => error };
    }
  }

  /** There is no connection: none was made, or it broke. */
  #lost(failure: Failure): void {
    const wasGood = this.#socket !== undefined && performance.now() - this.#openedAt >= GOOD_MS;
    this.#socket = undefined;
    this.#failures = wasGood ? 1 : this.#failures + 1;
    const delay = Math.min(this.#delayMs * 2 ** (this.#failures - 1), this.#delayMsMax);
    this.#notBefore = performance.now() + delay * (0.5 + Math.random() / 2);
    this.#ids.clear();
    // What was refused waits for the next connection.
    const renews = this.#tokenEnded && !this.#closing.signal.aborted;
    this.#tokenEnded = false;
    const pending = [...this.#pending].filter(([, { isSent }]) => isSent || !renews);
    for (const it of this.#subscriptions) {
      clearTimeout(it.timer);
      it.failures = 0;
      if (it.isTold) this.#tell(it, false);
    }
    for (const [id, { method }] of pending) this.#settle(id, failure(method));
    if (this.#subscriptions.size > 0 || this.#pending.size > 0) this.#connect();
  }

  /** Ends a connection that is of no use. */
  #break(failure: Failure): void {
    this.#socket?.end();
    this.#lost(failure);
  }

  #message(text: string): void {
    this.#heard += 1;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#garbage("no JSON", text);
    }
    if (typeof message !== "object" || message === null) return this.#garbage("no object", text);
    const { id, method, params } = message as Record<string, unknown>;
    if (method !== undefined) {
      if (method === "priv_subscription") this.#notified(params);
    } else if (typeof id === "number") {
      this.#answered(id, message as Record<string, unknown>, text);
    } else this.#garbage("an answer to no request", text);
  }

  /** It is not known which request it was for, so all fail. */
  #garbage(what: string, text: string): void {
    const start = startOf(text);
    this.#break((method) => new InvalidResponseError(`${method}: the node sent ${what}: ${start}`));
  }

  /** Answers that come too late are of requests that nobody knows any more. */
  #answered(id: number, answer: Record<string, unknown>, text: string): void {
    const it = this.#pending.get(id);
    if (!it) return;
    const { method } = it;
    const { error, result } = answer;
    if (it.mayRepeat && saysTokenEnded(error)) {
      it.mayRepeat = it.isSent = false;
      this.#tokenEnded = true;
      this.#renew();
    } else if (error !== undefined && error !== null) {
      const what = `${method}: the answer's error has no code and message: ${startOf(text)}`;
      this.#settle(id, readError(error) ?? new InvalidResponseError(what));
    } else if ("result" in answer) this.#settle(id, undefined, result);
    else this.#settle(id, new InvalidResponseError(`${method}: the answer has no result: ${startOf(text)}`));
  }

  #subscribe(it: Subscription): void {
    // The next connection begins it.
    if (this.#tokenEnded) return;
    const socket = this.#socket;
    const begun: Settle = (error, id) => {
      const isThere = this.#subscriptions.has(it);
      // Another connection begins it anew.
      if (this.#socket !== socket) return;
      if (typeof id === "string" && id !== "") {
        if (!isThere) return this.#unsubscribe(it, id);
        this.#ids.set(id, it);
        this.#tell(it, true);
      } else if (isThere && !UNKNOWN_METHOD.includes((error as { code?: unknown } | undefined)?.code)) {
        this.#subscribeLater(it);
      }
    };
    this.#ask("priv_subscribe", it.params, begun, false);
  }

  #subscribeLater(it: Subscription): void {
    const ms = Math.min(SUBSCRIBE_MS * 2 ** it.failures, SUBSCRIBE_MS_MAX);
    it.failures += 1;
    it.timer = setTimeout(() => this.#subscribe(it), ms);
  }

  #unsubscribe(it: Subscription, id: string): void {
    this.#ids.delete(id);
    // The node forgets it with the connection, if not now.
    if (this.#socket) this.#ask("priv_unsubscribe", [it.params[0], id], () => {}, false);
  }

  /** A log, or instead of it an error, which ends the subscription. */
  #notified(params: unknown): void {
    const { subscription, error } = (params ?? {}) as Record<string, unknown>;
    const it = this.#ids.get(subscription as string);
    if (!it) return;
    if (error === undefined || error === null) {
      it.failures = 0;
      this.#tell(it, true);
      return;
    }
    this.#ids.delete(subscription as string);
    this.#tell(it, false);
    this.#subscribeLater(it);
  }

  #tell(it: Subscription, isTold: boolean): void {
    it.isTold = isTold;
    // What a listener does or throws must not disturb the connection.
    queueMicrotask(() => this.#subscriptions.has(it) && it.onChange(isTold));
  }
}

function readError(error: unknown): Error | undefined {
  const { code, message, data } = error as Record<string, unknown>;
  if (typeof code !== "number" || typeof message !== "string") return undefined;
  return refused({ code, message, data });
}

/** Whether an error is about the token. One about a group has a detail. */
function saysTokenEnded(error: unknown): boolean {
  const { code, data } = (error ?? {}) as { code?: unknown; data?: { detail?: unknown } | null };
  return code === UNAUTHORIZED && data?.detail === undefined;
}

function startOf(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function toUrl(value: string | URL): string {
  let url: URL;
  try {
    url = new URL(value);
  } catch (cause) {
    throw new InvalidInputError("url is a text that is no URL", { cause });
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new InvalidInputError(`a WebSocket is reached by ws or wss, not by ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new InvalidInputError("the URL of a WebSocket must have no name and password", {
      hint: "Give them as headers: { authorization }.",
    });
  }
  url.hash = "";
  return url.href;
}

function toProtocols(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  const all = typeof value === "string" ? [value] : toArray(value, "protocols");
  for (const it of all) if (typeof it !== "string") throw new InvalidInputError("protocols must be strings");
  return all as readonly string[];
}

function toClass(own: WebSocketClass | undefined): WebSocketClass {
  const found = own ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
  if (found === undefined) {
    throw new InvalidInputError("this platform has no WebSocket", {
      hint: "Node.js has one from version 22; before, pass the class of npm's ws: webSocket(url, { WebSocket }).",
    });
  }
  if (typeof found !== "function") {
    throw new InvalidInputError(`WebSocket must be a class, not ${kindOf(found)}`);
  }
  return found;
}
