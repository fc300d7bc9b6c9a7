// The nonce queue, with a node that counts only what is mined.

import assert from "node:assert/strict";
import { test } from "node:test";

import { NonceTooLowError, createPrivacyClient, memoryNonces, parsePrivateTransaction, privateKeySigner } from "@coterie/sdk";

import { ADDRESS, ALICE, GROUP, KEY as PRIVATE_KEY, TO, hashOf, quantity, receipt } from "./lib/data.mjs";

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

test("concurrent sends get consecutive nonces, one after another", async (context) => {
  // An answer of the node is relied on for a second.
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
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

test("an aborted send takes no nonce, and waits for nobody", async () => {
  const it = queue(0n);
  const controller = new AbortController();
  let release;
  const first = it.use({ send: (nonce) => new Promise((resolve) => (release = () => resolve(nonce))) });
  const aborted = it.use({ signal: controller.signal });
  const third = it.use();
  while (!release) await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  // The first is still being sent.
  await assert.rejects(aborted, { name: "AbortError" });
  release();
  assert.equal(await first, 0n);
  assert.equal(await third, 1n);
});

test("what the node does not come to count expires, however many follow it", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const it = queue(4n);
  it.nonces = memoryNonces({ expiry: 10_000 });
  const use = () => it.nonces.use(KEY, { read: async () => it.count, send: async (nonce) => nonce });
  const sent = [];
  for (let second = 0; second <= 12; second += 2) {
    sent.push(await use());
    context.mock.timers.tick(2000);
  }
  assert.deepEqual(sent, [4n, 5n, 6n, 7n, 8n, 4n, 5n]);
  // While it counts on, the rest is on its way.
  it.count = 5n;
  context.mock.timers.tick(8000);
  assert.equal(await use(), 6n);
  context.mock.timers.tick(8000);
  assert.equal(await use(), 7n);
  context.mock.timers.tick(3000);
  assert.equal(await use(), 5n);
});

test("a chain that was reset is noticed", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const it = queue(50n);
  assert.equal(await it.use(), 50n);
  it.count = 51n;
  context.mock.timers.tick(2000);
  assert.equal(await it.use(), 51n);
  it.count = 0n;
  context.mock.timers.tick(2000);
  assert.equal(await it.use(), 0n);
  assert.equal(await it.use(), 1n);
});

test("one's own nonce that comes first does not lead the others", async () => {
  const ahead = queue(0n);
  assert.equal(await ahead.use({ explicit: 70n }), 70n);
  assert.deepEqual([await ahead.use(), await ahead.use()], [0n, 1n]);
  const next = queue(0n);
  assert.equal(await next.use({ explicit: 0n }), 0n);
  // It is taken, and what lies further ahead is left out.
  assert.equal(await next.use({ explicit: 2n }), 2n);
  assert.deepEqual([await next.use(), await next.use()], [1n, 3n]);
});

test("what is forgotten during a send stays forgotten", async () => {
  const it = queue(0n);
  assert.equal(await it.use(), 0n);
  let release;
  const running = it.use({ send: (nonce) => new Promise((resolve) => (release = () => resolve(nonce))) });
  while (!release) await new Promise((resolve) => setImmediate(resolve));
  it.nonces.forget(KEY);
  release();
  assert.equal(await running, 1n);
  assert.deepEqual([await it.use(), await it.use()], [0n, 1n]);
});

test("a failed marker gives up what was sent after it, if the node does not count it", async () => {
  const it = queue(0n);
  const marker = (nonce) => hashOf(100n + nonce);
  const use = () => it.use({ send: async (nonce) => marker(nonce) });
  for (const nonce of [0n, 1n, 2n]) assert.equal(await use(), marker(nonce));
  // Nobody's, or of long ago.
  it.nonces.failed(KEY, hashOf(9));
  it.nonces.failed({ ...KEY, group: "other" }, marker(1n));
  assert.equal(await use(), marker(3n));
  it.count = 1n;
  it.nonces.failed(KEY, marker(1n).toUpperCase().replace("0X", "0x"));
  assert.equal(await use(), marker(1n));
  // Another has used this nonce, and so the node counts it.
  it.count = 2n;
  it.nonces.failed(KEY, marker(1n));
  assert.equal(await use(), marker(2n));
  it.count = 3n;
  it.nonces.failed(KEY, marker(1n));
  assert.equal(await use(), marker(3n));
});

