/**
 * JSON-RPC over whatever the caller has: a URL, an EIP-1193 provider or its bare `request`, a web3
 * 1.x provider or instance, an ethers provider. Nothing is ever sent twice here: repeating a send is
 * the caller's decision.
 *
 * Answers are not trusted: their shape is checked, and how long they may be.
 */

import { decodeRevert } from "./codec.js";
import {
  ConnectionError,
  HttpError,
  InvalidInputError,
  InvalidResponseError,
  PrivacyError,
  RequestTimeoutError,
  classify,
  throwIfAborted,
  type RpcErrorBody,
} from "./errors.js";
import { kindOf, toCount, toHeaders, toOptions } from "./input.js";
import { Deadline } from "./wait.js";
import type { DecodedRevert, Hex } from "./types.js";

/**
 * An EIP-1193 provider: a browser wallet's, viem's clients and transports, and many others. Sends
 * over viem's `fallback` are refused, because it would give a transaction to several nodes.
 *
 * @example
 * const client = createPrivacyClient({ transport: window.ethereum });
 */
export interface Eip1193Provider {
  /** `options` is viem's: a send is not to be repeated. */
  request(
    args: { method: string; params?: readonly unknown[] },
    options?: { retryCount?: number },
  ): Promise<unknown>;
  /** As {@link Rpc.privSubscribe}, without a `this`; the transport of `@coterie/sdk/ws` has it. */
  privSubscribe?: PrivSubscribe | undefined;
}

/**
 * A web3 1.x provider.
 *
 * @example
 * const client = createPrivacyClient({ transport: web3.currentProvider });
 */
export interface Web3Provider {
  send?(payload: object, callback: (error: unknown, response?: unknown) => void): unknown;
  sendAsync?(payload: object, callback: (error: unknown, response?: unknown) => void): unknown;
}

/**
 * A provider with `send(method, params)`, as ethers has.
 *
 * @example
 * const client = createPrivacyClient({ transport: new JsonRpcProvider(url) });
 */
export interface EthersLikeProvider {
  send(method: string, params: readonly unknown[]): Promise<unknown>;
  getNetwork(): Promise<unknown>;
}

/**
 * How a node is reached.
 *
 * @example
 * const transport: Transport = "http://127.0.0.1:20000";
 */
export type Transport =
  | string
  | URL
  | Rpc
  | Eip1193Provider
  | Eip1193Provider["request"]
  | Web3Provider
  | EthersLikeProvider
  | { readonly currentProvider: unknown };

/**
 * Headers of each request, or what makes them: for a token that is renewed.
 *
 * @example
 * const headers: RequestHeaders = async () => ({ authorization: `Bearer ${await token()}` });
 */
export type RequestHeaders =
  | Readonly<Record<string, string>>
  | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);

/**
 * How a URL is asked.
 *
 * @example
 * const client = createPrivacyClient({ url, headers: { authorization }, requestTimeout: 10_000 });
 */
export interface HttpOptions {
  /** Sent with each request, such as `authorization`. */
  readonly headers?: RequestHeaders | undefined;
  /** For one request, in ms; 60,000 when absent. */
  readonly requestTimeout?: number | undefined;
  /** The longest answer taken, in bytes; 64 MiB when absent. */
  readonly responseBytesMax?: number | undefined;
  /** Instead of the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * One request.
 *
 * @example
 * await rpc.rpc("eth_blockNumber", [], { signal });
 */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** The request must not be repeated by anything on its way, since it may have an effect. */
  readonly once?: boolean | undefined;
}

/**
 * Has the node tell of logs: `priv_subscribe` with these parameters, also after the connection broke.
 * `onChange` is told `true` when the node tells of logs from now on, and again whenever it has told
 * of one, and `false` when it does so no more. Each time something may have been missed: ask for
 * logs. Gives what ends it.
 *
 * @example
 * const end = rpc.privSubscribe?.([privacyGroupId, "logs", {}], () => ask());
 */
export type PrivSubscribe = (
  params: readonly unknown[],
  onChange: (isTold: boolean) => void,
) => () => void;

/**
 * A node's JSON-RPC. Refusals are thrown as the classes of {@link classify}.
 *
 * @example
 * const rpc: Rpc = createRpc("http://127.0.0.1:20000");
 */
