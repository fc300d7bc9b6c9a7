// A node that does what a test says: answers, refuses, drops the connection, answers garbage, or
// does not answer. It listens on a free port.

import { createServer } from "node:http";

/** What a handler may return instead of a result. */
export const drop = Symbol("drop");
export const hang = Symbol("hang");

/** Thrown by a handler: a JSON-RPC error answer. */
export class Refusal extends Error {
  constructor(code, message, data, status = 200) {
    super(message);
    Object.assign(this, { code, data, status });
  }
}

/** A refusal as our node words it. */
export const refuse = (word, code = -50100, message = "refused", more = {}) =>
  new Refusal(code, message, { code: word, ...more });

/** Returned by a handler: this body with this status, whatever it is. */
export class Raw {
  constructor(body, { status = 200, headers = {} } = {}) {
    Object.assign(this, { body, status, headers });
  }
}

/** Starts it; `handlers` are by method, or one function. */
export async function startNode(handlers) {
  const requests = [];
  const open = new Set();
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", async () => {
      const { id, method, params } = JSON.parse(text);
      requests.push({ method, params, headers: request.headers });
      const handler = typeof handlers === "function" ? handlers : handlers[method];
      const send = (status, body, headers = {}) => {
        response.writeHead(status, { "content-type": "application/json", ...headers });
        response.end(typeof body === "string" ? body : JSON.stringify(body));
      };
      try {
        if (handler === undefined) throw new Refusal(-32601, "Method not found");
        const result = typeof handler === "function" ? await handler(params, method) : handler;
        if (result === drop) request.socket.destroy();
        else if (result === hang) open.add(response);
        else if (result instanceof Raw) send(result.status, result.body, result.headers);
        else send(200, { jsonrpc: "2.0", id, result });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const { code, message, data, status } = error;
        send(status, { jsonrpc: "2.0", id, error: { code, message, data } });
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    /** The methods that were called. */
    methods: () => requests.map(({ method }) => method),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Runs `use` with a node that is stopped afterwards. */
export async function withNode(handlers, use) {
  const node = await startNode(handlers);
  try {
    return await use(node);
  } finally {
    await node.stop();
  }
}