test("what failed is remembered over an answer that did not come", async () => {
  const it = queue(0n);
  for (const nonce of [0n, 1n]) assert.equal(await it.use({ send: async () => hashOf(nonce) }), hashOf(nonce));
  it.nonces.failed(KEY, hashOf(0));
  await assert.rejects(it.use({ read: async () => { throw new Error("away"); } }), /away/);
  assert.equal(await it.use(), 0n);
});

/** A client whose node counts `node.count`, and answers the receipts in `node.receipts`. */
function clientOf() {
  const node = { count: 0, receipts: {}, sent: [] };
  const note = (raw) => hashOf(0x100 + node.sent.push(parsePrivateTransaction(raw).nonce));
  const answers = {
    eth_chainId: () => "0x539",
    eth_gasPrice: () => "0x0",
    eth_getTransactionCount: () => "0x0",
    eth_sendRawTransaction: () => hashOf(0x999),
    eea_sendRawTransaction: ([raw]) => note(raw),
    priv_distributeRawTransaction: ([raw]) => note(raw),
    priv_getTransactionCount: () => quantity(node.count),
    priv_getTransactionReceipt: ([hash]) => node.receipts[hash] ?? null,
  };
  const client = createPrivacyClient({
    transport: { rpc: async (method, params) => answers[method](params) },
    signer: privateKeySigner(PRIVATE_KEY),
    enclaveKey: ALICE,
    nonces: memoryNonces(),
  });
  return { client, node, request: { privacyGroupId: GROUP, to: TO } };
}

test("a failed receipt of long ago does not touch what is in flight", async () => {
  const { client, node, request } = clientOf();
  node.count = 5;
  const old = hashOf(0x77);
  node.receipts[old] = receipt(old, { status: "0x0", reason: "reverted", from: ADDRESS });
  for (let each = 0; each < 3; each++) await client.sendTransaction(request);
  assert.equal((await client.getReceipt(old)).status, "reverted");
  for (let each = 0; each < 2; each++) await client.sendTransaction(request);
  assert.deepEqual(node.sent, [5n, 6n, 7n, 8n, 9n]);
});

test("a failed receipt of what is in flight is acted on at once", async () => {
  const { client, node, request } = clientOf();
  const hash = await client.sendTransaction(request);
  await client.sendTransaction(request);
  node.receipts[hash] = receipt(hash, { status: "0x0", reason: "reverted" });
  await client.getReceipt(hash);
  await client.sendTransaction(request);
  assert.deepEqual(node.sent, [0n, 1n, 0n]);
});

test("what is distributed keeps its nonce for seconds, longer when its marker is sent", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const abandoned = clientOf();
  await abandoned.client.distributeTransaction(abandoned.request);
  context.mock.timers.tick(20_000);
  await abandoned.client.sendTransaction(abandoned.request);
  context.mock.timers.tick(20_000);
  await abandoned.client.sendTransaction(abandoned.request);
  assert.deepEqual(abandoned.node.sent, [0n, 1n, 0n]);

  const marked = clientOf();
  const marker = await marked.client.sendMarker(await marked.client.distributeTransaction(marked.request));
  context.mock.timers.tick(40_000);
  await marked.client.sendTransaction(marked.request);
  marked.node.receipts[marker] = receipt(marker, { status: "0x0", reason: "reverted" });
  await marked.client.getReceipt(marker);
  await marked.client.sendTransaction(marked.request);
  assert.deepEqual(marked.node.sent, [0n, 1n, 0n]);
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
