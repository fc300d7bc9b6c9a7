// Subscriptions: on a node with filters, on one without (this one, today), over a WebSocket; and
// that ending one ends it.

import assert from "node:assert/strict";
import { EventEmitter as NodeEmitter } from "node:events";
import { after, before, test } from "node:test";

import { EventEmitter } from "../../../tests/js/lib/contracts.mjs";
import { randomGroup, startDev } from "../../../tests/js/lib/network.mjs";
import { eventually } from "../../../tests/js/lib/wait.mjs";
import { Compat, Web3 } from "./clients.mjs";
import { Refusal, startProxy, startScripted } from "./proxy.mjs";
import { keys } from "./vectors.mjs";

const [GROUP] = keys;
const log = (n, more = {}) => ({
  address: `0x${"cd".repeat(20)}`,
  topics: [],
  data: `0x${n.toString(16).padStart(2, "0")}`,
  blockHash: `0x${"ab".repeat(32)}`,
  blockNumber: "0x11",
  transactionHash: `0x${n.toString(16).padStart(64, "0")}`,
  transactionIndex: "0x0",
  logIndex: "0x0",
  removed: false,
  ...more,
});

/** A subscription with quick polls, and what it tells. */
async function subscribe(web3, filter = {}, group = GROUP) {
  web3.priv.subscriptionPollingInterval = 5;
  const subscription = await web3.priv.subscribeWithPooling(group, filter);
  const [logs, errors] = [[], []];
  subscription.on("data", (it) => logs.push(it));
  subscription.on("error", (it) => errors.push(it));
  return { subscription, logs, errors };
}

let network;
before(async () => {
  network = await startDev();
});
after(() => network?.stop());

/** A group of A and B with a contract that emits. */
async function emitter() {
  const [a, b] = network.members;
  const [account] = network.accounts;
  const group = randomGroup();
  await a.create(group, account, [a, b]);
  const { contractAddress: address } = await a.deploy(group, account, EventEmitter);
  const store = (value) => a.succeed({ group, account, to: address, data: EventEmitter.data("store", value) });
  return { b, group, address, store };
}

const amounts = (logs) => logs.map(({ data }) => Number(`0x${data.slice(66)}`));

test("this node's logs come once each, from when it was asked", async () => {
  const { b, group, address, store } = await emitter();
  const { commitmentHash } = await store(1);
  // The node that is asked has it, too: otherwise it is still to come there.
  await b.receipt(commitmentHash);
  const { subscription, logs, errors } = await subscribe(new Compat(b.url), { address }, group);
  for (const value of [2, 3, 4]) await store(value);
  await eventually("all are there", () => logs.length >= 3);
  await store(5);
  await eventually("the last is there", () => logs.length >= 4);
  assert.deepEqual(amounts(logs), [2, 3, 4, 5]);
  assert.deepEqual(errors, []);
  assert.equal(typeof logs[0].blockNumber, "number");
  assert.match(logs[0].id, /^log_[0-9a-f]{8}$/);
  assert.equal(await subscription.unsubscribe(), subscription.filterId);
});

test("this node's past logs come first, from fromBlock on", async () => {
  const { b, group, address, store } = await emitter();
  const { blockNumber } = await store(1);
  await store(2);
  for (const fromBlock of [Number(blockNumber), blockNumber, "earliest"]) {
    const { subscription, logs } = await subscribe(new Compat(new Web3(b.url)), { address, fromBlock }, group);
    await eventually("past logs are there", () => logs.length >= 2);
    await store(3);
    await eventually("and the new one", () => logs.length >= 3);
    assert.deepEqual(amounts(logs).slice(0, 2), [1, 2]);
    assert.equal(amounts(logs).at(-1), 3);
    await subscription.unsubscribe();
  }
});

test("after unsubscribe nothing is asked and nothing is told", async () => {
  const { b, group, address, store } = await emitter();
  const proxy = await startProxy(b.url);
  const { subscription, logs } = await subscribe(new Compat(proxy.url), { address }, group);
  await eventually("it polls", () => proxy.requests.length > 6);
  await subscription.unsubscribe();
  const before = proxy.requests.length;
  await store(9);
  // Another subscription has seen it meanwhile, so this one would have.
  const other = await subscribe(new Compat(b.url), { address, fromBlock: 0 }, group);
  await eventually("the other has it", () => other.logs.length > 0);
  await other.subscription.unsubscribe();
  // At most the request that was on its way.
  assert.ok(proxy.requests.length <= before + 1, `${proxy.requests.length - before} requests more`);
  assert.deepEqual(logs, []);
  await proxy.stop();
});

