// Three separate processes with anvil as the public chain: the same scenarios as on the
// development network, a private genesis with an account of our own, and nodes that are killed.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { sameReceipt, sameRoot } from "./lib/checks.mjs";
import { EventEmitter, MANAGEMENT, management } from "./lib/contracts.mjs";
import { executionScenarios } from "./lib/execution.mjs";
import { lifecycleScenarios } from "./lib/lifecycle.mjs";
import { coterie, randomGroup, temporaryDirectory } from "./lib/network.mjs";
import { startAnvil, startSeparate } from "./lib/nodes.mjs";
import { refusalScenarios } from "./lib/refusals.mjs";
import { ruleScenarios } from "./lib/rules.mjs";
import { eventually } from "./lib/wait.mjs";

const IN_GENESIS = "0x1000000000000000000000000000000000000001";

let network;
before(async () => {
  network = await startSeparate({ genesisAccounts: [{ address: IN_GENESIS, code: EventEmitter.runtime }] });
});
after(() => network?.stop());

lifecycleScenarios(() => network);
executionScenarios(() => network);
ruleScenarios(() => network);
refusalScenarios(() => network);

const number = (output) => Number(EventEmitter.result("value", output));

test("F5 S4 a group can use what is in its genesis", async () => {
  const [a, b, c] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  await a.create(group, alice, [a, b]);
  const data = EventEmitter.data("store", 42);
  const stored = await a.succeed({ group, account: alice, to: IN_GENESIS, data });
  await sameReceipt(stored.commitmentHash, [a, b]);
  for (const node of [a, b]) {
    assert.equal(number(await node.call(group, IN_GENESIS, EventEmitter.data("value"))), 42);
  }
  assert.equal(await c.call(group, IN_GENESIS, EventEmitter.data("value")), "0x");
  await sameRoot(group, stored, [a, b]);
});

test("web pages of elsewhere are refused before anything is done", async () => {
  const [a] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  const draft = { group, account: alice, to: MANAGEMENT, data: management.addParticipants([a.enclaveKey]) };
  const raw = await a.sign({ ...draft, privateFrom: a.enclaveKey, nonce: 0 });
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eea_sendRawTransaction", params: [raw] });
  // What a browser sends without asking the node before.
  const status = (headers) =>
    new Promise((resolve, reject) => {
      const post = request(a.url, { method: "POST", headers: { "content-type": "text/plain", ...headers } });
      post.on("response", (answer) => resolve(answer.resume().statusCode)).on("error", reject).end(body);
    });
  const { host, origin } = new URL(a.url);
  for (const headers of [
    { origin: "http://evil.example" },
    { origin: "null" },
    { host: "evil.example", origin: "http://evil.example" },
    { host: "evil.example" },
  ]) {
    assert.equal(await status(headers), 403, JSON.stringify(headers));
  }
  assert.equal(await a.findGroup(group, [a.enclaveKey]), undefined);
  // A page of the node's own origin, as behind a proxy that serves both.
  assert.equal(await status({ host, origin }), 200);
});

test("a recipient that is down is named, and nothing is published", async () => {
  const [a, b] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  await a.create(group, alice, [a, b]);
  const { contractAddress: to } = await a.deploy(group, alice, EventEmitter);
  const store = (value) => ({ group, account: alice, to, data: EventEmitter.data("store", value) });

  const height = await network.chain.height();
  await network.nodes[1].kill();
  const refused = await a.sendError(store(1));
  assert.ok(
    `${refused.message} ${JSON.stringify(refused.data)}`.includes(b.enclaveKey),
    `the error names the key: ${refused.message} ${JSON.stringify(refused.data)}`,
  );
  assert.equal(await network.chain.height(), height);

  await network.nodes[1].start();
  const hash = await eventually("B is reached again", () => a.send(store(2)));
  const stored = await sameReceipt(hash, [a, b]);
  assert.equal(stored.status, "0x1");
  await sameRoot(group, stored, [a, b]);
});

