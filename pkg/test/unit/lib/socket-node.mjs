// A node with a WebSocket that does what a test says. It listens on a free port, and can be stopped
// and started again on the same one.

import { WebSocketServer } from "ws";

import { Refusal, drop, hang } from "./node.mjs";

export { Refusal, drop, hang };

/** Returned by a handler: this text or these bytes instead of an answer. */
export class Frame {
  constructor(data) {
    this.data = data;
  }
}

/** Starts it; `handlers` are by method and may use the socket; `options` are of the server. */
export async function startSocketNode(handlers, options = {}) {
  const node = {
    requests: [],
    /** The headers of each connection. */
    upgrades: [],
    sockets: new Set(),
    /** Subscriptions: group and filter by socket and id. */
    subscriptions: new Map(),
    methods: () => node.requests.map(({ method }) => method),
    count: (name) => node.methods().filter((method) => method === name).length,
    /** Tells all subscriptions, of what is `result` or `error`. */
    tell(what) {
      for (const [socket, ids] of node.subscriptions) {
        for (const subscription of ids) send(socket, { method: "priv_subscription", params: { subscription, ...what } });
      }
    },
    /** Breaks all connections, without a word or with a code. */
    cut(code, reason) {
      for (const socket of node.sockets) code === undefined ? socket.terminate() : socket.close(code, reason);
    },
    async stop() {
      node.cut();
      await new Promise((resolve) => node.server.close(resolve));
    },
    async start() {
      node.server = new WebSocketServer({ host: "127.0.0.1", port: node.port ?? 0, ...options });
      await new Promise((resolve, reject) => node.server.once("listening", resolve).once("error", reject));
      node.port = node.server.address().port;
      node.url = `ws://127.0.0.1:${node.port}`;
      node.server.on("connection", connected);
    },
  };
  const send = (socket, message) => socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
  const own = {
    priv_subscribe: (_, socket) => {
      const ids = node.subscriptions.get(socket) ?? new Set();
      const id = `0x${(ids.size + 1).toString(16)}`;
      node.subscriptions.set(socket, ids.add(id));
      return id;
    },
    priv_unsubscribe: ([, id], socket) => node.subscriptions.get(socket)?.delete(id) ?? false,
  };
  function connected(socket, request) {
    node.upgrades.push(request.headers);
    node.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      node.sockets.delete(socket);
      node.subscriptions.delete(socket);
    });
    socket.on("message", async (text) => {
      const { id, method, params } = JSON.parse(text);
      node.requests.push({ id, method, params });
      const handler = handlers[method] ?? own[method];
      try {
        if (handler === undefined) throw new Refusal(-32601, "Method not found");
        const result = typeof handler === "function" ? await handler(params, socket, id) : handler;
        if (result === drop) socket.terminate();
        else if (result instanceof Frame) socket.send(result.data);
        else if (result !== hang) send(socket, { id, result });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const { code, message, data } = error;
        send(socket, { id, error: { code, message, data } });
      }
    });
  }
  await node.start();
  return node;
}

/** Runs `use` with a node and a transport, both of which end afterwards. */
export async function withSocketNode(handlers, make, use, options) {
  const node = await startSocketNode(handlers, options);
  const transport = make(node.url);
  try {
    return await use(node, transport);
  } finally {
    transport.close();
    await node.stop();
  }
}