test("on a node with filters past and new logs come once each", async () => {
  let polls = 0;
  const node = await startScripted({
    priv_newFilter: "0x9",
    priv_getFilterLogs: [log(1), log(2)],
    priv_getFilterChanges: () => (++polls === 1 ? [log(2)] : polls === 2 ? [log(3)] : []),
    priv_uninstallFilter: true,
  });
  const { subscription, logs } = await subscribe(new Compat(node.url), { fromBlock: 1 });
  await eventually("all are there", () => logs.length >= 3 && polls > 3);
  assert.deepEqual(logs.map(({ data }) => data), ["0x01", "0x02", "0x03"]);
  await subscription.unsubscribe();
  assert.deepEqual(node.requests.at(-1), { method: "priv_uninstallFilter", params: [GROUP, "0x9"] });
  await node.stop();
});

test("an error is told, and polling goes on, also when nobody listens", async () => {
  let polls = 0;
  const node = await startScripted({
    priv_newFilter: "0x9",
    priv_getFilterChanges: () => {
      polls += 1;
      if (polls < 3) throw new Refusal(-32603, "Internal error");
      return [log(polls)];
    },
    priv_uninstallFilter: true,
  });
  const { subscription, logs, errors } = await subscribe(new Compat(node.url));
  await eventually("it goes on", () => logs.length > 1);
  assert.equal(errors.length, 2);
  assert.equal(errors[0].message, "Returned error: Internal error");
  await subscription.unsubscribe();
  polls = 0;
  const { priv } = new Compat(node.url);
  priv.subscriptionPollingInterval = 5;
  const deaf = await priv.subscribeWithPolling(GROUP, {});
  await eventually("it goes on", () => polls > 4);
  await deaf.unsubscribe();
  await node.stop();
});

test("the polling interval is the one that is set when it begins", async () => {
  let polls = 0;
  const answers = {
    priv_newFilter: "0x9",
    priv_getFilterChanges: () => {
      polls += 1;
      return [];
    },
    priv_uninstallFilter: true,
  };
  const node = await startScripted(answers);
  for (const web3 of [new Compat(node.url), new Compat(new Web3(node.url))]) {
    polls = 0;
    const { subscription } = await subscribe(web3);
    // At the default of a second this would take longer than is waited.
    await eventually("it polls quickly", () => polls > 80);
    await subscription.unsubscribe();
  }
  await node.stop();
});

test("past logs are told although what follows them fails", async () => {
  let asked = 0;
  const node = await startScripted({
    priv_newFilter: "0x9",
    priv_getFilterLogs: [log(1)],
    priv_getFilterChanges: () => {
      if (++asked === 1) throw new Refusal(-32603, "Internal error");
      return asked === 2 ? [log(2)] : [];
    },
    priv_uninstallFilter: true,
  });
  const { subscription, logs, errors } = await subscribe(new Compat(node.url), { fromBlock: 1 });
  await eventually("both are there", () => logs.length === 2);
  assert.deepEqual(logs.map(({ data }) => data), ["0x01", "0x02"]);
  assert.equal(errors.length, 1);
  assert.equal(node.requests.filter(({ method }) => method === "priv_getFilterLogs").length, 1);
  await subscription.unsubscribe();
  await node.stop();
});

test("past logs are asked for again when the node could not give them", async () => {
  let asked = 0;
  const node = await startScripted({
    priv_newFilter: "0x9",
    priv_getFilterLogs: () => {
      if (++asked === 1) throw new Refusal(-32603, "Internal error");
      return [log(1)];
    },
    priv_getFilterChanges: [],
    priv_uninstallFilter: true,
  });
  const { subscription, logs, errors } = await subscribe(new Compat(node.url), { fromBlock: 1 });
  await eventually("it is there", () => logs.length === 1);
  assert.equal(errors.length, 1);
  await subscription.unsubscribe();
  await node.stop();
});

