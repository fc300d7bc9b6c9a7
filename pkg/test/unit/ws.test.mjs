// The transport over WebSockets: answers, limits, ends of connections, and coming back.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";
import { privacy } from "@coterie/sdk/ethers";
import { privacyActions } from "@coterie/sdk/viem";
import { webSocket } from "@coterie/sdk/ws";
import { BrowserProvider } from "ethers";
import { createClient, custom } from "viem";
import WebSocket from "ws";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { GROUP, TO, errorString, log } from "./lib/data.mjs";
import { Frame, Refusal, drop, hang, startSocketNode, withSocketNode } from "./lib/socket-node.mjs";

const QUICK = { WebSocket, reconnectDelay: 1, reconnectDelayMax: 10 };

/** Runs `use` with a node, a client of it by WebSocket, and the transport. */
const withClient = (handlers, use, options = {}, server) =>
  withSocketNode(
    handlers,
    (url) => webSocket(url, { ...QUICK, ...options }),
    (node, transport) => use(node, sdk.createRpc(transport), transport),
    server,
  );

test("answers find their requests in whatever order they come", async () => {
  const open = [];
  const later = (params, _, id) => new Promise((resolve) => open.push(() => resolve([id, ...params])));
  await withClient({ later }, async (node, rpc) => {
    const answers = Promise.all(Array.from({ length: 20 }, (_, index) => rpc.rpc("later", [index])));
    await eventually("all have arrived", () => open.length === 20);
    for (const answer of open.reverse()) answer();
    const found = await answers;
    assert.deepEqual(found.map(([, index]) => index), Array.from({ length: 20 }, (_, index) => index));
    assert.equal(new Set(found.map(([id]) => id)).size, 20);
    assert.equal(node.upgrades.length, 1, "one connection for all");
  });
});

test("a node's refusals are the classes that they are by HTTP", async () => {
  const handlers = {
    refused: () => { throw new Refusal(-50100, "refused", { code: "GROUP_UNKNOWN" }); },
    priv_call: () => { throw new Refusal(3, "execution reverted", errorString("no")); },
  };
  await withClient(handlers, async (_, rpc, transport) => {
    await assert.rejects(rpc.rpc("refused", []), (error) => error instanceof sdk.GroupNotFoundError && error.rpcCode === -50100);
    await assert.rejects(rpc.rpc("unknown", []), sdk.MethodDisabledError);
    const client = sdk.createPrivacyClient({ transport });
    await assert.rejects(client.call({ privacyGroupId: GROUP, to: TO }), (error) => error instanceof sdk.CallRevertedError && error.revert.reason === "no");
    await assert.rejects(transport.request({ method: "refused" }), { name: "ProviderRpcError", code: -50100, message: "refused", data: { code: "GROUP_UNKNOWN" } });
  });
});

test("what is no answer fails the requests in flight, and the next connection works", async () => {
  const frames = {
    "no JSON": "<html>",
    "no object": "7",
    "an answer to no request": JSON.stringify([{ id: 1, result: 1 }]),
    "an answer to no request ": JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error" } }),
    "bytes instead of a text": Buffer.from([1, 2]),
  };
  for (const [what, frame] of Object.entries(frames)) {
    await withClient({ garbage: () => new Frame(frame), waits: () => hang, fine: "yes" }, async (node, rpc) => {
      const waits = rpc.rpc("waits", []);
      waits.catch(() => {});
      await assert.rejects(rpc.rpc("garbage", []), (error) => error instanceof sdk.InvalidResponseError && error.message.includes(what.trim()));
      await assert.rejects(waits, sdk.InvalidResponseError);
      assert.equal(await rpc.rpc("fine", []), "yes");
      assert.equal(node.upgrades.length, 2);
    });
  }
  const handlers = {
    neither: (_, socket, id) => new Frame(JSON.stringify({ jsonrpc: "2.0", id })),
    wrong: (_, socket, id) => new Frame(JSON.stringify({ jsonrpc: "2.0", id, error: "no" })),
    late: (_, socket, id) => new Frame(JSON.stringify({ jsonrpc: "2.0", id: id + 1000, result: 1 })),
    told: (_, socket, id) => {
      for (const params of [undefined, null, 7, {}, { subscription: {} }, { subscription: "0x9", result: {} }]) {
        socket.send(JSON.stringify({ jsonrpc: "2.0", method: "priv_subscription", params }));
      }
      socket.send(JSON.stringify({ jsonrpc: "2.0", method: "another", params: [] }));
      return id;
    },
  };
  await withClient(handlers, async (node, rpc) => {
    for (const method of ["neither", "wrong"]) await assert.rejects(rpc.rpc(method, []), sdk.InvalidResponseError);
    assert.equal(typeof (await rpc.rpc("told", [])), "number");
    assert.equal(node.upgrades.length, 1, "what concerns one request or none ends no connection");
  });
  await withClient(handlers, async (node, rpc) => {
    await assert.rejects(rpc.rpc("late", []), sdk.RequestTimeoutError);
  }, { requestTimeout: 300 });
});

