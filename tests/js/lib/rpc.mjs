// A JSON-RPC client that hides nothing: the clients under test drop error codes, or format results.

/** A JSON-RPC error answer. */
export class RpcError extends Error {
  constructor(method, { code, message, data }) {
    super(message);
    this.name = "RpcError";
    this.method = method;
    this.code = code;
    this.data = data;
  }
}

const TIMEOUT_MS = 120_000;

/** Posts any body and gives the HTTP status with the parsed answer. */
export async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  let json;
  try {
    json = text === "" ? undefined : JSON.parse(text);
  } catch {
    throw new Error(`${url} answered ${response.status} with something that is not JSON: ${text}`);
  }
  return { status: response.status, json };
}

let lastId = 0;

/** The result of a call. Throws an RpcError for an error answer. */
export async function rpc(url, method, ...params) {
  const id = ++lastId;
  const { status, json } = await post(url, { jsonrpc: "2.0", id, method, params });
  if (json?.error) throw new RpcError(method, json.error);
  if (json?.id !== id || !("result" in json)) {
    throw new Error(`${method}: no JSON-RPC answer (HTTP ${status}): ${JSON.stringify(json)}`);
  }
  return json.result;
}

/** The error of a call that must fail. */
export async function rpcError(url, method, ...params) {
  let result;
  try {
    result = await rpc(url, method, ...params);
  } catch (error) {
    if (error instanceof RpcError) return error;
    throw error;
  }
  throw new Error(`${method} should have failed and answered ${JSON.stringify(result)}`);
}
