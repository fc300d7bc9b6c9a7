// Logs as they come: the published web3js-quorum over WebSocket and HTTP, the chain's own
// subscriptions through a member's node by viem, ethers and web3, reorgs, and many connections.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Contract, WebSocketProvider } from "ethers";
import { createPublicClient, webSocket } from "viem";

import { Web3, Web3Quorum } from "./lib/clients.mjs";
import { EventEmitter, MARKER_TO, STORED_TOPIC } from "./lib/contracts.mjs";
import { randomGroup, startDev } from "./lib/network.mjs";
import { transact } from "./lib/public.mjs";
import { eventually } from "./lib/wait.mjs";

const CONNECTIONS = 200;

let network;
before(async () => {
  network = await startDev();
});
after(() => network?.stop());

const ws = ({ url }) => url.replace(/^http/, "ws");

/** A group of A and B with an emitter; `store` stores a number through A and waits until B has it. */
async function emitting() {
  const [a, b] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  await a.create(group, alice, [a, b]);
  const { contractAddress: address } = await a.deploy(group, alice, EventEmitter);
  const store = async (value) => {
    const stored = await a.succeed({ group, account: alice, to: address, data: EventEmitter.data("store", value) });
    // B is asked: it may follow later than A.
    return b.receipt(stored.commitmentHash);
  };
  return { a, b, group, address, store };
}

/** web3's own provider for a WebSocket, and what it is told. */
class Socket {
  constructor(url) {
    this.provider = new Web3.providers.WebsocketProvider(url);
    this.told = [];
    this.provider.on("data", ({ params }) => this.told.push(params));
  }

  call(method, ...params) {
    return new Promise((resolve, reject) => {
      const call = { jsonrpc: "2.0", id: ++Socket.last, method, params };
      this.provider.send(call, (error, answer) => {
        if (error) reject(error);
        else if (answer.error) reject(Object.assign(new Error(answer.error.message), answer.error));
        else resolve(answer.result);
      });
    });
  }

  close() {
    this.provider.disconnect(1000, "done");
  }
}
Socket.last = 0;

const numberOf = ({ data }) => Number(BigInt(`0x${data.slice(-64)}`));

test("web3js-quorum subscribes over a WebSocket and unsubscribes", async () => {
  const { b, group, address, store } = await emitting();
  const web3 = new Web3Quorum(new Web3(ws(b)));
  const told = [];
  web3.currentProvider.on("data", ({ method, params }) => {
    assert.equal(method, "priv_subscription");
    told.push(params);
  });
  const id = await web3.priv.subscribe(group, "logs", { address, fromBlock: 0 });
  assert.equal(id, "0x1");
  for (const value of [1, 2]) await store(value);
  await eventually("two logs", () => told.length >= 2);
  for (const [at, { subscription, privacyGroupId, result }] of told.entries()) {
    assert.deepEqual([subscription, privacyGroupId], [id, group]);
    assert.equal(result.removed, false);
    assert.deepEqual([result.address, result.topics], [address, [STORED_TOPIC]]);
    assert.equal(numberOf(result), at + 1);
  }
  assert.equal(await web3.priv.unsubscribe(group, id), true);
  await assert.rejects(web3.priv.unsubscribe(group, id), /Subscription not found/);
  await store(3);
  assert.equal(await web3.priv.getTransactionCount(network.accounts[0].address, group), 5);
  assert.equal(told.length, 2);
  web3.currentProvider.disconnect(1000, "done");
});