test("an answer that is too long is refused, by the class and by the transport", async () => {
  const long = { long: "x".repeat(2000), umlauts: "ä".repeat(450), fits: "x".repeat(900) };
  class Plain extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
    }
  }
  for (const own of [WebSocket, Plain]) {
    await withClient(long, async (_, rpc) => {
      assert.equal((await rpc.rpc("fits", [])).length, 900);
      assert.equal((await rpc.rpc("umlauts", [])).length, 450);
      const isTooLong = (error) => error instanceof sdk.InvalidResponseError && /longer than 1000 bytes/.test(error.message);
      await assert.rejects(rpc.rpc("long", []), isTooLong);
      assert.equal((await rpc.rpc("fits", [])).length, 900);
    }, { WebSocket: own, responseBytesMax: 1000 });
  }
});

test("what is in flight when the connection ends fails, and is not sent again", async () => {
  const ends = [
    [() => drop, /the connection broke/],
    [(_, socket) => (socket.close(1008, "token expired"), hang), /closed the connection \(1008\): token expired/],
    [(_, socket) => (socket.close(1001), hang), /closed the connection \(1001\)$/],
    [(_, socket) => (socket.close(1000, "bye"), hang), /closed the connection: bye/],
    [(_, socket) => (socket.close(4001), hang), /\(4001\)/],
  ];
  for (const [send, message] of ends) {
    await withClient({ send, other: () => hang, fine: 1 }, async (node, rpc) => {
      const other = rpc.rpc("other", []);
      other.catch(() => {});
      const failed = (error) => error instanceof sdk.ConnectionError && message.test(error.message);
      await assert.rejects(rpc.rpc("send", []), (error) => failed(error) && error.message.startsWith("send: "));
      await assert.rejects(other, (error) => failed(error) && error.message.startsWith("other: "));
      assert.equal(await rpc.rpc("fine", []), 1);
      assert.deepEqual(node.methods(), ["other", "send", "fine"]);
    });
  }
});

test("a request waits for one attempt to connect, and another comes with the next", async () => {
  const node = await startSocketNode({ fine: 1 });
  await node.stop();
  const transport = webSocket(node.url, QUICK);
  const rpc = sdk.createRpc(transport);
  try {
    await assert.rejects(rpc.rpc("fine", []), (error) => error instanceof sdk.ConnectionError && error.message.startsWith("fine: "));
    assert.equal(node.requests.length, 0);
    await node.start();
    assert.equal(await rpc.rpc("fine", []), 1);
    assert.equal(node.requests.length, 1);
  } finally {
    transport.close();
    await node.stop();
  }
});

test("pauses between attempts grow to a limit, and differ", async () => {
  const made = [];
  class Failing {
    constructor() {
      made.push(performance.now());
    }
    addEventListener(type, listener) {
      if (type === "close") setImmediate(() => listener({ code: 1006, reason: "" }));
    }
    close() {}
    send() {}
  }
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const transport = webSocket("ws://127.0.0.1:1", { WebSocket: Failing, reconnectDelay: 8, reconnectDelayMax: 64 });
  transport.privSubscribe([GROUP, "logs", {}], () => {});
  await eventually("it tried often", () => made.length >= 9);
  transport.close();
  const pauses = made.slice(1).map((at, index) => at - made[index]);
  for (const [index, pause] of pauses.entries()) {
    // Half of it at least; timers may be a little early.
    assert.ok(pause >= Math.min(8 * 2 ** index, 64) / 2 - 2, `pause ${index}: ${pause} ms`);
  }
  await eventually("nothing waits after close()", () => timers() <= before);
});

