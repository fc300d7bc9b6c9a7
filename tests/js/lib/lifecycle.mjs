// The acceptance scenarios of flexible privacy groups, written against any network: F0 to F9 and
// S1 to S3 of the protocol's conformance suite. Each uses a group of its own, so they can share a
// network. (F5 and S4 need an account in the private genesis; see separate-nodes.test.mjs.)

import assert from "node:assert/strict";
import { test } from "node:test";

import { groupExists, sameReceipt, sameRoot } from "./checks.mjs";
import { EventEmitter, MANAGEMENT, STORED_TOPIC, management } from "./contracts.mjs";
import { randomGroup } from "./network.mjs";
import { eventually } from "./wait.mjs";

const EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";

/** Registers the scenarios; `network` is asked when they run. */
export function lifecycleScenarios(network) {
  const cast = () => {
    const { members, accounts, chain } = network();
    const [a, b, c] = members;
    const [alice, bob, charlie] = accounts;
    return { a, b, c, alice, bob, charlie, chain, group: randomGroup() };
  };

  test("F0 a created group answers the same to all its members", async () => {
    const { a, b, c, alice, group } = cast();
    const members = [a, b, c];
    await a.create(group, alice, members);
    await groupExists(group, members);

    const hash = await a.send({ group, account: alice, to: MANAGEMENT, data: management.getParticipants });
    const receipt = await sameReceipt(hash, members);
    assert.equal(receipt.from, alice.address);
    assert.equal(receipt.to, MANAGEMENT);
    assert.equal(receipt.output, management.participants(members.map(({ enclaveKey }) => enclaveKey)));
    assert.deepEqual(receipt.logs, []);
    assert.equal(receipt.status, "0x1");
    assert.equal(receipt.reason, "executed");
    assert.equal(receipt.privateFrom, a.enclaveKey);
    assert.equal(receipt.privacyGroupId, group);
    assert.equal(receipt.commitmentHash, hash);
    assert.ok(!("contractAddress" in receipt));
    assert.ok(!("revertReason" in receipt));
  });

  test("F1 a node can create a group of its own", async () => {
    const { a, alice, group } = cast();
    await a.create(group, alice, [a]);
    await groupExists(group, [a]);
  });

  test("F2 deploying gives a valid receipt to every member", async () => {
    const { a, b, alice, group } = cast();
    await a.create(group, alice, [a, b]);
    const deployed = await a.deploy(group, alice, EventEmitter);
    assert.match(deployed.contractAddress, /^0x[0-9a-f]{40}$/);
    assert.equal(deployed.from, alice.address);
    assert.equal(deployed.output, EventEmitter.runtime);
    assert.equal(deployed.reason, "executed");
    assert.ok(!("to" in deployed));
    await sameReceipt(deployed.commitmentHash, [a, b]);
  });

  test("F3 an added member sees what happened before", async () => {
    const { a, b, c, alice, group } = cast();
    await a.create(group, alice, [a, b]);
    const deployed = await a.deploy(group, alice, EventEmitter);
    assert.equal(await c.rpc("priv_getTransactionReceipt", deployed.commitmentHash), null);
    await a.lock(group, alice);
    const added = await a.add(group, alice, [c]);
    await groupExists(group, [a, b, c]);
    await sameReceipt(deployed.commitmentHash, [a, b, c]);
    await sameRoot(group, added, [a, b, c]);
  });

  test("F4 a removed member cannot send to the group", async () => {
    const { a, b, alice, bob, group } = cast();
    await a.create(group, alice, [a, b]);
    const removed = await a.remove(group, alice, b);
    assert.ok(await b.receipt(removed.commitmentHash));
    const refused = await b.sendError({ group, account: bob, data: EventEmitter.creation() });
    assert.match(refused.message, /Flexible Privacy group does not exist\./);
    assert.equal(refused.code, -50100);
  });

  test("F6 a member can be added again after it was removed", async () => {
    const { a, b, alice, group } = cast();
    const value = async (node, emitter) => {
      const output = await node.call(group, emitter, EventEmitter.data("value"));
      return Number(EventEmitter.result("value", output));
    };
    const store = (emitter, number) =>
      a.succeed({ group, account: alice, to: emitter, data: EventEmitter.data("store", number) });

    await a.create(group, alice, [a]);
    await a.lock(group, alice);
    await a.add(group, alice, [b]);
    await groupExists(group, [a, b]);
    const { contractAddress: emitter } = await a.deploy(group, alice, EventEmitter);
    const first = await store(emitter, 17);
    assert.equal((await sameReceipt(first.commitmentHash, [a, b])).status, "0x1");
    assert.equal(await value(a, emitter), 17);
    assert.equal(await value(b, emitter), 17);

    const removed = await a.remove(group, alice, b);
    await b.receipt(removed.commitmentHash);
    await groupExists(group, [a]);
    const second = await store(emitter, 1337);
    assert.equal(await value(a, emitter), 1337);
    // The receipt is asked for first: it waits until B has followed the block.
    assert.equal(await b.rpc("priv_getTransactionReceipt", second.commitmentHash), null);
    assert.equal(await value(b, emitter), 17);

    await a.lock(group, alice);
    const added = await a.add(group, alice, [b]);
    await groupExists(group, [a, b]);
    assert.equal(await value(a, emitter), 1337);
    assert.equal(await value(b, emitter), 1337);
    for (const { commitmentHash } of [first, second]) {
      assert.equal((await sameReceipt(commitmentHash, [a, b])).status, "0x1");
    }
    await sameRoot(group, added, [a, b]);
  });

  test("F7 a member that was added can add another", async () => {
    const { a, b, c, alice, charlie, chain, group } = cast();
    await a.create(group, alice, [a]);
    const { contractAddress: emitter } = await a.deploy(group, alice, EventEmitter);
    const lockedBefore = await a.lock(group, alice);
    await a.add(group, alice, [b]);
    await groupExists(group, [a, b]);

    const locked = await b.lock(group, alice);
    await sameReceipt(locked.commitmentHash, [a, b]);
    const nonce = await b.nonce(group, alice);
    const [read, addition] = await chain.inOneBlock(async () => {
      const read = await a.send({ group, account: alice, to: emitter, data: EventEmitter.data("value"), nonce });
      const data = management.addParticipants([c.enclaveKey]);
      const addition = await b.send({ group, account: alice, to: MANAGEMENT, data, nonce });
      assert.ok(await chain.isPending(read));
      assert.ok(await chain.isPending(addition));
      return [read, addition];
    });
    await groupExists(group, [a, b, c]);

    const [markerOfRead, markerOfAddition] = [await chain.receipt(read), await chain.receipt(addition)];
    assert.equal(markerOfRead.status, "0x1");
    assert.equal(markerOfAddition.status, "0x1");
    assert.equal(markerOfRead.blockHash, markerOfAddition.blockHash);
    // The group was locked when the read came.
    const ignored = await a.receipt(read);
    assert.equal(ignored.status, "0x0");
    assert.equal(ignored.reason, "locked");

    const old = await c.receipt(lockedBefore.commitmentHash);
    assert.equal(old.from, alice.address);
    assert.equal(old.to, MANAGEMENT);
    assert.equal(old.output, "0x");
    assert.deepEqual(old.logs, []);
    assert.equal(old.privateFrom, a.enclaveKey);
    assert.equal(old.status, "0x1");

    const hash = await c.send({ group, account: charlie, to: emitter, data: EventEmitter.data("store", 1337) });
    const stored = await sameReceipt(hash, [a, b, c]);
    assert.equal(stored.from, charlie.address);
    assert.equal(stored.to, emitter);
    assert.equal(stored.output, "0x");
    assert.equal(stored.status, "0x1");
    assert.equal(stored.logs.length, 1);
    const [log] = stored.logs;
    assert.equal(log.address, emitter);
    assert.deepEqual(log.topics, [STORED_TOPIC]);
    assert.equal(log.data, `0x${charlie.address.slice(2).padStart(64, "0")}${(1337).toString(16).padStart(64, "0")}`);
    assert.equal(log.logIndex, "0x0");
    assert.equal(log.transactionIndex, "0x0");
    assert.equal(log.transactionHash, hash);

    const removed = await b.remove(group, alice, c);
    await groupExists(group, [a, b]);
    await sameRoot(group, removed, [a, b]);
  });

  test("F8 a locked group executes calls to its management contract only", async () => {
    const { a, alice, group } = cast();
    await a.create(group, alice, [a]);
    const { contractAddress: emitter } = await a.deploy(group, alice, EventEmitter);
    const store = { group, account: alice, to: emitter, data: EventEmitter.data("store", 1) };
    await a.lock(group, alice);
    const ignored = await a.execute(store);
    assert.equal(ignored.status, "0x0");
    assert.equal(ignored.reason, "locked");
    await a.unlock(group, alice);
    assert.equal((await a.succeed(store)).reason, "executed");
  });

  test("F9 members can be added to two groups in the same block", async () => {
    const { a, b, c, alice, bob, chain, group } = cast();
    const other = randomGroup();
    await a.create(group, alice, [a]);
    await b.create(other, bob, [b]);
    await a.lock(group, alice);
    await b.lock(other, bob);
    const hashes = await chain.inOneBlock(async () => [
      await a.send({ group, account: alice, to: MANAGEMENT, data: management.addParticipants([c.enclaveKey]) }),
      await b.send({ group: other, account: bob, to: MANAGEMENT, data: management.addParticipants([a.enclaveKey]) }),
    ]);
    await groupExists(group, [a, c]);
    await groupExists(other, [b, a]);
    const [first, second] = await Promise.all(hashes.map((hash) => chain.receipt(hash)));
    assert.equal(first.blockHash, second.blockHash);
    await sameRoot(group, first, [a, c]);
    await sameRoot(other, second, [b, a]);
  });

  test("S1 members have the same state root", async () => {
    const { a, b, alice, group } = cast();
    const created = await a.create(group, alice, [a, b]);
    await groupExists(group, [a, b]);
    assert.notEqual(await sameRoot(group, created, [a, b]), EMPTY_ROOT);
    assert.equal(await a.stateRoot(group), await b.stateRoot(group));
  });

  test("S2 the state root of an unknown group is an error", async () => {
    const { a, group } = cast();
    const refused = await a.rpcError("priv_debugGetStateRoot", group, "latest");
    assert.match(refused.message, /Error finding privacy group/);
    assert.equal(refused.code, -50100);
  });

  test("S3 the state root is that of the block asked for", async () => {
    const { a, b, alice, chain, group } = cast();
    await chain.mineTo(2);
    const created = await a.create(group, alice, [a, b]);
    await groupExists(group, [a, b]);
    await chain.mineTo(Number(created.blockNumber) + 8);
    const before = await Promise.all([a, b].map((node) => node.stateRoot(group, "1")));
    assert.equal(before[0], before[1]);
    const latest = await eventually("both have followed", async () => {
      const [x, y] = await Promise.all([a, b].map((node) => node.stateRoot(group)));
      return x === y ? x : undefined;
    });
    assert.notEqual(latest, before[0]);
    assert.equal(await sameRoot(group, created, [a, b]), latest);
  });
}
