// Waiting for receipts: what ends the wait, and what does not.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";

import { GROUP, errorString, hashOf, receipt } from "./lib/data.mjs";
import { Refusal, drop, hang, refuse, withNode } from "./lib/node.mjs";

const HASH = hashOf(5);
const MINED = { blockNumber: "0x7" };

/** Answers in turn; the last one stays. A function among them is called. */
const turns = (...answers) => {
  let index = 0;
  return (...args) => {
    const answer = answers[Math.min(index++, answers.length - 1)];
    return typeof answer === "function" ? answer(...args) : answer;
  };
};

const wait = (node, options = {}) =>
  sdk.createPrivacyClient({ url: node.url, nonces: sdk.memoryNonces(), chainId: 1, polling: { interval: 1, timeout: 5000 } }).waitForReceipt(HASH, options);

test("the marker is waited for, then its execution", async () => {
  const handlers = {
    eth_getTransactionReceipt: turns(null, null, MINED),
    priv_getTransactionReceipt: turns(null, null, null, receipt(HASH)),
    priv_getPrivateTransaction: turns(null, {}),
    priv_call: turns(null),
  };
  await withNode(handlers, async (node) => {
    const states = [];
    const found = await wait(node, { onProgress: ({ state, hash, elapsed }) => states.push([state, hash, typeof elapsed]) });
    assert.equal(found.status, "success");
    assert.deepEqual(states.map(([state]) => state), ["pending", "pending", "mined", "mined", "mined"]);
    assert.deepEqual(states[0], ["pending", HASH, "number"]);
    assert.deepEqual(node.requests.find(({ method }) => method === "priv_call").params[2], "0x7");
  });
});

test("a transaction that is not for the node is an error, once its block is followed", async () => {
  const handlers = {
    eth_getTransactionReceipt: MINED,
    priv_getTransactionReceipt: null,
    priv_getPrivateTransaction: null,
    priv_call: turns(null, null, "0x"),
  };
  await withNode(handlers, async (node) => {
    await assert.rejects(wait(node), sdk.NotAParticipantError);
    assert.equal(node.methods().filter((method) => method === "priv_call").length, 3);
  });
  // The receipt that appears between the questions counts.
  await withNode({ ...handlers, priv_call: "0x", priv_getTransactionReceipt: turns(null, receipt(HASH)) }, async (node) => {
    assert.equal((await wait(node)).status, "success");
  });
  // A node that does not say how far it is must say null some times.
  await withNode({ ...handlers, priv_call: () => { throw new Refusal(-40100, "Unauthorized"); } }, async (node) => {
    await assert.rejects(wait(node), sdk.NotAParticipantError);
    assert.equal(node.methods().filter((method) => method === "priv_call").length, 5);
  });
});

test("what cannot pass ends the wait at once", async () => {
  for (const [method, error, kind] of [
    ["eth_getTransactionReceipt", () => { throw new Refusal(-40100, "Unauthorized"); }, sdk.UnauthorizedError],
    ["eth_getTransactionReceipt", undefined, sdk.MethodDisabledError],
    ["priv_getTransactionReceipt", () => { throw refuse("METHOD_NOT_ENABLED", -32604); }, sdk.MethodDisabledError],
    ["priv_getTransactionReceipt", () => { throw refuse("NOT_A_MARKER", -32603); }, sdk.NotAMarkerError],
    ["priv_getTransactionReceipt", { what: "is this" }, sdk.InvalidResponseError],
  ]) {
    await withNode({ eth_getTransactionReceipt: MINED, [method]: error }, async (node) => {
      await assert.rejects(wait(node), kind);
      assert.ok(node.requests.length <= 2);
    });
  }
});

test("what may pass is waited out, but not for ever", async () => {
  const unavailable = () => { throw refuse("CHAIN_UNAVAILABLE", -32603); };
  const syncing = () => { throw refuse("SYNCING", -32008); };
  await withNode({ eth_getTransactionReceipt: turns(drop, unavailable, syncing, MINED), priv_getTransactionReceipt: turns(drop, receipt(HASH)) }, async (node) => {
    assert.equal((await wait(node)).status, "success");
  });
  await withNode({ eth_getTransactionReceipt: drop }, async (node) => {
    await assert.rejects(wait(node, { retries: 3 }), sdk.ConnectionError);
    assert.equal(node.requests.length, 4);
  });
});