test("an abort ends a request, also one that waits for the connection", async () => {
  await withClient({ waits: () => hang, fine: 1 }, async (node, rpc) => {
    const controller = new AbortController();
    const waits = rpc.rpc("waits", [], { signal: controller.signal });
    waits.catch(() => {});
    await eventually("it has arrived", () => node.requests.length === 1);
    controller.abort("enough");
    await assert.rejects(waits, (error) => error instanceof sdk.AbortError && error.cause === "enough");
    await assert.rejects(rpc.rpc("fine", [], { signal: AbortSignal.abort() }), sdk.AbortError);
    assert.equal(await rpc.rpc("fine", []), 1);
  });
});

test("a request that is not answered times out; a connection that is silent is given up", async () => {
  let isDead = false;
  const handlers = { waits: () => hang, fine: () => (isDead ? hang : 1) };
  await withClient(handlers, async (node, rpc) => {
    const timedOut = (error) => error instanceof sdk.RequestTimeoutError && /waits was not answered within 2000 ms/.test(error.message);
    const waits = assert.rejects(rpc.rpc("waits", []), timedOut);
    await eventually("it has arrived", () => node.requests.length === 1);
    assert.equal(await rpc.rpc("fine", []), 1);
    await waits;
    assert.equal(await rpc.rpc("fine", []), 1);
    assert.equal(node.upgrades.length, 1, "others were answered meanwhile");
    isDead = true;
    await assert.rejects(rpc.rpc("fine", []), sdk.RequestTimeoutError);
    isDead = false;
    assert.equal(await rpc.rpc("fine", []), 1);
    assert.equal(node.upgrades.length, 2);
  }, { requestTimeout: 2_000 });
});

test("close ends what is in flight, and everything after it", async () => {
  await withClient({ waits: () => hang }, async (node, rpc, transport) => {
    const waits = rpc.rpc("waits", []);
    waits.catch(() => {});
    await eventually("it has arrived", () => node.requests.length === 1);
    transport.close();
    transport.close();
    await assert.rejects(waits, (error) => error instanceof sdk.ConnectionError && /close\(\)/.test(error.message));
    await assert.rejects(rpc.rpc("waits", []), (error) => !(error instanceof sdk.ConnectionError) && error.code === "CLOSED");
    await eventually("the node has seen it", () => node.sockets.size === 0);
  });
  // Also while it connects.
  await withClient({}, async (node, _, transport) => {
    const early = transport.request({ method: "fine" });
    early.catch(() => {});
    transport.close();
    await assert.rejects(early, sdk.ConnectionError);
    assert.equal(node.requests.length, 0);
  });
});

test("headers go with each connection, made anew", async () => {
  let token = 0;
  const headers = async () => ({ Authorization: `Bearer ${(token += 1)}` });
  await withClient({ drop: () => drop, fine: 1 }, async (node, rpc) => {
    assert.equal(await rpc.rpc("fine", []), 1);
    await assert.rejects(rpc.rpc("drop", []), sdk.ConnectionError);
    assert.equal(await rpc.rpc("fine", []), 1);
    assert.deepEqual(node.upgrades.map(({ authorization }) => authorization), ["Bearer 1", "Bearer 2"]);
    assert.equal(node.upgrades[0]["sec-websocket-protocol"], "one,two");
  }, { headers, protocols: ["one", "two"] });
  await withClient({}, async (node, rpc) => {
    await assert.rejects(rpc.rpc("fine", []), (error) => error instanceof sdk.InvalidInputError && !/sec/.test(error.message));
  }, { headers: { authorization: "sec\nret" } });
});

/** Handlers of a node that knows tokens; `ended` are the connections whose token has. */
function guarded(more = {}) {
  const ended = new Set();
  const executed = [];
  const admit = (socket, answer) => {
    if (ended.has(socket)) throw new Refusal(-40100, "Unauthorized", { code: "UNAUTHORIZED" });
    return answer();
  };
  const fine = ([number], socket) => admit(socket, () => executed.push(number) && number);
  return { ended, executed, handlers: { fine, ...more } };
}

const FRESH = { headers: async () => ({ authorization: "Bearer fresh" }) };

