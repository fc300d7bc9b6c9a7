// Watching logs by WebSocket: asked for when the node tells of some, none missed, none twice,
// whatever becomes of the connection and of the subscription.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";
import { webSocket } from "@coterie/sdk/ws";
import WebSocket from "ws";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { GROUP, TO, hashOf, log, quantity } from "./lib/data.mjs";
import { Refusal, hang, withSocketNode } from "./lib/socket-node.mjs";

/** So long that only a notification can have ended it. */
const NEVER = 600_000;

/** A chain that a test writes, and the handlers of a node that has followed it. */
function chain() {
  const it = {
    logs: [],
    head: 0,
    handlers: {
      eth_blockNumber: () => quantity(it.head),
      priv_call: ([, , block]) => (Number(block) <= it.head ? "0x" : null),
      priv_getLogs: ([, { fromBlock }]) => it.logs.filter(({ blockNumber }) => Number(blockNumber) >= Number(fromBlock)),
    },
    /** One more block, with these many logs. */
    mine(count = 1) {
      it.head += 1;
      it.logs = [...it.logs, ...Array.from({ length: count }, (_, index) => log(it.head, index))];
    },
  };
  return it;
}

/** Watches by WebSocket until `use` is done. `seen` is what came, `errors` what may have passed. */
function watching(it, use, { handlers = {}, request = { fromBlock: 0 }, ...options } = {}) {
  const make = (url) => webSocket(url, { WebSocket, reconnectDelay: 1, reconnectDelayMax: 5 });
  return withSocketNode({ ...it.handlers, ...handlers }, make, async (node, transport) => {
    const client = sdk.createPrivacyClient({ transport, polling: { interval: options.pollingInterval ?? NEVER } });
    const controller = new AbortController();
    const watch = { seen: [], errors: [], failed: undefined, transport, client };
    const onError = (error) => watch.errors.push(error);
    const running = (async () => {
      for await (const each of client.watchLogs({ privacyGroupId: GROUP, ...request }, { signal: controller.signal, onError, interval: options.interval })) {
        watch.seen.push(`${each.removed ? "-" : "+"}${each.blockNumber}/${each.logIndex}`);
      }
    })().catch((error) => (watch.failed = error));
    await use(node, watch);
    controller.abort();
    await running;
    // What is left has no subscription at the node any more.
    if (node.sockets.size > 0 && !watch.failed) await eventually("it unsubscribed", () => [...node.subscriptions.values()].every(({ size }) => size === 0));
  });
}

test("a notification has the node asked at once", async () => {
  const it = chain();
  it.mine(2);
  const request = { fromBlock: 0, address: TO, topics: [null, [hashOf(1)]] };
  await watching(it, async (node, watch) => {
    await eventually("what is there has come", () => watch.seen.length === 2 && node.count("priv_subscribe") === 1);
    const { params } = node.requests.find(({ method }) => method === "priv_subscribe");
    // A subscription has no range; nodes ignore one.
    assert.deepEqual(params, [GROUP, "logs", { address: TO, topics: [null, [hashOf(1)]], fromBlock: "earliest", toBlock: "latest" }]);
    for (let block = 2; block <= 5; block += 1) {
      it.mine();
      node.tell({ privacyGroupId: GROUP, result: it.logs.at(-1) });
      await eventually(`the log of block ${block}`, () => watch.seen.length === block + 1);
    }
    assert.deepEqual(watch.seen, ["+1/0", "+1/1", "+2/0", "+3/0", "+4/0", "+5/0"]);
    assert.deepEqual(watch.errors, []);
  }, { request });
});

test("what happens while the node is asked is asked for after it", async () => {
  const it = chain();
  let answer;
  const handlers = {
    priv_getLogs: async (params) => {
      const found = it.handlers.priv_getLogs(params);
      if (answer === "hold") await new Promise((resolve) => (answer = resolve));
      return found;
    },
  };
  await watching(it, async (node, watch) => {
    await eventually("it is subscribed and has asked after it", () => node.methods().slice(node.methods().indexOf("priv_subscribe")).includes("priv_getLogs"));
    it.mine();
    answer = "hold";
    node.tell({ result: {} });
    await eventually("it asks", () => typeof answer === "function");
    it.mine();
    node.tell({ result: {} });
    answer();
    answer = undefined;
    await eventually("both have come", () => watch.seen.length === 2);
  }, { handlers });
});