export interface Rpc {
  /** Whether it may reach another chain from one call to the next, as wallets do. */
  readonly movable?: boolean | undefined;
  rpc(method: string, params: readonly unknown[], options?: RequestOptions): Promise<unknown>;
  /** Where the node can tell of logs by itself. */
  readonly privSubscribe?: PrivSubscribe | undefined;
}

const REQUEST_TIMEOUT_MS = 60_000;
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * JSON-RPC over a transport.
 *
 * @example
 * const rpc = createRpc("http://127.0.0.1:20000");
 * const chainId = await rpc.rpc("eth_chainId", []);
 */
export function createRpc(transport: Transport, options: HttpOptions = {}): Rpc {
  const { requestTimeout = REQUEST_TIMEOUT_MS } = toOptions(options, "options");
  const timeoutMs = toCount(requestTimeout, "requestTimeout", 1);
  if (typeof transport === "string" || transport instanceof URL) {
    return new HttpRpc(transport, options, timeoutMs);
  }
  if (typeof transport === "function") return requestRpc({ request: transport }, timeoutMs);
  const it = transport as unknown as Record<string, unknown> | null;
  if (typeof it === "object" && it !== null) {
    if (typeof it["rpc"] === "function") return transport as Rpc;
    if (typeof it["request"] === "function") {
      return requestRpc(transport as Eip1193Provider, timeoutMs);
    }
    if (typeof it["send"] === "function" && typeof it["getNetwork"] === "function") {
      const provider = transport as EthersLikeProvider;
      return new ProviderRpc((method, params) => provider.send(method, params), timeoutMs);
    }
    if (typeof it["send"] === "function" || typeof it["sendAsync"] === "function") {
      const provider = transport as Web3Provider;
      return new ProviderRpc((method, params) => web3Request(provider, method, params), timeoutMs);
    }
    if (it["currentProvider"] !== undefined && it["currentProvider"] !== null) {
      // Asked for each time, because `setProvider` changes it.
      const current = () => createRpc(it["currentProvider"] as Transport, options);
      current();
      return { movable: true, rpc: async (...request) => current().rpc(...request) };
    }
  }
  throw new InvalidInputError(
    `transport must be a URL, an EIP-1193 provider or a web3 provider, not ${kindOf(transport)}`,
  );
}

type Send = (method: string, params: readonly unknown[], once: boolean) => Promise<unknown>;

/**
 * By an EIP-1193 `request`. viem's repeats what failed, unless it is told not to.
 *
 * @internal
 */
export function requestRpc(provider: Eip1193Provider, timeoutMs = REQUEST_TIMEOUT_MS): Rpc {
  const { transport, config, on } = provider as unknown as Record<string, { type?: unknown } | undefined>;
  const send: Send = (method, params, once) => {
    if (!once) return provider.request({ method, params });
    if ((transport ?? config)?.type === "fallback") {
      throw new InvalidInputError("viem's fallback transport may send a transaction to several nodes", {
        hint: "Send by a client with one transport.",
      });
    }
    return provider.request({ method, params }, { retryCount: 0 });
  };
  // A wallet tells of changes; a client of viem does not change.
  const { privSubscribe } = provider;
  return Object.assign(new ProviderRpc(send, timeoutMs, typeof on === "function"), { privSubscribe });
}

let lastId = 0;

/** A node at a URL. */
class HttpRpc implements Rpc {
  readonly #url: string;
  /** From a URL with a name and a password, which `fetch` refuses. */
  readonly #basic: string | undefined;
  readonly #options: HttpOptions;
  readonly #timeoutMs: number;
  readonly #bytesMax: number;