test("what a node refuses because the token has ended goes over a new connection", async () => {
  let answer;
  const slow = () => new Promise((resolve) => (answer = resolve));
  const { ended, executed, handlers } = guarded({ slow });
  await withClient(handlers, async (node, rpc, transport) => {
    const told = [];
    transport.privSubscribe([GROUP, "logs", {}], (isTold) => told.push(isTold));
    await eventually("it is told of logs", () => told.length === 1);
    const waits = rpc.rpc("slow", []);
    await eventually("it has arrived", () => answer);
    for (const socket of node.sockets) ended.add(socket);
    const all = Promise.all([1, 2, 3].map((number) => rpc.rpc("fine", [number])));
    await eventually("they are refused", () => node.count("fine") === 3);
    // What the node executes keeps the connection, over which nothing more is asked.
    const later = rpc.rpc("fine", [4]);
    answer("at last");
    assert.equal(await waits, "at last");
    assert.deepEqual([await all, await later], [[1, 2, 3], 4]);
    assert.deepEqual([...executed].sort(), [1, 2, 3, 4]);
    assert.equal(node.upgrades.length, 2);
    await eventually("it is told of logs again", () => told.at(-1) && told.length === 3);
    assert.deepEqual([...node.subscriptions.values()].map(({ size }) => size), [1]);
  }, FRESH);
});

test("a node that closes the connection of an ended token fails only what was in flight", async () => {
  const { ended, executed, handlers } = guarded({ slow: () => hang });
  await withClient(handlers, async (node, rpc) => {
    const waits = rpc.rpc("slow", []);
    waits.catch(() => {});
    await eventually("it has arrived", () => node.count("slow") === 1);
    for (const socket of node.sockets) ended.add(socket);
    const refused = rpc.rpc("fine", [1]);
    await eventually("it is refused", () => node.count("fine") === 1);
    node.cut(1008, "not authorized any more");
    await assert.rejects(waits, sdk.ConnectionError);
    assert.equal(await refused, 1);
    assert.deepEqual([executed, node.upgrades.length], [[1], 2]);
  }, FRESH);
});

test("a refusal is an error where a new connection would not help", async () => {
  const unauthorized = (data) => () => { throw new Refusal(-40100, "Unauthorized", data); };
  const token = unauthorized({ code: "UNAUTHORIZED" });
  const group = unauthorized({ code: "UNAUTHORIZED", detail: "no member" });
  const attempts = async (refuses, options, kind) => {
    await withClient({ refuses, fine: 1 }, async (node, rpc) => {
      await assert.rejects(rpc.rpc("refuses", []), (error) => error.constructor === kind);
      assert.equal(await rpc.rpc("fine", []), 1);
      assert.equal(node.upgrades.length, node.count("refuses"));
      return node.upgrades.length;
    }, options).then((count) => assert.equal(count, refuses === token && options === FRESH ? 2 : 1));
  };
  await attempts(token, FRESH, sdk.UnauthorizedError);
  await attempts(token, { headers: { authorization: "Bearer of old" } }, sdk.UnauthorizedError);
  await attempts(group, FRESH, sdk.GroupNotFoundError);
});

test("what was refused does not outlive close", async () => {
  const { ended, handlers } = guarded({ slow: () => hang });
  await withClient(handlers, async (node, rpc, transport) => {
    const waits = rpc.rpc("slow", []);
    waits.catch(() => {});
    await eventually("it has arrived", () => node.count("slow") === 1);
    for (const socket of node.sockets) ended.add(socket);
    const refused = rpc.rpc("fine", [1]);
    refused.catch(() => {});
    await eventually("it is refused", () => node.count("fine") === 1);
    transport.close();
    for (const each of [waits, refused]) await assert.rejects(each, sdk.ConnectionError);
  }, FRESH);
});

test("a server that opens no WebSocket says why", async () => {
  const answers = [[401, sdk.UnauthorizedError], [403, sdk.UnauthorizedError], [404, sdk.HttpError], [503, sdk.HttpError]];
  for (const [status, kind] of answers) {
    const verifyClient = (_, done) => done(false, status, "no");
    await withClient({}, async (_, rpc) => {
      await assert.rejects(rpc.rpc("fine", []), (error) => error instanceof kind && error.message.includes(String(status)));
    }, {}, { verifyClient });
  }
});

