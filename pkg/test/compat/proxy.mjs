// Something that speaks JSON-RPC over HTTP and writes down every request: in front of a node, or
// with answers of its own.

import { createServer } from "node:http";

/** An error answer of a handler. */
export class Refusal extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

const notFound = (method) => new Refusal(-32601, `Method not found: ${method}`);

/** Listens on a free port; `handler(method, params)` answers, and may throw a Refusal. */
export async function startServer(handler) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const asked = JSON.parse(Buffer.concat(chunks));
    const answers = await Promise.all([asked].flat().map((one) => answer(one)));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(Array.isArray(asked) ? answers : answers[0]));
  });
  const answer = async ({ id, method, params }) => {
    requests.push({ method, params });
    try {
      return { jsonrpc: "2.0", id, result: await handler(method, params) };
    } catch (error) {
      const { code = -32603, message, data } = error;
      return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } };
    }
  };
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** In the order in which they came. */
    requests,
    /** Those since the last time. */
    taken: () => requests.splice(0),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** In front of a node. */
export function startProxy(url) {
  return startServer(async (method, params) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await response.json();
    if (error) throw new Refusal(error.code, error.message, error.data);
    return result;
  });
}

/** A node that answers from a table: values, or functions of the parameters. */
export function startScripted(table) {
  return startServer((method, params) => {
    if (!(method in table)) throw notFound(method);
    const entry = table[method];
    return typeof entry === "function" ? entry(...params) : entry;
  });
}