test("web3js-quorum subscribes with pooling over both transports", async () => {
  const { b, group, address, store } = await emitting();
  await store(1);
  const overSocket = new Web3Quorum(new Web3(ws(b)));
  const overHttp = new Web3Quorum(new Web3(b.url));
  overHttp.priv.subscriptionPollingInterval = 20;
  const subscribe = (web3) =>
    new Promise((resolve, reject) => {
      const filter = { address, fromBlock: 0 };
      const subscription = web3.priv.subscribeWithPooling(group, filter, (error) => error && reject(error));
      subscription.then(resolve, reject);
    });
  const logs = { socket: [], http: [] };
  const socket = await subscribe(overSocket);
  const http = await subscribe(overHttp);
  socket.on("data", ({ result }) => logs.socket.push(numberOf(result)));
  http.on("data", (log) => logs.http.push(numberOf(log)));
  await eventually("the past log", () => logs.http.length === 1);
  for (const value of [2, 3, 4]) await store(value);
  await eventually("the new logs", () => logs.socket.length === 3 && logs.http.length === 4);
  assert.deepEqual(logs, { socket: [2, 3, 4], http: [1, 2, 3, 4] });
  assert.equal(await socket.unsubscribe(() => {}), true);
  // The package removes all listeners and then may hear that the filter is gone, of a poll under way.
  assert.match(await http.unsubscribe(() => http.on("error", () => {})), /^0x[0-9a-f]{32}$/);
  overSocket.currentProvider.disconnect(1000, "done");
});

test("a reorg tells what is no more, by subscription and by filter, and then what is new", async () => {
  const { a, b, group, address } = await emitting();
  const { chain } = network;
  const [alice, bob] = network.accounts;
  // Markers by an account of ours: the node's own go on counting where the chain went back.
  const store = async (value) => {
    const raw = await a.sign({ group, account: alice, to: address, data: EventEmitter.data("store", value) });
    const data = await a.rpc("priv_distributeRawTransaction", raw, bob.address);
    const { transactionHash } = await transact(chain, bob, { to: MARKER_TO, data });
    await Promise.all([a, b].map((it) => it.receipt(transactionHash)));
  };
  const socket = new Socket(ws(b));
  await socket.call("priv_subscribe", group, "logs", { address });
  const filter = await b.rpc("priv_newFilter", group, { address });
  const from = await chain.height();
  const before = await chain.rpc("evm_snapshot");
  await store(1);
  const first = await b.rpc("priv_getFilterChanges", group, filter);
  assert.deepEqual(first.map((log) => [numberOf(log), log.removed]), [[1, false]]);
  assert.deepEqual(await b.rpc("priv_getFilterChanges", group, filter), []);

  await chain.rpc("evm_revert", before);
  await chain.mineTo(from + 2);
  await eventually("both have left the block", async () => {
    const [one, two] = await Promise.all([a, b].map((it) => it.rpc("priv_getLogs", group, { address })));
    return one.length === 0 && two.length === 0;
  });
  await store(2);
  const changes = await eventually("what changed", async () => {
    const logs = await b.rpc("priv_getLogs", group, { address });
    return logs.length > 0 && b.rpc("priv_getFilterChanges", group, filter);
  });
  assert.deepEqual(changes.map((log) => [numberOf(log), log.removed]), [[1, true], [2, false]]);
  assert.equal(changes[0].blockHash, first[0].blockHash);
  await eventually("all is told", () => socket.told.length >= 3);
  assert.deepEqual(
    socket.told.map(({ result }) => [numberOf(result), result.removed]),
    [[1, false], [1, true], [2, false]],
  );
  assert.equal(await b.rpc("priv_uninstallFilter", group, filter), true);
  const gone = await b.rpcError("priv_getFilterChanges", group, filter);
  assert.deepEqual([gone.code, gone.message], [-32000, "Filter not found"]);
  const noLogs = await b.rpcError("priv_getFilterLogs", group, filter);
  assert.deepEqual([noLogs.code, noLogs.message], [-32000, "Logs filter not found"]);
  socket.close();
});

