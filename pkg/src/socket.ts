/**
 * One WebSocket from its opening to its end, on any platform: the global class of browsers, Node.js,
 * Bun and Deno, or one like that of npm's `ws`. It carries texts and knows nothing of JSON-RPC.
 */

import {
  ConnectionError,
  HttpError,
  InvalidInputError,
  InvalidResponseError,
  type RpcErrorBody,
} from "./errors.js";
import { toHeaders } from "./input.js";
import type { RequestHeaders } from "./rpc.js";

/**
 * What is used of a WebSocket.
 *
 * @example
 * const socket: WebSocketLike = new WebSocket("ws://127.0.0.1:20000");
 */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  // Platforms differ in their events' types.
  addEventListener(type: any, listener: (event: any) => void): void;
}

/**
 * A class of WebSockets: the platform's, or that of npm's `ws`, which is given headers and the size
 * of the longest message as a third argument.
 *
 * @example
 * import WebSocket from "ws";
 * const transport = webSocket("wss://node.example", { WebSocket });
 */
export type WebSocketClass = new (url: string, ...rest: any[]) => WebSocketLike;

/** How sockets are made. */
export interface SocketOptions {
  readonly url: string;
  readonly protocols: readonly string[];
  readonly headers: RequestHeaders | undefined;
  readonly WebSocket: WebSocketClass;
  /** The longest message taken, in bytes. */
  readonly bytesMax: number;
  /** How long opening may take. */
  readonly openMs: number;
}

/** Makes the error for a request that is in flight. */
export type Failure = (method: string) => unknown;

/** What a socket tells, nothing after its end. */
export interface SocketEvents {
  message(text: string): void;
  ended(failure: Failure): void;
}

/** An open socket. */
export interface Socket {
  send(text: string): void;
  /** Ends it without telling. */
  end(code?: number): void;
}

const NORMAL = 1000;
const NO_STATUS = 1005;
const ABNORMAL = 1006;
/** The number that the node gives. */
export const UNAUTHORIZED = -40100;

/** Opens a socket; when it cannot be opened, why. Headers are made anew for each. */
export async function openSocket(
  options: SocketOptions,
  events: SocketEvents,
  signal: AbortSignal,
): Promise<{ socket: Socket } | { failure: Failure }> {
  const { headers } = options;
  const own = toHeaders(typeof headers === "function" ? await headers() : headers);
  if (signal.aborted) return { failure: closedByCaller };
  const raw = construct(options, Object.fromEntries(own));
  return new Promise((resolve) => {
    let state: "opening" | "open" | "ended" = "opening";
    let problem: Failure | undefined;
    const timer = setTimeout(() => {
      finish(connectionFailure(`it did not open within ${options.openMs} ms`));
      abandon(raw);
    }, options.openMs);
    const socket: Socket = {
      send: (text) => raw.send(text),
      end(code) {
        state = "ended";
        if (code === undefined) abandon(raw);
        else raw.close(code);
      },
    };
    const onAbort = () => {
      finish(closedByCaller);
      abandon(raw);
    };
    const opened = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const finish = (failure: Failure) => {
      const before = state;
      state = "ended";
      opened();
      if (before === "opening") resolve({ failure });
      if (before === "open") events.ended(failure);
    };
    raw.addEventListener("open", () => {
      if (state !== "opening") return;
      opened();
      state = "open";
      resolve({ socket });
    });
    raw.addEventListener("message", ({ data }: { data?: unknown }) => {
      if (state !== "open") return;
      const failure = refusal(data, options.bytesMax);
      if (!failure) return events.message(data as string);
      finish(failure);
      abandon(raw);
    });
    // Stays to the end: npm's `ws` throws what nobody listens to.
    raw.addEventListener("error", (event: unknown) => (problem ??= failureOf(event, options.bytesMax)));
    raw.addEventListener("close", ({ code, reason }: { code?: unknown; reason?: unknown }) => {
      finish(problem ?? connectionFailure(closing(code, reason)));
    });
    signal.addEventListener("abort", onAbort);
  });
}