/** A node that keeps each filter's logs from its first block on, and forgets the first filter. */
function forgetful(chain) {
  const filters = [];
  const matching = (id) => {
    const { fromBlock } = filters[Number(id) - 1];
    const first = fromBlock === "earliest" ? 0 : Number(fromBlock ?? Infinity);
    return chain.filter(({ blockNumber }) => Number(blockNumber) >= first);
  };
  const table = {
    eth_blockNumber: "0x11",
    priv_newFilter: (_, filter) => `0x${filters.push(filter).toString(16)}`,
    priv_getFilterLogs: (_, id) => matching(id),
    priv_getFilterChanges: (_, id) => {
      if (id === "0x1") throw new Refusal(-32000, "Filter not found");
      return [];
    },
    priv_uninstallFilter: true,
  };
  return { table, filters };
}

test("a filter that the node has forgotten is made again, from where the subscription began", async () => {
  const at = (n) => log(n, { blockNumber: `0x${n.toString(16)}` });
  const chain = [at(1), at(17), at(18), at(19)];
  const cases = [
    [{}, "0x12", ["0x12", "0x13"]],
    [{ fromBlock: "latest" }, "0x11", ["0x11", "0x12", "0x13"]],
    [{ fromBlock: 18 }, "0x12", ["0x12", "0x13"]],
    // What was told long before is not read again.
    [{ fromBlock: "earliest" }, "0x7", ["0x01", "0x11", "0x12", "0x13"]],
  ];
  for (const [filter, fromBlock, expected] of cases) {
    const { table, filters } = forgetful(chain);
    const node = await startScripted(table);
    const { subscription, logs, errors } = await subscribe(new Compat(node.url), { ...filter, topics: [] });
    await eventually("what was missed is there", () => logs.length === expected.length && subscription.filterId === "0x2");
    // Another poll or two must not bring more.
    await eventually("it polls", () => node.requests.filter(({ params }) => params[1] === "0x2").length > 3);
    assert.deepEqual(logs.map(({ data }) => data), expected);
    assert.deepEqual(errors, []);
    assert.deepEqual(filters, [{ ...filter, topics: [] }, { topics: [], fromBlock }]);
    await subscription.unsubscribe();
    await node.stop();
  }
});

test("a filter is made again on a node that does not tell its newest block, too", async () => {
  const { table, filters } = forgetful([log(1)]);
  delete table.eth_blockNumber;
  const node = await startScripted(table);
  const { subscription, logs, errors } = await subscribe(new Compat(node.url));
  await eventually("it polls", () => node.requests.filter(({ params }) => params[1] === "0x2").length > 3);
  assert.deepEqual([filters, logs, errors], [[{}, {}], [], []]);
  await subscription.unsubscribe();
  await node.stop();
});

test("a filter that is made again after the end is taken away at once", async () => {
  let made;
  const making = new Promise((resolve) => (made = resolve));
  let answer;
  const { table } = forgetful([]);
  const { priv_newFilter: make } = table;
  table.priv_newFilter = async (...params) => {
    const id = make(...params);
    if (id === "0x1") return id;
    made();
    await new Promise((resolve) => (answer = resolve));
    return id;
  };
  const node = await startScripted(table);
  const { subscription } = await subscribe(new Compat(node.url));
  await making;
  await subscription.unsubscribe();
  answer();
  const gone = () => node.requests.filter(({ method }) => method === "priv_uninstallFilter").map(({ params }) => params[1]);
  await eventually("both are gone", () => gone().length === 2);
  assert.deepEqual(gone(), ["0x1", "0x2"]);
  await node.stop();
});

test("a listener that throws is uncaught, and polling goes on", async () => {
  let polls = 0;
  const node = await startScripted({
    eth_blockNumber: "0x11",
    priv_newFilter: "0x9",
    priv_getFilterChanges: () => {
      polls += 1;
      if (polls < 3) throw new Refusal(-32603, "Internal error");
      return [log(polls)];
    },
    priv_uninstallFilter: true,
  });
  const uncaught = [];
  const [before, rejected] = ["uncaughtException", "unhandledRejection"].map((name) => process.listeners(name));
  const mine = { uncaughtException: (error) => uncaught.push(error.message), unhandledRejection: (error) => uncaught.push(`rejected: ${error}`) };
  for (const [name, listener] of Object.entries(mine)) process.removeAllListeners(name).on(name, listener);
  try {
    const { priv } = new Compat(node.url);
    priv.subscriptionPollingInterval = 5;
    const subscription = await priv.subscribeWithPolling(GROUP, {});
    let logs = 0;
    subscription.on("error", ({ message }) => {
      throw new Error(`thrown for ${message}`);
    });
    subscription.on("data", () => (logs += 1));
    await eventually("it goes on", () => logs > 1);
    await subscription.unsubscribe();
  } finally {
    for (const name of Object.keys(mine)) process.removeAllListeners(name);
    for (const listener of before) process.on("uncaughtException", listener);
    for (const listener of rejected) process.on("unhandledRejection", listener);
  }
  const thrown = "thrown for Returned error: Internal error";
  assert.deepEqual(uncaught, [thrown, thrown]);
  await node.stop();
});