test("viem, ethers and what replaces web3js-quorum take it as a provider", async () => {
  const handlers = {
    eth_chainId: "0x539",
    eth_blockNumber: "0x7",
    priv_getCode: () => { throw new Refusal(-40100, "Unauthorized"); },
    priv_getLogs: [log(3)],
  };
  await withClient(handlers, async (_, __, transport) => {
    const client = createClient({ transport: custom(transport) }).extend(privacyActions({}));
    assert.equal(await client.request({ method: "eth_blockNumber" }), "0x7");
    await assert.rejects(client.priv.getCode({ privacyGroupId: GROUP, address: TO }), sdk.UnauthorizedError);
    const provider = new BrowserProvider(transport);
    assert.equal(await provider.getBlockNumber(), 7);
    provider.destroy();
    const web3 = new Web3Quorum(transport);
    assert.equal((await web3.priv.getLogs(GROUP, {})).length, 1);
    // What ethers' contracts watch by.
    const { client: reading } = privacy(transport, null, { privacyGroupId: GROUP });
    for await (const { blockNumber } of reading.watchLogs({ privacyGroupId: GROUP, fromBlock: 0 })) {
      assert.equal(blockNumber, 3n);
      break;
    }
  });
});

test("wrong options are refused before anything is opened", () => {
  const refused = (url, options, message) => assert.throws(() => webSocket(url, options), (error) => error instanceof sdk.InvalidInputError && message.test(error.message));
  refused("nowhere", { WebSocket }, /no URL/);
  refused("http://127.0.0.1:1", { WebSocket }, /by ws or wss, not by http:/);
  refused("ws://name:secret@127.0.0.1", { WebSocket }, /no name and password/);
  refused("ws://127.0.0.1", { WebSocket: 7 }, /must be a class, not a number/);
  refused("ws://127.0.0.1", { WebSocket, protocols: [7] }, /protocols/);
  for (const name of ["requestTimeout", "responseBytesMax", "reconnectDelay", "reconnectDelayMax"]) {
    refused("ws://127.0.0.1", { WebSocket, [name]: 0 }, new RegExp(name));
  }
  refused("ws://127.0.0.1", null, /options must be an object/);
});

test("without a WebSocket of the platform it says what to pass", async () => {
  const program = `
    delete globalThis.WebSocket;
    const { webSocket } = await import("@coterie/sdk/ws");
    try { webSocket("ws://127.0.0.1:1"); } catch (error) { console.log(error.name, error.message, error.hint); }`;
  assert.match(await node([], program), /^InvalidInputError this platform has no WebSocket .*npm's ws/);
});

test("the platform's own WebSocket serves, with headers too", async () => {
  await using(await startSocketNode({ fine: 1, long: "x".repeat(2000) }), async ({ url, upgrades }) => {
    const program = `
      import { createRpc } from "@coterie/sdk";
      import { webSocket } from "@coterie/sdk/ws";
      for (const headers of [{}, { authorization: "Bearer 1" }]) {
        const transport = webSocket("${url}", { headers, responseBytesMax: 1000, reconnectDelay: 1 });
        const rpc = createRpc(transport);
        console.log(await rpc.rpc("fine", []));
        console.log((await rpc.rpc("long", []).catch((error) => error)).name);
        console.log(await rpc.rpc("fine", []));
        transport.close();
      }`;
    const once = "1\nInvalidResponseError\n1\n";
    assert.equal(await node(["--experimental-websocket"], program), once + once);
    assert.deepEqual(upgrades.map(({ authorization }) => authorization), [undefined, undefined, "Bearer 1", "Bearer 1"]);
  });
});

test("a platform's WebSocket that takes no headers is told apart", async () => {
  // As browsers do: what is given second is the names of protocols.
  class Browser extends WebSocket {
    constructor(url, protocols = []) {
      super(url, typeof protocols === "object" && Symbol.iterator in protocols ? protocols : String(protocols));
    }
  }
  const before = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  Object.defineProperty(globalThis, "WebSocket", { value: Browser, configurable: true, writable: true });
  try {
    await using(await startSocketNode({ fine: 1 }), async ({ url }) => {
      const plain = webSocket(url);
      assert.equal(await plain.request({ method: "fine" }), 1);
      plain.close();
      const transport = webSocket(url, { headers: { authorization: "secret" } });
      const refused = (error) => error instanceof sdk.InvalidInputError && /takes no headers/.test(error.message) && /proxy/.test(error.hint) && !error.cause;
      await assert.rejects(transport.request({ method: "fine" }), refused);
      transport.close();
    });
  } finally {
    if (before) Object.defineProperty(globalThis, "WebSocket", before);
    else delete globalThis.WebSocket;
  }
});

/** What a program prints, run from here so that it finds the packages. */
async function node(flags, program) {
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--no-warnings", "--input-type=module", "--eval", program], { cwd, timeout: 120_000 });
  return stdout;
}

async function using(node, use) {
  try {
    await use(node);
  } finally {
    await node.stop();
  }
}