test("a node that was killed goes on where it was", async () => {
  const [a, b, c] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  await a.create(group, alice, [a, b, c]);
  const { contractAddress: to } = await a.deploy(group, alice, EventEmitter);
  const store = (value) => ({ group, account: alice, to, data: EventEmitter.data("store", value) });

  // The payload is stored by all before the marker goes out; C dies before it sees the block.
  await network.chain.rpc("evm_setAutomine", false);
  const hash = await a.send(store(3));
  await network.nodes[2].kill();
  await network.chain.mine();
  await network.chain.rpc("evm_setAutomine", true);
  const elsewhere = await sameReceipt(hash, [a, b]);
  assert.equal(elsewhere.status, "0x1");

  await network.nodes[2].start();
  assert.deepEqual(await c.receipt(hash), elsewhere);
  await sameRoot(group, elsewhere, [a, b, c]);
  assert.equal(number(await c.call(group, to, EventEmitter.data("value"))), 3);
});

test("all nodes stop cleanly when asked, and find their state again", async () => {
  const [a, b, c] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  const created = await a.create(group, alice, [a, b, c]);
  const root = await sameRoot(group, created, [a, b, c]);
  for (const node of network.nodes) await node.stop();
  for (const node of network.nodes) await node.start();
  assert.equal(await sameRoot(group, created, [a, b, c]), root);
});

test("a node does not start on the state of another network, block or chain", async () => {
  const [, , node] = network.nodes;
  const definition = join(dirname(node.config), "..", "network.toml");
  await node.stop();
  // Each file is right again before the next is wrong.
  const refused = async (file, from, to, reason) => {
    const right = readFileSync(file, "utf8");
    const wrong = right.replace(from, to);
    assert.notEqual(wrong, right);
    writeFileSync(file, wrong);
    try {
      await assert.rejects(node.start(), reason);
    } finally {
      writeFileSync(file, right);
    }
  };
  await refused(definition, 'name = "test"', 'name = "other"', /state in this data directory is of another network/);
  await refused(node.config, "[chain]", "[chain]\nfirst_block = 2", /followed from block 1 on, chain\.first_block is 2/);
  const another = await startAnvil(temporaryDirectory());
  try {
    await refused(node.config, network.chain.url, another.url, /followed on another chain: its block 0 is 0x/);
  } finally {
    await another.process.stop();
  }
  await node.start();
});

// The last one: the node knows no other group any more.
test("a node that lost its payloads and its state is healed by another member", async () => {
  const [a, b, c] = network.members;
  const [alice] = network.accounts;
  const group = randomGroup();
  const created = await a.create(group, alice, [a, b, c]);
  const { contractAddress: to } = await a.deploy(group, alice, EventEmitter);
  const store = (value) => ({ group, account: alice, to, data: EventEmitter.data("store", value) });
  const stored = await a.succeed(store(5));
  const before = await sameReceipt(stored.commitmentHash, [a, b, c]);
  const root = await sameRoot(group, stored, [a, b, c]);

  const [, , node] = network.nodes;
  await node.stop();
  for (const lost of ["payloads.redb", "state"]) {
    const path = join(dirname(node.config), "data", lost);
    assert.ok(existsSync(path), path);
    rmSync(path, { recursive: true });
  }
  await node.start();
  const followed = Number(stored.blockNumber);
  await eventually("C has followed the chain again", async () => {
    const response = await fetch(`${node.url}/readyz`);
    return response.ok && (await response.json()).followed >= followed;
  });
  assert.equal(await c.findGroup(group), undefined);
  const refused = await c.rpcError("coterie_heal", group);
  assert.equal(refused.data.code, "GROUP_UNKNOWN");

  const heal = ["heal", group, "--from", b.enclaveKey, "--rpc", node.url];
  await promisify(execFile)(coterie(), heal);
  await eventually("C has the history", () => c.findGroup(group));
  assert.equal(await sameRoot(group, stored, [a, b, c]), root);
  await sameRoot(group, created, [a, b, c]);
  assert.deepEqual(await c.receipt(stored.commitmentHash), before);
  const next = await eventually("C is reached again", () => a.send(store(6)));
  await sameRoot(group, await sameReceipt(next, [a, b, c]), [a, b, c]);
  assert.equal(number(await c.call(group, to, EventEmitter.data("value"))), 6);
});
