// Watching logs: none missed, none twice, through reorganisations, restarts and limits.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { GROUP, TO, hashOf, log, quantity } from "./lib/data.mjs";
import { Refusal, drop, refuse, withNode } from "./lib/node.mjs";

/** A node whose chain a test writes. `followed` is how far it has come. */
function chain({ limit = Infinity } = {}) {
  const it = {
    logs: [],
    head: 0,
    followed: undefined,
    failing: undefined,
    at: () => it.followed ?? it.head,
    handlers: {
      eth_blockNumber: () => it.failing ?? quantity(it.head),
      priv_call: ([, , block]) => it.failing ?? (Number(block) <= it.at() ? "0x" : null),
      priv_getLogs: ([, { fromBlock, toBlock }]) => {
        if (it.failing) return it.failing;
        const to = toBlock === "latest" ? it.at() : Math.min(Number(toBlock), it.at());
        const found = it.logs.filter(({ blockNumber }) => Number(blockNumber) >= Number(fromBlock) && Number(blockNumber) <= to);
        if (found.length > limit) throw refuse("LIMIT_EXCEEDED", -32005);
        return found;
      },
    },
  };
  return it;
}

/** Watches until `count` logs came; `meanwhile` is called after each. */
async function watch(node, request, { count, meanwhile = () => {}, ...options }) {
  const client = sdk.createPrivacyClient({ url: node.url });
  const controller = new AbortController();
  const seen = [];
  for await (const each of client.watchLogs({ privacyGroupId: GROUP, ...request }, { interval: 1, signal: controller.signal, ...options })) {
    seen.push(`${each.removed ? "-" : "+"}${each.blockNumber}/${each.logIndex}`);
    await meanwhile(seen.length, each);
    if (seen.length === count) controller.abort();
  }
  return seen;
}

test("logs come once each, in order, as blocks are followed", async () => {
  const it = chain();
  it.head = 5;
  it.logs = [log(1), log(1, 1), log(3)];
  await withNode(it.handlers, async (node) => {
    const meanwhile = (count) => {
      // The head runs ahead of what is followed.
      if (count === 3) Object.assign(it, { head: 30, followed: 5, logs: [...it.logs, log(6), log(20), log(30)] });
      if (count === 3) setImmediate(() => (it.followed = 6));
      if (count === 4) it.followed = 30;
    };
    const seen = await watch(node, { fromBlock: 0 }, { count: 6, meanwhile });
    assert.deepEqual(seen, ["+1/0", "+1/1", "+3/0", "+6/0", "+20/0", "+30/0"]);
    assert.deepEqual(node.requests.find(({ method }) => method === "priv_getLogs").params, [GROUP, { fromBlock: "0x0", toBlock: "latest" }]);
  });
});

test("without fromBlock only what is new comes", async () => {
  const it = chain();
  Object.assign(it, { head: 5, logs: [log(1), log(5)] });
  await withNode(it.handlers, async (node) => {
    const client = sdk.createPrivacyClient({ url: node.url });
    const controller = new AbortController();
    const logs = client.watchLogs({ privacyGroupId: GROUP, address: TO, topics: [null, [hashOf(1)]] }, { interval: 1, signal: controller.signal });
    const first = logs.next();
    while (!node.methods().includes("priv_getLogs")) await new Promise((resolve) => setImmediate(resolve));
    Object.assign(it, { head: 6, logs: [...it.logs, log(6)] });
    assert.equal((await first).value.blockNumber, 6n);
    controller.abort();
    assert.deepEqual(await logs.next(), { value: undefined, done: true });
    const { params } = node.requests.find(({ method }) => method === "priv_getLogs");
    assert.deepEqual(params[1], { address: TO, topics: [null, [hashOf(1)]], fromBlock: "0x6", toBlock: "latest" });
  });
});

test("a reorganisation takes logs back and brings others", async () => {
  const it = chain();
  Object.assign(it, { head: 12, logs: [log(8), log(10), log(12)] });
  await withNode(it.handlers, async (node) => {
    const other = (block) => log(block, 0, { blockHash: hashOf(5000 + block) });
    const meanwhile = (count) => {
      if (count === 3) Object.assign(it, { head: 13, logs: [log(8), other(9), other(11), log(13)] });
    };
    const seen = await watch(node, { fromBlock: 0 }, { count: 8, meanwhile });
    assert.deepEqual(seen, ["+8/0", "+10/0", "+12/0", "-12/0", "-10/0", "+9/0", "+11/0", "+13/0"]);
  });
});

test("a node that restarts has lost nothing", async () => {
  const it = chain();
  Object.assign(it, { head: 10, logs: [log(9), log(10)] });
  await withNode(it.handlers, async (node) => {
    const errors = [];
    const meanwhile = async (count) => {
      if (count !== 2) return;
      // Away, then catching up from the beginning, then there.
      it.failing = drop;
      const steps = [() => Object.assign(it, { failing: undefined, followed: 0 }), () => (it.followed = 9), () => Object.assign(it, { followed: undefined, head: 11, logs: [...it.logs, log(11)] })];
      const next = (polls) => {
        const wanted = node.requests.length + polls;
        const check = () => (node.requests.length >= wanted ? (steps.shift()?.(), steps.length && next(6)) : setImmediate(check));
        check();
      };
      next(3);
    };
    const seen = await watch(node, { fromBlock: 0 }, { count: 3, meanwhile, onError: (error) => errors.push(error) });
    assert.deepEqual(seen, ["+9/0", "+10/0", "+11/0"]);
    assert.ok(errors.length > 0 && errors.every((error) => error instanceof sdk.ConnectionError));
  });
});