  constructor(url: string | URL, options: HttpOptions, timeoutMs: number) {
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch (cause) {
      throw new InvalidInputError("transport is a text that is no URL", { cause });
    }
    if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
      throw new InvalidInputError(`a node is reached by http or https, not by ${parsed.protocol}`);
    }
    if (parsed.username !== "" || parsed.password !== "") {
      this.#basic = basic(parsed);
      parsed.username = parsed.password = "";
    }
    this.#url = parsed.href;
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#bytesMax = toCount(options.responseBytesMax ?? RESPONSE_BYTES_MAX, "responseBytesMax", 1);
  }

  async rpc(method: string, params: readonly unknown[], { signal }: RequestOptions = {}) {
    throwIfAborted(signal);
    const id = ++lastId;
    const limit = new Deadline(signal, this.#timeoutMs);
    try {
      const headers = await limit.race(this.#headers());
      const { status, body } = await this.#post(method, {
        method: "POST",
        headers,
        body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
        signal: limit.signal,
      });
      return readAnswer(method, id, status, body);
    } catch (error) {
      throwIfAborted(signal);
      if (limit.expired) throw new RequestTimeoutError(method, this.#timeoutMs);
      throw error;
    } finally {
      limit.end();
    }
  }

  async #headers(): Promise<Record<string, string>> {
    const { headers } = this.#options;
    const all = toHeaders(typeof headers === "function" ? await headers() : headers);
    if (this.#basic !== undefined && !all.has("authorization")) all.set("authorization", this.#basic);
    all.set("content-type", "application/json");
    // What a `fetch` of the caller's own can read.
    return Object.fromEntries(all);
  }

  async #post(method: string, request: RequestInit): Promise<{ status: number; body: string }> {
    const fetch = this.#options.fetch ?? globalThis.fetch;
    try {
      const response = await fetch(this.#url, request);
      return { status: response.status, body: await readBody(response, this.#bytesMax) };
    } catch (cause) {
      if (cause instanceof PrivacyError) throw cause;
      throw new ConnectionError(`${method}: the node cannot be reached: ${innermost(cause)}`, { cause });
    }
  }
}

/** The `authorization` that a URL's name and password mean. */
function basic({ username, password }: URL): string {
  let text: string;
  try {
    text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    throw new InvalidInputError("the URL's name or password is not percent-encoded");
  }
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}`;
}

/** Something that sends for us and answers with results. */
class ProviderRpc implements Rpc {
  readonly #send: Send;
  readonly #timeoutMs: number;

  constructor(
    send: Send,
    timeoutMs: number,
    readonly movable = false,
  ) {
    this.#send = send;
    this.#timeoutMs = timeoutMs;
  }

  async rpc(method: string, params: readonly unknown[], { signal, once = false }: RequestOptions = {}) {
    throwIfAborted(signal);
    const limit = new Deadline(signal, this.#timeoutMs);
    try {
      // Some providers throw instead of rejecting.
      const answer = Promise.resolve().then(() => this.#send(method, params, once));
      return await limit.race(answer);
    } catch (error) {
      throwIfAborted(signal);
      if (limit.expired) throw new RequestTimeoutError(method, this.#timeoutMs);
      throw providerError(error, method);
    } finally {
      limit.end();
    }
  }
}

async function readBody(response: Response, bytesMax: number): Promise<string> {
  const tooLong = () => new InvalidResponseError(`the answer is longer than ${bytesMax} bytes`);
  if (Number(response.headers.get("content-length") ?? 0) > bytesMax) {
    await response.body?.cancel();
    throw tooLong();
  }
  if (!response.body) return response.text();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.byteLength;
    if (length > bytesMax) {
      await reader.cancel();
      throw tooLong();
    }
    text += decoder.decode(value, { stream: true });
  }
}

function readAnswer(method: string, id: number, status: number, body: string): unknown {
  const ok = status >= 200 && status < 300;
  const start = body.length > 200 ? `${body.slice(0, 200)}…` : body;
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch (cause) {
    if (!ok) throw httpError(method, status, start);
    throw new InvalidResponseError(`${method}: the answer is no JSON: ${start}`, { cause });
  }
  const isObject = typeof answer === "object" && answer !== null;
  const it = (isObject ? answer : {}) as Record<string, unknown>;
  if (it["error"] !== undefined && it["error"] !== null) {
    const error = readError(it["error"]);
    if (error) throw classify(error, method, tryRevert);
    if (!ok) throw httpError(method, status, start);
    throw new InvalidResponseError(`${method}: the answer's error has no code and message: ${start}`);
  }
  if (!ok) throw httpError(method, status, start);
  if (it["id"] !== id || !("result" in it)) {
    throw new InvalidResponseError(`${method}: no JSON-RPC answer to this request: ${start}`);
  }
  return it["result"];
}

function httpError(method: string, status: number, body: string): PrivacyError {
  if (status === 401 || status === 403) {
    return classify({ code: -40100, message: `Unauthorized (HTTP ${status})` }, method);
  }
  return new HttpError(status, `${method}: HTTP status ${status}${body === "" ? "" : `: ${body}`}`);
}

function readError(value: unknown): RpcErrorBody | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { code, message, data } = value as Record<string, unknown>;
  if (typeof code !== "number" || !Number.isFinite(code) || typeof message !== "string") {
    return undefined;
  }
  return { code, message, data };
}