/** A node without filters that gives at most `max` logs at a time, of the blocks that it has followed. */
function limited({ head, perBlock, max = 1000 }) {
  const state = { head, followed: head, max, refusal: undefined };
  const hex = (n) => `0x${n.toString(16)}`;
  const table = {
    eth_blockNumber: () => hex(state.head),
    priv_call: (_, __, block) => (Number(block) <= state.followed ? `0x${"1".padStart(64, "0")}` : null),
    priv_getLogs: (_, { fromBlock, toBlock }) => {
      if (state.refusal) throw state.refusal;
      const to = Math.min(state.followed, toBlock === undefined || toBlock === "latest" ? state.followed : Number(toBlock));
      const found = [];
      for (let block = Number(fromBlock); block <= to; block++) {
        for (let i = 0; i < perBlock(block); i++) {
          const n = block * 100 + i;
          found.push(log(n, { data: `0x${n.toString(16).padStart(8, "0")}`, blockNumber: hex(block), logIndex: hex(i) }));
        }
      }
      if (found.length > state.max) throw new Refusal(-32005, "Limit exceeded", { code: "LIMIT_EXCEEDED" });
      return found;
    },
  };
  return { state, table };
}

const numbers = (logs) => logs.map(({ data }) => Number(data));

test("a node without filters may be far behind its chain", async () => {
  const { state, table } = limited({ head: 100, perBlock: (block) => (block > 100 ? 1 : 0) });
  const node = await startScripted(table);
  const { subscription, logs, errors } = await subscribe(new Compat(node.url));
  state.head = 200;
  const asked = node.requests.length;
  await eventually("it polls", () => node.requests.length > asked + 6);
  state.followed = 200;
  await eventually("all are there", () => logs.length >= 100);
  assert.deepEqual(numbers(logs), Array.from({ length: 100 }, (_, i) => (101 + i) * 100));
  assert.deepEqual(errors, []);
  await subscription.unsubscribe();
  await node.stop();
});

test("a node without filters gives more logs than it gives at a time", async () => {
  const { state, table } = limited({ head: 60, perBlock: (block) => (block % 3 === 0 ? 2 : 0), max: 20 });
  const node = await startScripted(table);
  const { subscription, logs, errors } = await subscribe(new Compat(node.url), { fromBlock: 0 });
  await eventually("all are there", () => logs.length >= 42);
  state.head = state.followed = 63;
  await eventually("and the new ones", () => logs.length >= 44);
  assert.deepEqual(numbers(logs), Array.from({ length: 22 }, (_, i) => [300 * i, 300 * i + 1]).flat());
  assert.deepEqual(errors, []);
  assert.deepEqual([logs[1].blockNumber, logs[1].logIndex, logs[1].transactionIndex], [0, 1, 0]);
  await subscription.unsubscribe();
  await node.stop();
});

test("a busy group is polled on a node without filters, whose every stretch has too many logs", async () => {
  const { state, table } = limited({ head: 60, perBlock: () => 2, max: 20 });
  const node = await startScripted(table);
  const { subscription, logs, errors } = await subscribe(new Compat(node.url), { fromBlock: 0 });
  await eventually("past logs are there", () => logs.length >= 122);
  state.head = state.followed = 80;
  await eventually("and the new ones", () => logs.length >= 162);
  assert.deepEqual(numbers(logs), Array.from({ length: 81 }, (_, i) => [100 * i, 100 * i + 1]).flat());
  assert.deepEqual(errors, []);
  await subscription.unsubscribe();
  await node.stop();
});