test("filters cannot be read by methods of the chain, and subscriptions need a WebSocket", async () => {
  const { b, group, address } = await emitting();
  const filter = await b.rpc("priv_newFilter", group, { address });
  for (const method of ["eth_getFilterChanges", "eth_getFilterLogs"]) {
    await b.rpcError(method, filter);
  }
  assert.deepEqual(await b.rpc("priv_getFilterChanges", group, filter), []);
  for (const method of ["priv_subscribe", "priv_unsubscribe"]) {
    assert.equal((await b.rpcError(method, group, "logs", {})).code, -32604);
  }
  const socket = new Socket(ws(b));
  const malformed = [[], [group], [group, "newHeads"], ["!!", "logs", {}], [group, "logs", { address: 1 }]];
  for (const params of malformed) {
    await assert.rejects(socket.call("priv_subscribe", ...params), { code: -32600, message: "Invalid Request" });
  }
  await assert.rejects(socket.call("priv_unsubscribe", group, "0x9"), { code: -32000 });
  socket.close();
});

test("two hundred connections are told the same", async () => {
  const { a, b, group, address, store } = await emitting();
  const sockets = Array.from({ length: CONNECTIONS }, (_, at) => new Socket(ws(at % 2 ? a : b)));
  const ids = await Promise.all(sockets.map((it) => it.call("priv_subscribe", group, "logs", { address })));
  assert.deepEqual(new Set(ids), new Set(["0x1"]));
  for (const value of [1, 2, 3]) await store(value);
  await eventually("all were told", () => sockets.every(({ told }) => told.length >= 3));
  for (const { told } of sockets) {
    assert.deepEqual(told.map(({ result }) => numberOf(result)), [1, 2, 3]);
  }
  for (const socket of sockets) socket.close();
});

test("who connects again reads what it missed, and is told the rest", async () => {
  const { b, group, address, store } = await emitting();
  const seen = new Map();
  const take = (log) => {
    const key = `${log.blockHash} ${log.transactionHash} ${log.logIndex}`;
    seen.set(key, numberOf(log));
  };
  const connect = async () => {
    const socket = new Socket(ws(b));
    await socket.call("priv_subscribe", group, "logs", { address });
    (await b.rpc("priv_getLogs", group, { address })).forEach(take);
    return socket;
  };
  let value = 0;
  for (let round = 0; round < 3; round++) {
    const socket = await connect();
    await store(++value);
    await eventually("the log is told", () => socket.told.length >= 1);
    socket.told.forEach(({ result }) => take(result));
    socket.close();
    await store(++value);
  }
  (await connect()).close();
  assert.deepEqual([...seen.values()], [1, 2, 3, 4, 5, 6]);
});

test("the chain's subscriptions go through a member's node", async () => {
  const [alice] = network.accounts;
  for (const url of [ws(network.chain), ws(network.members[0])]) {
    const viem = createPublicClient({ transport: webSocket(url, { reconnect: false }) });
    const blocks = [];
    const unwatch = viem.watchBlockNumber({ onBlockNumber: (number) => blocks.push(Number(number)) });

    const ethers = new WebSocketProvider(url, network.chain.chainId, { staticNetwork: true });
    const web3 = new Web3(url);
    const sender = web3.eth.accounts.wallet.add(alice.privateKey);
    const options = { from: sender.address, gas: 1_000_000 };
    const contract = await new web3.eth.Contract(EventEmitter.abi)
      .deploy({ data: EventEmitter.bytecode })
      .send(options);
    const numbers = { ethers: [], web3: [] };
    await new Contract(contract.options.address, EventEmitter.abi, ethers).on("stored", (_, number) =>
      numbers.ethers.push(Number(number)),
    );
    const subscribed = await new Promise((resolve, reject) => {
      const events = contract.events.stored().on("connected", () => resolve(events)).on("error", reject);
      events.on("data", ({ returnValues }) => numbers.web3.push(Number(returnValues._amount)));
    });
    // ethers and viem say to nobody when they have subscribed: what is stored before is not told.
    await eventually("everybody is told", async () => {
      await contract.methods.store(7).send(options);
      return numbers.ethers.length > 0 && numbers.web3.length > 0 && blocks.length > 0;
    });
    assert.ok([...numbers.ethers, ...numbers.web3].every((number) => number === 7));
    subscribed.removeAllListeners();
    web3.currentProvider.disconnect(1000, "done");
    await ethers.destroy();
    unwatch();
    (await viem.transport.getRpcClient()).close();
  }
});