test("out of time the error tells hash, group and how far it came", async () => {
  await withNode({ eth_getTransactionReceipt: null }, async (node) => {
    await assert.rejects(wait(node, { timeout: 20, privacyGroupId: GROUP }), (error) => {
      assert.ok(error instanceof sdk.ReceiptTimeoutError);
      assert.deepEqual([error.hash, error.groupId, error.mined], [HASH, GROUP, false]);
      return true;
    });
  });
  await withNode({ eth_getTransactionReceipt: MINED, priv_getTransactionReceipt: null, priv_getPrivateTransaction: {} }, async (node) => {
    await assert.rejects(wait(node, { timeout: 20 }), (error) => error instanceof sdk.ReceiptTimeoutError && error.mined);
  });
  // Also when the node does not answer at all.
  await withNode({ eth_getTransactionReceipt: hang }, async (node) => {
    await assert.rejects(wait(node, { timeout: 20 }), sdk.ReceiptTimeoutError);
  });
});

test("an abort ends the wait, between polls and while asking", async () => {
  for (const answer of [null, hang]) {
    await withNode({ eth_getTransactionReceipt: answer }, async (node) => {
      const controller = new AbortController();
      const waiting = wait(node, { signal: controller.signal, interval: 60_000 });
      while (node.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await assert.rejects(waiting, sdk.AbortError);
    });
  }
  await withNode({}, async (node) => {
    await assert.rejects(wait(node, { signal: AbortSignal.abort() }), sdk.AbortError);
    assert.equal(node.requests.length, 0);
  });
});

test("each reason that a caller must treat differently has a class", async () => {
  const failed = (more) => ({ eth_getTransactionReceipt: MINED, priv_getTransactionReceipt: receipt(HASH, { status: "0x0", ...more }) });
  for (const [more, kind, check = () => true] of [
    [{ reason: "reverted", revertReason: errorString("no way") }, sdk.TransactionRevertedError, (error) => error.revert.reason === "no way" && /no way/.test(error.message)],
    [{ reason: "reverted", revertReason: "0x" }, sdk.TransactionRevertedError, (error) => error.revertData === "0x"],
    [{ reason: "reverted", revertReason: errorString("Origin not the owner.") }, sdk.NotTheOwnerError],
    [{ reason: "out_of_gas" }, sdk.TransactionRevertedError, (error) => error.code === "OUT_OF_GAS"],
    [{ reason: "too_many_public_reads" }, sdk.TransactionRevertedError, (error) => /too_many_public_reads/.test(error.message)],
    [{ reason: "nonce", status: "0x2" }, sdk.NonceConflictError, (error) => error.status === "invalid"],
    [{ reason: "chain_id", status: "0x2" }, sdk.TransactionRevertedError],
    [{ reason: "locked" }, sdk.GroupLockedError, (error) => error.groupId === GROUP],
    [{ reason: "version" }, sdk.StaleMembershipError],
    [{ reason: "not_a_member" }, sdk.MembershipLostError],
    [{ reason: "undecodable" }, sdk.TransactionRevertedError],
    [{ reason: "enclave_signature" }, sdk.TransactionRevertedError],
    [{ reason: "duplicate", decidedBy: hashOf(6), outcome: "nonce", status: "0x2" }, sdk.DuplicateMarkerError, (error) => error.receipt.decidedBy === hashOf(6) && error.reason === "nonce"],
    [{ reason: "copied" }, sdk.DuplicateMarkerError],
    [{ reason: "late" }, sdk.LatePayloadError],
    [{ reason: "not_in_history" }, sdk.LatePayloadError],
    [{ reason: "of the future" }, sdk.TransactionRevertedError],
    [{ reason: undefined }, sdk.TransactionRevertedError],
  ]) {
    await withNode(failed(more), async (node) => {
      const found = await wait(node);
      assert.throws(() => sdk.assertSuccess(found), (error) => {
        assert.equal(error.constructor, kind, error.stack);
        assert.ok(check(error), error.stack);
        return true;
      });
    });
  }
  // A duplicate of one that had its effect is a success.
  await withNode(failed({ reason: "duplicate", outcome: "executed", decidedBy: hashOf(6), status: "0x1" }), async (node) => {
    assert.equal(sdk.assertSuccess(await wait(node)).outcome, "executed");
  });
});