/** Ends a socket that may be dead: nobody waits for the other side. */
function abandon(raw: WebSocketLike): void {
  const { terminate } = raw as { terminate?: unknown };
  if (typeof terminate === "function") terminate.call(raw);
  else raw.close();
}

function construct(options: SocketOptions, headers: Record<string, string>): WebSocketLike {
  const { url, protocols, WebSocket, bytesMax } = options;
  const hasHeaders = Object.keys(headers).length > 0;
  try {
    if (!isGlobal(WebSocket)) return new WebSocket(url, [...protocols], { headers, maxPayload: bytesMax });
    if (!hasHeaders) return new WebSocket(url, [...protocols]);
    // Node.js, Bun and Deno take this; browsers take it for the name of a protocol, and refuse it.
    return new WebSocket(url, { headers, protocols: [...protocols] });
  } catch (cause) {
    if (hasHeaders && isGlobal(WebSocket)) {
      // The platform's error may show a value, which may be a token.
      throw new InvalidInputError("this platform's WebSocket takes no headers", {
        hint: "In browsers let a proxy of the page's own origin add them, or use the node's http URL, with which headers can be sent; elsewhere pass the class of npm's ws as WebSocket.",
      });
    }
    throw new InvalidInputError(`the WebSocket cannot be made: ${messageOf(cause)}`, { cause });
  }
}

function isGlobal(WebSocket: WebSocketClass): boolean {
  return (WebSocket as unknown) === (globalThis as { WebSocket?: unknown }).WebSocket;
}

/** Why a message is not taken. */
function refusal(data: unknown, bytesMax: number): Failure | undefined {
  if (typeof data !== "string") {
    return (method) => new InvalidResponseError(`${method}: the node sent bytes instead of a text`);
  }
  // A character has at most three bytes.
  if (data.length * 3 <= bytesMax) return undefined;
  return new TextEncoder().encode(data).length > bytesMax ? tooLong(bytesMax) : undefined;
}

function tooLong(bytesMax: number): Failure {
  return () => new InvalidResponseError(`the answer is longer than ${bytesMax} bytes`);
}

/** What an error event means. Browsers tell nothing; npm's `ws` tells the HTTP status. */
function failureOf(event: unknown, bytesMax: number): Failure | undefined {
  const { message, error } = event as { message?: unknown; error?: { code?: unknown } };
  if (error?.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return tooLong(bytesMax);
  if (typeof message !== "string" || message === "") return undefined;
  const status = Number(/unexpected server response: (\d{3})\b/i.exec(message)?.[1] ?? 0);
  if (status === 401 || status === 403) {
    return () => refused({ code: UNAUTHORIZED, message: `Unauthorized (HTTP ${status})` });
  }
  if (status !== 0) {
    return (method) =>
      new HttpError(status, `${method}: the server opens no WebSocket: HTTP status ${status}`);
  }
  return connectionFailure(message.slice(0, 200));
}

/** A node's error as EIP-1193 has it. */
export function refused({ code, message, data }: RpcErrorBody): Error {
  const error = Object.assign(new Error(message), { code, ...(data === undefined ? {} : { data }) });
  error.name = "ProviderRpcError";
  return error;
}

/** The connection is not there. */
export function connectionFailure(why: string): Failure {
  return (method) => new ConnectionError(`${method}: the node cannot be reached by WebSocket: ${why}`);
}

/** The caller has closed it. */
export const closedByCaller: Failure = connectionFailure("it was closed by close()");

/** What a close event says. */
function closing(code: unknown, reason: unknown): string {
  const why = typeof reason === "string" && reason !== "" ? `: ${reason.slice(0, 200)}` : "";
  if (code === ABNORMAL || typeof code !== "number") return `the connection broke${why}`;
  if (code === NORMAL || code === NO_STATUS) return `the node closed the connection${why}`;
  return `the node closed the connection (${code})${why}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