test("more logs than a node gives at a time come in parts", async () => {
  const it = chain({ limit: 4 });
  Object.assign(it, { head: 100, logs: Array.from({ length: 60 }, (_, index) => log(40 + index)) });
  await withNode(it.handlers, async (node) => {
    const seen = await watch(node, { fromBlock: "earliest" }, { count: 60 });
    assert.deepEqual(seen, Array.from({ length: 60 }, (_, index) => `+${40 + index}/0`));
  });
  // Also while more come, the node lags, and what was seen is taken back.
  const busy = chain({ limit: 3 });
  const two = (block, more) => [log(block, 0, more), log(block, 1, more)];
  Object.assign(busy, { head: 20, followed: 10, logs: Array.from({ length: 20 }, (_, index) => two(index + 1)).flat() });
  await withNode(busy.handlers, async (node) => {
    const other = { blockHash: hashOf(5000) };
    const meanwhile = (count) => {
      if (count === 20) busy.followed = undefined;
      if (count === 40) Object.assign(busy, { head: 21, logs: [...busy.logs.slice(0, 36), ...two(19, other), ...two(20, other), ...two(21)] });
    };
    const seen = await watch(node, { fromBlock: 0 }, { count: 50, meanwhile });
    const both = (sign, block) => [`${sign}${block}/0`, `${sign}${block}/1`];
    assert.deepEqual(seen, [
      ...Array.from({ length: 20 }, (_, index) => both("+", index + 1)).flat(),
      "-20/1", "-20/0", "-19/1", "-19/0", ...[19, 20, 21].flatMap((block) => both("+", block)),
    ]);
  });
  // One block that has too many can never be read.
  const full = chain({ limit: 4 });
  Object.assign(full, { head: 5, logs: Array.from({ length: 6 }, (_, index) => log(3, index)) });
  await withNode(full.handlers, async (node) => {
    await assert.rejects(watch(node, { fromBlock: 0 }, { count: 1 }), sdk.LimitExceededError);
  });
});

test("what cannot pass ends it, an abort ends it quietly", async () => {
  await withNode({ priv_getLogs: () => { throw new Refusal(-40100, "Unauthorized"); } }, async (node) => {
    await assert.rejects(watch(node, { fromBlock: 0 }, { count: 1 }), sdk.UnauthorizedError);
  });
  await withNode({ priv_getLogs: [{}] }, async (node) => {
    await assert.rejects(watch(node, { fromBlock: 0 }, { count: 1 }), sdk.InvalidResponseError);
  });
  await withNode({ priv_getLogs: [] }, async (node) => {
    assert.deepEqual(await watch(node, { fromBlock: 0 }, { count: 1, signal: AbortSignal.timeout(30) }), []);
    assert.deepEqual(await watch(node, { fromBlock: 0 }, { count: 1, signal: AbortSignal.abort() }), []);
  });
});

test("a watch that waits ends as soon as it is left", async () => {
  await withNode(chain().handlers, async (node) => {
    const client = sdk.createPrivacyClient({ url: node.url });
    const logs = client.watchLogs({ privacyGroupId: GROUP }, { interval: 600_000 });
    const waiting = logs.next();
    while (!node.methods().includes("priv_getLogs")) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await logs.return(), { value: undefined, done: true });
    assert.deepEqual(await waiting, { value: undefined, done: true });
    assert.deepEqual(await client.watchLogs({ privacyGroupId: GROUP }).return(), { value: undefined, done: true });
  });
});

test("an interval longer than a timer can be is long", async () => {
  await withNode(chain().handlers, async (node) => {
    const asked = () => node.methods().filter((name) => name === "priv_getLogs").length;
    const rpc = sdk.createRpc(node.url);
    for (const interval of [2 ** 31, Infinity]) {
      const before = asked();
      const stop = new AbortController();
      const watching = watch(node, { fromBlock: 0 }, { count: 1, interval, signal: stop.signal });
      await eventually("it asks", () => asked() > before);
      // A pause of a millisecond would be over long before these are answered.
      for (let turn = 0; turn < 50; turn += 1) await rpc.rpc("eth_blockNumber", []);
      stop.abort();
      assert.deepEqual(await watching, []);
      assert.equal(asked(), before + 1);
    }
  });
});

test("a loop that is left stops asking", async () => {
  const it = chain();
  Object.assign(it, { head: 1, logs: [log(1)] });
  await withNode(it.handlers, async (node) => {
    const client = sdk.createPrivacyClient({ url: node.url });
    for await (const _ of client.watchLogs({ privacyGroupId: GROUP, fromBlock: 0 }, { interval: 1 })) break;
    const asked = node.requests.length;
    const later = Array.from({ length: 20 }, () => new Promise((resolve) => setImmediate(resolve)));
    await Promise.all(later);
    assert.equal(node.requests.length, asked);
  });
});