/** What a revert says, where the core is there to read it. */
export function tryRevert(data: Hex): DecodedRevert | undefined {
  try {
    return decodeRevert(data);
  } catch {
    return undefined;
  }
}

/**
 * The typed error for what a provider threw. Libraries wrap the node's answer, some several times,
 * so the answer is looked for along the causes: the innermost object with a code and a message.
 *
 * @internal
 */
export function providerError(error: unknown, method: string): PrivacyError {
  if (error instanceof PrivacyError) return error;
  let found: RpcErrorBody | undefined;
  let status: number | undefined;
  for (const it of causes(error)) {
    const record = it as Record<string, unknown>;
    const body = readError(it);
    if (body && !isOwnCode(record)) found = { ...body, message: plainMessage(record, body.message) };
    if (typeof record["status"] === "number") status = record["status"];
    // ethers writes "401 Unauthorized".
    const { responseStatus, responseBody } = (record["info"] ?? {}) as Record<string, unknown>;
    found = errorIn(record["details"]) ?? errorIn(responseBody) ?? found;
    if (typeof responseStatus === "string") status = Number.parseInt(responseStatus, 10);
  }
  if (found?.code === 4001) {
    return new PrivacyError("the user refused the request", { code: "USER_REJECTED", rpcCode: 4001, cause: error });
  }
  if (found) return withCause(classify(found, method, tryRevert), error);
  if (status !== undefined) return httpError(method, status, innermost(error));
  const message = `${method}: the provider failed: ${innermost(error)}`;
  if (/invalid json rpc response/i.test(innermost(error))) {
    return new InvalidResponseError(message, { cause: error });
  }
  return new ConnectionError(message, { cause: error });
}

/** The node's error in what came with an HTTP error: viem keeps it alone, ethers the whole answer. */
function errorIn(text: unknown): RpcErrorBody | undefined {
  try {
    const it = JSON.parse(text as string) as Record<string, unknown>;
    return readError(it["error"] ?? it);
  } catch {
    return undefined;
  }
}

/** viem numbers its own failures, such as an unreachable node, with -1. */
function isOwnCode(record: Record<string, unknown>): boolean {
  return record["code"] === -1 && record["data"] === undefined;
}

/** viem's errors have the node's words in `details`, the message is for people. */
function plainMessage(record: Record<string, unknown>, message: string): string {
  return typeof record["details"] === "string" ? record["details"] : message;
}

function withCause(error: PrivacyError, cause: unknown): PrivacyError {
  if (error.cause === undefined) {
    Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
  }
  return error;
}

/** An error and what it wraps, outermost first: `cause` (viem), `error` and `info.error` (ethers). */
function* causes(error: unknown): Generator<object> {
  const seen = new Set<unknown>();
  const open: unknown[] = [error];
  while (open.length > 0 && seen.size < 32) {
    const it = open.shift();
    if (typeof it !== "object" || it === null || seen.has(it)) continue;
    seen.add(it);
    yield it;
    const { cause, error: inner, info, data } = it as Record<string, unknown>;
    open.push(cause, inner, (info as Record<string, unknown> | undefined)?.["error"]);
    // Wallets wrap the node's error once more.
    open.push((data as Record<string, unknown> | undefined)?.["originalError"]);
  }
}

/** What the deepest cause says. */
function innermost(error: unknown): string {
  let found = "";
  for (const it of causes(error)) {
    // The libraries' long messages show URLs, with the tokens in them.
    const { message, shortMessage: text = message, code } = it as Record<string, unknown>;
    if (typeof text === "string" && text !== "") found = text;
    else if (typeof code === "string") found = code;
  }
  return found === "" ? String(error) : found;
}

function web3Request(
  provider: Web3Provider,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const payload = { jsonrpc: "2.0", id, method, params };
    const callback = (error: unknown, response?: unknown) => {
      const answer = (Array.isArray(response) ? response[0] : response) as
        | Record<string, unknown>
        | null
        | undefined;
      const refused = readError(answer?.["error"]);
      if (refused) reject(refused);
      else if (error) reject(error);
      else if (typeof answer === "object" && answer !== null && "result" in answer) {
        resolve(answer["result"]);
      } else reject(new InvalidResponseError(`${method}: no JSON-RPC answer from the provider`));
    };
    if (typeof provider.sendAsync === "function") provider.sendAsync(payload, callback);
    else provider.send?.(payload, callback);
  });
}