test("on a node without filters an error is told, and polling goes on where it was", async () => {
  const { state, table } = limited({ head: 60, perBlock: (block) => (block > 10 ? 1 : 0) });
  const node = await startScripted(table);
  const { subscription, logs, errors } = await subscribe(new Compat(node.url), { fromBlock: 5 });
  await eventually("past logs are there", () => logs.length === 50);
  state.refusal = new Refusal(-32603, "Internal error");
  await eventually("errors are told", () => errors.length > 2);
  assert.equal(errors[0].message, "Returned error: Internal error");
  state.refusal = undefined;
  const asked = node.requests.length;
  state.head = state.followed = 62;
  await eventually("it goes on", () => logs.length >= 52);
  assert.deepEqual(numbers(logs), Array.from({ length: 52 }, (_, i) => (11 + i) * 100));
  const froms = node.requests.slice(asked).filter(({ method }) => method === "priv_getLogs").map(({ params }) => Number(params[1].fromBlock));
  assert.ok(froms.every((from) => from >= 40), "history is not read again");
  await subscription.unsubscribe();
  await node.stop();
});

test("on a node without filters nothing comes from behind toBlock, and a wrong filter is refused", async () => {
  const { table } = limited({ head: 60, perBlock: () => 1 });
  const node = await startScripted(table);
  const web3 = new Compat(node.url);
  const { subscription, logs } = await subscribe(web3, { fromBlock: 50, toBlock: "0x34", address: null });
  await eventually("it polls", () => node.requests.filter(({ method }) => method === "priv_getLogs").length > 3);
  assert.deepEqual(numbers(logs), [5000, 5100, 5200]);
  await subscription.unsubscribe();
  await assert.rejects(web3.priv.subscribeWithPooling(GROUP, { address: "0x12" }), { name: "InvalidInputError" });
  await node.stop();
});

test("a failure to end it is a rejection", async () => {
  const node = await startScripted({ priv_newFilter: "0x9", priv_getFilterChanges: [] });
  const { subscription } = await subscribe(new Compat(node.url));
  await assert.rejects(subscription.unsubscribe(), { name: "MethodDisabledError" });
  const told = await new Promise((resolve) => subscription.unsubscribe(resolve));
  assert.equal(told.name, "MethodDisabledError");
  await node.stop();
});

test("a subscription that cannot begin is told to the callback, or rejects", async () => {
  const node = await startScripted({
    priv_newFilter: () => {
      throw new Refusal(-32602, "Invalid filter params");
    },
  });
  const { priv } = new Compat(node.url);
  await assert.rejects(priv.subscribeWithPooling(GROUP, {}), { message: "Returned error: Invalid filter params" });
  const told = await new Promise((resolve) => priv.subscribeWithPooling(GROUP, {}, resolve));
  assert.equal(told.message, "Returned error: Invalid filter params");
  await node.stop();
});

/** What web3's WebSocket provider is to its users: requests with a callback, events by name. */
class Socket extends NodeEmitter {
  subscriptions = 0;
  requests = [];
  past = [];
  constructor(supported = true) {
    super();
    this.supported = supported;
  }
  send({ id, method, params }, callback) {
    this.requests.push({ method, params });
    const error = { code: -32601, message: "Method not found" };
    if (!this.supported && method.startsWith("priv_")) return callback(null, { jsonrpc: "2.0", id, error });
    const answers = { eth_blockNumber: "0x10", priv_getLogs: this.past };
    const result = method === "priv_subscribe" ? `0x${(this.subscriptions += 1)}` : (answers[method] ?? true);
    // The first log may come right behind the answer.
    callback(null, { jsonrpc: "2.0", id, result });
    if (method === "priv_subscribe") this.notify(result, 100 + this.subscriptions);
  }
  notify(subscription, n, more) {
    this.tell({ subscription, privacyGroupId: GROUP, result: log(n, more) });
  }
  tell(params) {
    this.emit("data", { jsonrpc: "2.0", method: "priv_subscription", params });
  }
}

test("subscriptions of one socket do not hear each other, and have the same logs as over HTTP", async () => {
  const socket = new Socket();
  const web3 = new Compat(socket);
  const first = await subscribe(web3);
  const second = await subscribe(web3);
  socket.notify("0x1", 1);
  socket.notify("0x2", 2);
  socket.notify("0x3", 3);
  const seen = ({ logs }) => logs.map(({ data }) => data);
  await eventually("both have theirs", () => first.logs.length === 2 && second.logs.length === 2);
  assert.deepEqual(seen(first), ["0x65", "0x01"]);
  assert.deepEqual(seen(second), ["0x66", "0x02"]);
  assert.equal(first.logs[0].blockNumber, 17);

  assert.equal(await first.subscription.unsubscribe(), true);
  assert.deepEqual(socket.requests.at(-1), { method: "priv_unsubscribe", params: [GROUP, "0x1"] });
  assert.equal(socket.listenerCount("data"), 1);
  socket.notify("0x1", 4);
  assert.equal(first.logs.length, 2);
  await second.subscription.unsubscribe();
  for (const event of ["data", "error", "connect"]) assert.equal(socket.listenerCount(event), 0, event);
});