test("a reorganisation that is told takes logs back, also when nothing else is told", async () => {
  const it = chain();
  for (let block = 1; block <= 4; block += 1) it.mine();
  await watching(it, async (node, watch) => {
    await eventually("what is there has come", () => watch.seen.length === 4 && node.subscriptions.size === 1);
    // The other branch is followed only to block 2, and has no logs.
    Object.assign(it, { logs: it.logs.slice(0, 2), head: 2 });
    node.tell({ result: { removed: true } });
    const asked = node.count("priv_call");
    await eventually("it has asked whether it is followed", () => node.count("priv_call") > asked + 1);
    assert.equal(watch.seen.length, 4);
    it.head = 4;
    await eventually("they are taken back", () => watch.seen.length === 6);
    assert.deepEqual(watch.seen.slice(4), ["-4/0", "-3/0"]);
  }, { pollingInterval: 5 });
});

test("after a broken connection it asks at once and subscribes again", async () => {
  const it = chain();
  it.mine();
  await watching(it, async (node, watch) => {
    await eventually("it is subscribed", () => watch.seen.length === 1 && node.subscriptions.size === 1);
    for (let round = 2; round <= 5; round += 1) {
      await node.stop();
      // Nobody is told of this one.
      it.mine();
      await node.start();
      await eventually("what was missed has come", () => watch.seen.length === 2 * round - 2);
      await eventually("it is subscribed again", () => node.subscriptions.size === 1);
      it.mine();
      node.tell({ result: {} });
      await eventually("what is told has come", () => watch.seen.length === 2 * round - 1);
    }
    assert.equal(new Set(watch.seen).size, watch.seen.length);
    assert.ok(watch.errors.every((error) => error instanceof sdk.ConnectionError));
  });
});

