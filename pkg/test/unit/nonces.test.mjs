// The nonce queue, with a node that counts only what is mined.

import assert from "node:assert/strict";
import { test } from "node:test";

import { NonceTooLowError, memoryNonces } from "@coterie/sdk";

const KEY = { address: "0xAB", group: "g", chainId: 1n };

/** Sends of one key; `count` is what the node says. */
function queue(count = 0n) {
  const nonces = memoryNonces();
  const it = {
    nonces,
    count,
    reads: 0,
    sent: [],
    use: (options = {}, key = KEY) =>
      nonces.use(key, {
        read: async () => {
          it.reads += 1;
          return it.count;
        },
        send: async (nonce) => {
          it.sent.push(nonce);
          return nonce;
        },
        ...options,
      }),
  };
  return it;
}

test("concurrent sends get consecutive nonces, one after another", async () => {
  const it = queue(5n);
  let running = 0;
  const send = async (nonce) => {
    running += 1;
    assert.equal(running, 1, "two at a time");
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    return nonce;
  };
  const nonces = await Promise.all(Array.from({ length: 100 }, () => it.use({ send })));
  assert.deepEqual(nonces, Array.from({ length: 100 }, (_, index) => 5n + BigInt(index)));
  assert.equal(it.reads, 1);
});

test("one's own nonce wins, also when it is 0", async () => {
  const it = queue(3n);
  assert.equal(await it.use({ explicit: 0n }), 0n);
  it.nonces.forget(KEY);
  assert.equal(await it.use(), 3n);
  assert.equal(await it.use({ explicit: 1n }), 1n);
  assert.equal(await it.use(), 4n);
  assert.equal(await it.use({ explicit: 100n }), 100n);
  assert.equal(await it.use(), 5n);
});

test("a rejected send gives its nonce back", async () => {
  const it = queue(0n);
  assert.equal(await it.use(), 0n);
  const refused = it.use({ send: async () => { throw new Error("no"); } });
  const after = it.use();
  await assert.rejects(refused, /no/);
  assert.equal(await after, 1n);
  assert.equal(await it.use(), 2n);
});

test("the first send's rejection leaves nothing behind", async () => {
  const it = queue(7n);
  await assert.rejects(it.use({ send: async () => { throw new Error("no"); } }));
  it.count = 8n;
  assert.equal(await it.use(), 8n);
});

test("a nonce that is too low is read again, once", async () => {
  const it = queue(0n);
  await it.use();
  it.count = 9n;
  const tried = [];
  const send = async (nonce) => {
    tried.push(nonce);
    if (nonce < 9n) throw new NonceTooLowError("Nonce too low");
    return nonce;
  };
  assert.equal(await it.use({ send }), 9n);
  assert.deepEqual(tried, [1n, 9n]);
  assert.equal(await it.use(), 10n);

  const always = async (nonce) => {
    tried.push(nonce);
    throw new NonceTooLowError("Nonce too low");
  };
  it.count = 20n;
  tried.length = 0;
  await assert.rejects(it.use({ send: always }), NonceTooLowError);
  assert.deepEqual(tried, [11n, 20n]);
  // One's own nonce is not replaced.
  await assert.rejects(it.use({ send: always, explicit: 2n }), NonceTooLowError);
});

test("accounts, groups and chains do not wait for each other", async () => {
  const it = queue(0n);
  let release;
  const held = it.use({ send: () => new Promise((resolve) => (release = resolve)) });
  assert.equal(await it.use({}, { ...KEY, group: "h" }), 0n);
  assert.equal(await it.use({}, { ...KEY, address: "0xCD" }), 0n);
  assert.equal(await it.use({}, { ...KEY, chainId: 2n }), 0n);
  release("done");
  assert.equal(await held, "done");
  // The same account in another spelling is the same.
  assert.equal(await it.use({}, { ...KEY, address: "0xab" }), 1n);
});

test("an aborted send takes no nonce", async () => {
  const it = queue(0n);
  const controller = new AbortController();
  let release;
  const first = it.use({ send: (nonce) => new Promise((resolve) => (release = () => resolve(nonce))) });
  const aborted = it.use({ signal: controller.signal });
  const third = it.use();
  controller.abort();
  while (!release) await new Promise((resolve) => setImmediate(resolve));
  release();
  assert.equal(await first, 0n);
  await assert.rejects(aborted, { name: "AbortError" });
  assert.equal(await third, 1n);
});

test("what is remembered expires", async () => {
  const nonces = memoryNonces({ expiry: 0 });
  const use = () => nonces.use(KEY, { read: async () => 4n, send: async (nonce) => nonce });
  assert.equal(await use(), 4n);
  // Sends that follow each other closely still do.
  assert.equal(await use(), 5n);
});

test("a send that came to nothing is noticed although nobody waited for it", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const it = queue(0n);
  const lost = new Set();
  const failed = async (nonce) => lost.has(nonce);
  for (const nonce of [0n, 1n, 2n]) assert.equal(await it.use({ failed }), nonce);
  it.count = 1n;
  context.mock.timers.tick(2000);
  // The one with nonce 1 is on its way.
  assert.equal(await it.use({ failed }), 3n);
  lost.add(1n);
  context.mock.timers.tick(2000);
  assert.equal(await it.use({ failed }), 1n);
  assert.equal(await it.use({ failed }), 2n);
});