test("a socket that was reconnected is subscribed to again", async () => {
  const socket = new Socket();
  const { subscription, logs } = await subscribe(new Compat(socket));
  let connected = 0;
  subscription.on("connected", () => (connected += 1));
  socket.emit("connect");
  await eventually("there is a new subscription", () => subscription.filterId === "0x2");
  socket.notify("0x1", 1);
  socket.notify("0x2", 2);
  await eventually("the new one is heard", () => logs.length === 3);
  assert.deepEqual(logs.map(({ data }) => data), ["0x65", "0x66", "0x02"]);
  assert.equal(connected, 1);
  await subscription.unsubscribe();
});

test("what was missed while a socket was gone is read, and comes once", async () => {
  const socket = new Socket();
  const { subscription, logs, errors } = await subscribe(new Compat(socket), { address: `0x${"cd".repeat(20)}` });
  socket.notify("0x1", 1, { blockNumber: "0x40" });
  socket.past = [log(1, { blockNumber: "0x40" }), log(2, { blockNumber: "0x41" })];
  socket.emit("connect");
  await eventually("it was read", () => logs.some(({ data }) => data === "0x02"));
  assert.deepEqual(logs.map(({ data }) => data), ["0x65", "0x01", "0x66", "0x02"]);
  const { params } = socket.requests.find(({ method }) => method === "priv_getLogs");
  assert.deepEqual(params, [GROUP, { address: `0x${"cd".repeat(20)}`, fromBlock: "0x34", toBlock: "latest" }]);
  assert.deepEqual(errors, []);
  await subscription.unsubscribe();
});

test("a branch that comes back brings its logs back, and the reason of an end is told", async () => {
  const socket = new Socket();
  const { subscription, logs, errors } = await subscribe(new Compat(socket));
  for (const removed of [false, true, true, false, false, true]) socket.notify("0x1", 1, { removed });
  await eventually("each change is told once", () => logs.length === 5);
  assert.deepEqual(logs.slice(1).map(({ removed }) => removed), [false, true, false, true]);
  socket.tell({ subscription: "0x9", privacyGroupId: GROUP, error: { code: -40100, message: "Unauthorized" } });
  assert.equal(errors.length, 0);
  socket.tell({ subscription: "0x1", privacyGroupId: GROUP, error: { code: -40100, message: "Unauthorized" } });
  assert.deepEqual(errors.map(({ rpcCode, name }) => [rpcCode, name]), [[-40100, "UnauthorizedError"]]);
  await subscription.unsubscribe();
});

test("a subscription that a reconnected socket makes after the end is taken away at once", async () => {
  const socket = new Socket();
  const { subscription } = await subscribe(new Compat(socket));
  const { send } = socket;
  const held = [];
  socket.send = (payload, callback) => {
    if (payload.method === "priv_subscribe") held.push(() => send.call(socket, payload, callback));
    else send.call(socket, payload, callback);
  };
  socket.emit("connect");
  await eventually("it is asked for again", () => held.length === 1);
  await subscription.unsubscribe();
  held[0]();
  const gone = () => socket.requests.filter(({ method }) => method === "priv_unsubscribe").map(({ params }) => params[1]);
  await eventually("both are gone", () => gone().length === 2);
  assert.deepEqual(gone(), ["0x1", "0x2"]);
});

test("a socket of a node without subscriptions is polled", async () => {
  const socket = new Socket(false);
  const { send } = socket;
  socket.send = (payload, callback) => {
    const table = { eth_blockNumber: "0x11", priv_getLogs: [log(1)] };
    const result = table[payload.method];
    if (result === undefined) return send.call(socket, payload, callback);
    callback(null, { jsonrpc: "2.0", id: payload.id, result });
  };
  const { subscription, logs } = await subscribe(new Compat(socket), { fromBlock: 0 });
  await eventually("a log is there", () => logs.length === 1);
  assert.equal(socket.listenerCount("data"), 0);
  await subscription.unsubscribe();
});