test("no log is missed and none comes twice over fifty random disconnections", async () => {
  const seed = Number(process.env.COTERIE_SEED ?? Date.now() % 1_000_000);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const it = chain();
  await watching(it, async (node, watch) => {
    await eventually("it is subscribed", () => node.subscriptions.size === 1);
    let cuts = 0;
    for (let step = 0; cuts < 50; step += 1) {
      const count = random(3);
      it.mine(count);
      if (count > 0 && random(10) > 0) node.tell({ result: {} });
      // Turns of the loop, so that it breaks in every state of an exchange.
      for (let turns = random(12); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
      if (random(4) === 0 && node.sockets.size > 0) {
        cuts += 1;
        if (random(2) === 0) node.cut();
        else node.cut(1001, "going");
      }
      if (random(8) === 0) await eventually("it is back", () => node.subscriptions.size === 1);
    }
    await eventually("it is back", () => node.subscriptions.size === 1);
    it.mine();
    node.tell({ result: {} });
    const wanted = it.logs.map(({ blockNumber, logIndex }) => `+${Number(blockNumber)}/${Number(logIndex)}`);
    await eventually("all have come", () => watch.seen.length >= wanted.length);
    assert.deepEqual(watch.seen, wanted, `COTERIE_SEED=${seed}`);
  });
});

test("a node that has no subscriptions is asked again and again", async () => {
  for (const code of [-32601, -32604]) {
    const it = chain();
    const handlers = { priv_subscribe: () => { throw new Refusal(code, "no"); } };
    await watching(it, async (node, watch) => {
      it.mine();
      await eventually("a log", () => watch.seen.length === 1);
      it.mine();
      await eventually("another", () => watch.seen.length === 2);
      assert.equal(node.count("priv_subscribe"), 1);
      node.cut();
      it.mine();
      await eventually("one more", () => watch.seen.length === 3);
      await eventually("the next connection may be to another node", () => node.count("priv_subscribe") === 2);
    }, { handlers, pollingInterval: 5 });
  }
});

test("a subscription that is refused or that the node ends is tried again, and it goes on by asking", async () => {
  const it = chain();
  let refusals = 1;
  const handlers = {
    priv_subscribe: (_, socket) => {
      if (refusals-- > 0) throw new Refusal(-32005, "too many");
      node.subscriptions.set(socket, new Set(["0x7"]));
      return "0x7";
    },
  };
  let node;
  await watching(it, async (started, watch) => {
    node = started;
    it.mine();
    await eventually("a log by asking", () => watch.seen.length === 1);
    await eventually("it is subscribed", () => node.subscriptions.size === 1);
    refusals = 1;
    node.tell({ error: { code: -32000, message: "too many logs: read priv_getLogs" } });
    it.mine();
    await eventually("another by asking", () => watch.seen.length === 2);
    await eventually("it subscribed again", () => node.count("priv_subscribe") === 4);
    assert.deepEqual(watch.errors, []);
  }, { handlers, pollingInterval: 5 });
});

test("who may see the group no more is told so", async () => {
  const it = chain();
  let isMember = true;
  const handlers = {
    priv_getLogs: (params) => {
      if (!isMember) throw new Refusal(-40100, "Unauthorized");
      return it.handlers.priv_getLogs(params);
    },
  };
  await watching(it, async (node, watch) => {
    await eventually("it is subscribed", () => node.subscriptions.size === 1);
    isMember = false;
    node.tell({ error: { code: -40100, message: "Unauthorized" } });
    await eventually("it ended", () => watch.failed instanceof sdk.UnauthorizedError);
  }, { handlers });
});

test("a watch that is left while it subscribes leaves no subscription", async () => {
  const it = chain();
  let answer;
  const handlers = { priv_subscribe: () => new Promise((resolve) => (answer = () => resolve("0x1"))) };
  await withSocketNode({ ...it.handlers, ...handlers }, (url) => webSocket(url, { WebSocket }), async (node, transport) => {
    const client = sdk.createPrivacyClient({ transport });
    const logs = client.watchLogs({ privacyGroupId: GROUP });
    const first = logs.next();
    await eventually("it subscribes", () => answer);
    await logs.return();
    assert.equal((await first).done, true);
    answer();
    await eventually("it unsubscribes", () => node.count("priv_unsubscribe") === 1);
    assert.deepEqual(node.requests.at(-1).params, [GROUP, "0x1"]);
  });
});

test("what the node forgot with a connection is not taken away on the next", async () => {
  let last = 0;
  const handlers = { priv_subscribe: () => `0x${(last += 1)}` };
  await withSocketNode({ ...chain().handlers, ...handlers }, (url) => webSocket(url, { WebSocket, reconnectDelay: 1 }), async (node, transport) => {
    const told = [];
    const end = transport.privSubscribe([GROUP, "logs", {}], (isTold) => told.push(isTold));
    await eventually("it is subscribed", () => told.length === 1);
    node.cut();
    await eventually("it is subscribed again", () => told.length === 3);
    assert.deepEqual(told, [true, false, true]);
    end();
    end();
    assert.equal(await transport.request({ method: "eth_blockNumber" }), "0x0");
    const gone = node.requests.filter(({ method }) => method === "priv_unsubscribe").map(({ params }) => params[1]);
    assert.deepEqual(gone, ["0x2"]);
  });
});

test("closing the transport ends a watch with an error", async () => {
  const it = chain();
  await watching(it, async (node, watch) => {
    await eventually("it is subscribed", () => node.subscriptions.size === 1);
    watch.transport.close();
    await eventually("it ended", () => watch.failed?.code === "CLOSED");
  });
});

test("while the node tells of logs it is asked seldom, and as often as the caller wants", async () => {
  const asked = (node) => node.count("priv_getLogs");
  await watching(chain(), async (node) => {
    await eventually("it is subscribed", () => node.subscriptions.size === 1);
    await eventually("it asks as often as the caller says", () => asked(node) > 20);
  }, { interval: 1 });
  // A node that never answers whether it can tell is asked as often as ever; then seldom.
  let answer;
  const handlers = { priv_subscribe: () => (answer === undefined ? new Promise((resolve) => (answer = () => resolve("0x1"))) : hang) };
  await watching(chain(), async (node, watch) => {
    await eventually("it asks often", () => asked(node) > 20);
    answer();
    const block = () => watch.client.getLogs({ privacyGroupId: GROUP });
    await block();
    await block();
    const before = asked(node);
    for (let turn = 0; turn < 20; turn += 1) await block();
    assert.equal(asked(node), before + 20, "only the test has asked");
    node.subscriptions.clear();
  }, { handlers, pollingInterval: 1 });
});

test("the providers of others that have no subscriptions are asked as before", async () => {
  const it = chain();
  it.mine();
  for (const transport of [
    { request: async ({ method, params }) => it.handlers[method](params) },
    { rpc: async (method, params) => it.handlers[method](params) },
    { rpc: async (method, params) => it.handlers[method](params), subscribe: () => assert.fail("another's method") },
  ]) {
    const client = sdk.createPrivacyClient({ transport });
    for await (const each of client.watchLogs({ privacyGroupId: GROUP, fromBlock: 0 })) {
      assert.equal(each.blockNumber, 1n);
      break;
    }
  }
});
