// What the rules of a group refuse, and that all members refuse the same: cases that follow from
// the protocol but are in no suite of Besu (X2 to X9 of the conformance suite).

import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeErrorResult, parseAbi } from "viem";

import { groupExists, sameReceipt, sameRoot } from "./checks.mjs";
import { EventEmitter, MANAGEMENT, MARKER_TO, management } from "./contracts.mjs";
import { randomGroup } from "./network.mjs";
import { transact } from "./public.mjs";

/** Registers the scenarios; `network` is asked when they run. */
export function ruleScenarios(network) {
  const cast = () => {
    const { members, accounts, chain } = network();
    const [a, b, c] = members;
    const [alice, bob] = accounts;
    return { a, b, c, alice, bob, chain, group: randomGroup() };
  };
  const manage = (group, account, data, nonce) => ({ group, account, to: MANAGEMENT, data, nonce });

  test("X2 who creates a group must be in it", async () => {
    const { a, b, alice, group } = cast();
    const refused = await a.sendError(manage(group, alice, management.addParticipants([b.enclaveKey]), 0));
    assert.equal(refused.code, -50100);
    assert.equal(refused.message, "Flexible Privacy group does not exist.");
    assert.equal(await b.findGroup(group), undefined);
  });

  test("X2 a group that exists cannot be created again, and nothing is published", async () => {
    const { a, b, alice, chain, group } = cast();
    await a.create(group, alice, [a, b]);
    const height = await chain.height();
    const data = management.addParticipants([a.enclaveKey, b.enclaveKey]);
    const refused = await a.sendError(manage(group, alice, data, await a.nonce(group, alice)));
    assert.equal(refused.code, -50100);
    assert.equal(refused.data.code, "GROUP_EXISTS");
    assert.equal(refused.data.privacyGroupId, group);
    assert.equal(await chain.height(), height);
    await groupExists(group, [a, b]);
  });

  test("X2 a group id that a listed member knows cannot be used by others", async () => {
    const { a, b, c, alice, bob, chain, group } = cast();
    const created = await a.create(group, alice, [a, b]);
    const root = await sameRoot(group, created, [a, b]);
    const height = await chain.height();
    // C itself has never heard of the group.
    assert.equal(await c.findGroup(group), undefined);
    for (const member of [a, b]) {
      const data = management.addParticipants([c.enclaveKey, member.enclaveKey]);
      const refused = await c.sendError(manage(group, bob, data, 0));
      assert.equal(refused.code, -50100);
      assert.equal(refused.data.code, "GROUP_EXISTS");
      assert.equal(refused.data.enclaveKey, member.enclaveKey);
    }
    assert.equal(await chain.height(), height);
    assert.equal(await c.findGroup(group), undefined);
    assert.equal(await a.stateRoot(group), root);
    await groupExists(group, [a, b]);
  });

  test("X3 a key that is added twice is a member once", async () => {
    const { a, alice, group } = cast();
    const created = await a.create(group, alice, [a, a]);
    assert.equal(BigInt(created.output), 0n, "not every key was added");
    await groupExists(group, [a]);
  });

  test("X4 what was sent before a removal in the same block has no effect after it", async () => {
    const { a, b, alice, bob, chain, group } = cast();
    await a.create(group, alice, [a, b]);
    const { contractAddress: to, commitmentHash } = await a.deploy(group, alice, EventEmitter);
    await b.receipt(commitmentHash);
    const hashes = await chain.inOneBlock(async () => [
      await a.send(manage(group, alice, management.removeParticipant(b.enclaveKey))),
      await a.send({ group, account: bob, to, data: EventEmitter.data("store", 5) }),
    ]);
    const [removed, stale] = await Promise.all(hashes.map((hash) => a.receipt(hash)));
    assert.equal(removed.status, "0x1");
    assert.equal(removed.reason, "executed");
    assert.equal(stale.status, "0x0");
    assert.equal(stale.reason, "version");
    assert.equal(removed.blockHash, stale.blockHash);
    assert.equal(await a.nonce(group, bob), 0);
    assert.equal(BigInt(await a.call(group, to, EventEmitter.data("value"))), 0n);
    await groupExists(group, [a]);
  });

  test("X5 a member can be added in the block of the lock", async () => {
    const { a, b, c, alice, chain, group } = cast();
    await a.create(group, alice, [a, b]);
    const nonce = await a.nonce(group, alice);
    const hashes = await chain.inOneBlock(async () => [
      await a.send(manage(group, alice, management.lock, nonce)),
      await a.send(manage(group, alice, management.addParticipants([c.enclaveKey]), nonce + 1)),
    ]);
    for (const hash of hashes) assert.equal((await sameReceipt(hash, [a, b])).reason, "executed");
    await groupExists(group, [a, b, c]);
    await sameRoot(group, await sameReceipt(hashes[1], [a, b, c]), [a, b, c]);
  });

  test("X6 nobody can be removed from a locked group", async () => {
    const { a, b, alice, group } = cast();
    await a.create(group, alice, [a, b]);
    await a.lock(group, alice);
    const failed = await a.execute(manage(group, alice, management.removeParticipant(b.enclaveKey)));
    assert.equal(failed.status, "0x0");
    assert.equal(failed.reason, "reverted");
    assert.equal(failed.output, "0x");
    assert.equal(failed.revertReason ?? "0x", "0x");
    await groupExists(group, [a, b]);
  });

  test("X7 only the owner can lock", async () => {
    const { a, b, alice, bob, group } = cast();
    await a.create(group, alice, [a, b]);
    await groupExists(group, [a, b]);
    const hash = await b.send(manage(group, bob, management.lock));
    const failed = await sameReceipt(hash, [a, b]);
    assert.equal(failed.status, "0x0");
    const abi = parseAbi(["error Error(string)"]);
    const reason = encodeErrorResult({ abi, errorName: "Error", args: ["Origin not the owner."] });
    assert.equal(failed.revertReason, reason);
    assert.equal(failed.reason, "reverted");
  });

  test("members are added to a locked group only", async () => {
    const { a, b, c, alice, group } = cast();
    await a.create(group, alice, [a, b]);
    const ignored = await a.execute(manage(group, alice, management.addParticipants([c.enclaveKey])));
    assert.equal(ignored.status, "0x0");
    assert.equal(ignored.reason, "locked");
    await sameReceipt(ignored.commitmentHash, [a, b]);
    await groupExists(group, [a, b]);
  });

  test("of several markers of a payload the first of its signer counts, and all tell what it did", async () => {
    const { a, b, alice, bob, chain, group } = cast();
    await a.create(group, alice, [a, b]);
    const { contractAddress: to } = await a.deploy(group, alice, EventEmitter);
    const raw = await a.sign({ group, account: alice, to, data: EventEmitter.data("store", 7) });
    const data = await a.rpc("priv_distributeRawTransaction", raw, bob.address);
    const mark = async (account) => {
      const { transactionHash } = await transact(chain, account, { to: MARKER_TO, data });
      return transactionHash;
    };
    const [stranger, first, again] = [await mark(alice), await mark(bob), await mark(bob)];

    const counted = await sameReceipt(first, [a, b]);
    assert.equal(counted.status, "0x1");
    assert.equal(counted.reason, "executed");
    assert.ok(!("decidedBy" in counted) && !("outcome" in counted));
    for (const [hash, reason] of [[stranger, "copied"], [again, "duplicate"]]) {
      const other = await sameReceipt(hash, [a, b]);
      assert.equal(other.reason, reason);
      assert.equal(other.decidedBy, first);
      assert.equal(other.outcome, "executed");
      assert.equal(other.status, "0x1");
      assert.equal(other.commitmentHash, hash);
      assert.equal(other.logs.length, 1);
    }
    assert.equal(BigInt(await b.call(group, to, EventEmitter.data("value"))), 7n);
  });

  test("forty sends of one account to several groups at once land in order", async () => {
    const { a, b, alice } = cast();
    const groups = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const group = randomGroup();
        await a.create(group, alice, [a, b]);
        const { contractAddress: to } = await a.deploy(group, alice, EventEmitter);
        return { group, to, nonce: await a.nonce(group, alice) };
      }),
    );
    // A group's next transaction goes out when the one before was accepted, long before it is mined.
    const sends = groups.map(async ({ group, to, nonce }) => {
      const hashes = [];
      for (let at = 0; at < 10; at++) {
        const data = EventEmitter.data("store", at);
        hashes.push(await a.send({ group, account: alice, to, data, nonce: nonce + at }));
      }
      return hashes;
    });
    const sent = await Promise.all(sends);
    assert.equal(new Set(sent.flat()).size, 40);
    for (const [at, hashes] of sent.entries()) {
      const { group, to, nonce } = groups[at];
      const places = [];
      for (const [number, hash] of hashes.entries()) {
        const receipt = await sameReceipt(hash, [a, b]);
        assert.equal(receipt.status, "0x1", `transaction ${number} of group ${at}`);
        assert.equal(BigInt(receipt.logs[0].data.slice(-64).padStart(66, "0x")), BigInt(number));
        places.push([Number(receipt.blockNumber), Number(receipt.transactionIndex)]);
      }
      const sorted = places.toSorted(([block, index], [other, after]) => block - other || index - after);
      assert.deepEqual(places, sorted);
      assert.equal(await b.nonce(group, alice), nonce + 10);
      assert.equal(BigInt(await b.call(group, to, EventEmitter.data("value"))), 9n);
    }
  });

  test("X9 markers that say nothing to anybody change nothing", async () => {
    const { a, b, alice, bob, chain, group } = cast();
    const created = await a.create(group, alice, [a, b]);
    const root = await sameRoot(group, created, [a, b]);
    const mark = (data) => transact(chain, bob, { to: MARKER_TO, data });
    const short = await mark("0x1234");
    const unknown = await mark(`0x${"11".repeat(32)}`);
    const double = await mark(`0x${"22".repeat(64)}`);
    for (const node of [a, b]) {
      const error = await node.rpcError("priv_getTransactionReceipt", short.transactionHash);
      assert.equal(error.code, -32603);
      for (const { transactionHash } of [unknown, double]) {
        assert.equal(await node.rpc("priv_getTransactionReceipt", transactionHash), null);
        assert.equal(await node.rpc("priv_getPrivateTransaction", transactionHash), null);
      }
    }
    const after = { blockNumber: `0x${double.blockNumber.toString(16)}` };
    assert.equal(await sameRoot(group, after, [a, b]), root);
    await a.lock(group, alice);
  });
}
