// Watching logs by WebSocket on real nodes: told at once, and each exactly once whatever breaks.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";
import { webSocket } from "@coterie/sdk/ws";
import WebSocket from "ws";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { EventEmitter, startDev, temporaryDirectory } from "./lib/network.mjs";

/** So long that only a notification can have ended it. */
const NEVER = 600_000;
const LOGS = 1_000;
const BATCH = 50;
const DEADLINE_MS = 120_000;

const word = (value) => BigInt(value).toString(16).padStart(64, "0");
const store = (number) => `0x6057361d${word(number)}`;
const numberOf = ({ data }) => Number(BigInt(`0x${data.slice(-64)}`));

/** The way to a node, at a port that stays: it breaks when told, and leads to where it is told. */
async function startWay() {
  const pairs = new Set();
  const way = {
    breaks: 0,
    lead(url) {
      way.port = Number(new URL(url).port);
    },
    break() {
      if (pairs.size > 0) way.breaks += 1;
      for (const socket of pairs) socket.destroy();
    },
    stop() {
      way.break();
      return new Promise((resolve) => server.close(resolve));
    },
  };
  const server = createServer((near) => {
    const far = connect(way.port, "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      pairs.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        pairs.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  way.url = `ws://127.0.0.1:${server.address().port}`;
  return way;
}

/** A group of two with a contract in it. */
async function cast(network) {
  const a = network.client(0);
  const participants = network.members.slice(0, 2).map(({ enclaveKey }) => sdk.enclaveKey(enclaveKey));
  const { privacyGroupId } = await a.groups.create({ participants });
  const { address } = await a.deployContract({ privacyGroupId, data: EventEmitter.bytecode });
  return { a, privacyGroupId, address };
}

test("a log is told at once", async () => {
  const network = await startDev({ members: 2 });
  const transport = webSocket(network.members[1].url.replace("http", "ws"), { WebSocket });
  try {
    const { a, privacyGroupId, address } = await cast(network);
    const client = network.client(1, 0, { url: undefined, transport, polling: { interval: NEVER } });
    const stop = new AbortController();
    const logs = client.watchLogs({ privacyGroupId, address, fromBlock: 0 }, { signal: stop.signal });
    for (const number of [1, 2, 3]) {
      const next = logs.next();
      await a.execute({ privacyGroupId, to: address, data: store(number) });
      assert.equal(numberOf((await next).value), number);
    }
    stop.abort();
    assert.equal((await logs.next()).done, true);
    // The same connection is for everything.
    assert.equal(await client.call({ privacyGroupId, to: address, data: "0x3fa4f245" }), `0x${word(3)}`);
  } finally {
    transport.close();
    await network.stop();
  }
});

test("a thousand logs come once each over broken connections and nodes that restart", async () => {
  const seed = Number(process.env.COTERIE_SEED ?? Date.now() % 1_000_000);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const dir = temporaryDirectory();
  const way = await startWay();
  const transport = webSocket(way.url, { WebSocket, reconnectDelay: 5, reconnectDelayMax: 100 });
  let network = await startDev({ members: 2, dir });
  try {
    way.lead(network.members[1].url);
    let { a, privacyGroupId, address } = await cast(network);
    const watching = sdk.createPrivacyClient({ transport, polling: { interval: 200 } });
    const stop = new AbortController();
    const seen = [];
    const failed = [];
    const onError = (error) => failed.push(error);
    const running = (async () => {
      for await (const log of watching.watchLogs({ privacyGroupId, address, fromBlock: 0 }, { signal: stop.signal, onError })) {
        seen.push(log);
        if (random(25) === 0) way.break();
      }
    })();
    running.catch(() => {});
    for (let sent = 0; sent < LOGS; sent += BATCH) {
      const numbers = Array.from({ length: BATCH }, (_, index) => sent + index + 1);
      const hashes = await Promise.all(numbers.map((number) => a.sendTransaction({ privacyGroupId, to: address, data: store(number) })));
      await Promise.all(hashes.map((hash) => a.waitForReceipt(hash)));
      way.break();
      // Sometimes in the middle of what is told.
      if (random(5) === 0 || sent === LOGS / 2) {
        await network.stop();
        network = await startDev({ members: 2, dir });
        way.lead(network.members[1].url);
        a = network.client(0);
      }
    }
    await Promise.race([running, eventually("all have come", () => seen.length >= LOGS, DEADLINE_MS)]);
    stop.abort();
    await running;
    const what = `COTERIE_SEED=${seed}`;
    assert.ok(seen.every(({ removed }) => !removed), what);
    assert.deepEqual(seen.map(numberOf), Array.from({ length: LOGS }, (_, index) => index + 1), what);
    assert.deepEqual(seen, await a.getLogs({ privacyGroupId, address }), what);
    assert.ok(way.breaks > 20, `only ${way.breaks} breaks, ${what}`);
    // A node that stops refuses new WebSockets with 503.
    const isPassing = (error) => error instanceof sdk.ConnectionError || error.status === 503;
    const others = failed.filter((error) => !isPassing(error));
    assert.deepEqual(others, [], what);
  } finally {
    transport.close();
    await network.stop();
    await way.stop();
  }
});
