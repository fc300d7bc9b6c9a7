// The inspector: what it asks, what it makes of answers, and what it does not believe.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";
import { createInspector } from "@coterie/sdk/inspect";

import { ADDRESS, ALICE, BOB, GROUP, TO, hashOf, word } from "./lib/data.mjs";

/** An inspector of a node that answers this, and what it was asked. */
function asking(answer) {
  const asked = [];
  const rpc = async (method, params) => {
    asked.push([method, params]);
    return answer;
  };
  return { inspector: createInspector({ transport: { rpc } }), asked };
}

const group = { privacyGroupId: GROUP };
const block = { number: "0x7", hash: hashOf(7) };
const call = {
  type: "call",
  action: { callType: "call", from: ADDRESS, to: TO, gas: "0x10", input: "0x01", value: "0x0" },
  result: { gasUsed: "0x5", output: "0x02" },
  subtraces: 1,
  traceAddress: [],
};

test("accounts are asked for with their block", async () => {
  const { inspector, asked } = asking("0x2a");
  assert.equal(await inspector.getBalance({ ...group, address: TO, blockTag: 17n }), 42n);
  assert.equal(await inspector.getBalance({ ...group, address: TO }), 42n);
  assert.deepEqual(asked, [
    ["priv_getBalance", [GROUP, TO, "0x11"]],
    ["priv_getBalance", [GROUP, TO, "latest"]],
  ]);
  const stored = asking(word(5));
  assert.equal(await stored.inspector.getStorageAt({ ...group, address: TO, slot: 3n }), word(5));
  assert.deepEqual(stored.asked, [["priv_getStorageAt", [GROUP, TO, "0x3", "latest"]]]);
});

test("a proof is read and checked in form", async () => {
  const answer = {
    address: TO,
    accountProof: ["0x01"],
    balance: "0x0",
    codeHash: hashOf(1),
    nonce: "0x1",
    storageHash: hashOf(2),
    storageProof: [{ key: hashOf(0), value: "0x2a", proof: ["0x02"] }],
  };
  const { inspector, asked } = asking(answer);
  const proof = await inspector.getProof({ ...group, address: TO, slots: [0n] });
  assert.equal(proof.nonce, 1n);
  assert.deepEqual(proof.storageProof, [{ key: hashOf(0), value: 42n, proof: ["0x02"] }]);
  assert.deepEqual(asked, [["priv_getProof", [GROUP, TO, ["0x0"], "latest"]]]);
  for (const wrong of [{ nonce: 1 }, { accountProof: "0x01" }, { storageProof: [{}] }, { codeHash: "0x" }]) {
    const got = asking({ ...answer, ...wrong }).inspector.getProof({ ...group, address: TO });
    await assert.rejects(got, sdk.InvalidResponseError);
  }
});

test("an estimate may be of a creation", async () => {
  const { inspector, asked } = asking("0x5708");
  assert.equal(await inspector.estimateGas({ ...group, data: "0x6001" }), 22280n);
  assert.equal(await inspector.estimateGas({ ...group, to: TO, from: ADDRESS, gasPrice: 1n }), 22280n);
  assert.deepEqual(asked.map(([, [, request]]) => request), [
    { data: "0x6001" },
    { data: "0x", to: TO, from: ADDRESS, gasPrice: "0x1" },
  ]);
  await assert.rejects(inspector.estimateGas(group), sdk.InvalidInputError);
});

test("a block that is not there is an error", async () => {
  const { inspector } = asking(null);
  const at = { ...group, address: TO, blockTag: 99n };
  for (const asks of [inspector.getBalance(at), inspector.getStorageAt({ ...at, slot: 0n }), inspector.getProof(at), inspector.estimateGas({ ...at, to: TO })]) {
    await assert.rejects(asks, sdk.BlockNotFoundError);
  }
});

test("frames of every kind are read", async () => {
  const frames = [
    call,
    { ...call, type: "create", action: { from: TO, gas: "0x9", init: "0x60", value: "0x0" }, result: { address: ADDRESS, code: "0x61", gasUsed: "0x4" }, traceAddress: [0] },
    { ...call, result: null, error: "Reverted", revertReason: "0xaa", traceAddress: [0, 0] },
    { ...call, type: "suicide", action: { address: TO, balance: "0x3", refundAddress: ADDRESS }, result: null, traceAddress: [1] },
  ];
  const { inspector, asked } = asking(frames);
  const [outer, creation, failed, end] = await inspector.traceTransaction({ ...group, hash: hashOf(1) });
  assert.deepEqual(asked, [["priv_traceTransaction", [GROUP, hashOf(1)]]]);
  assert.deepEqual([outer.callType, outer.input, outer.output, outer.gasUsed], ["call", "0x01", "0x02", 5n]);
  assert.deepEqual([creation.to, creation.contractAddress, creation.output], [null, ADDRESS, "0x61"]);
  assert.deepEqual([failed.error, failed.revertReason, failed.gasUsed], ["Reverted", "0xaa", undefined]);
  assert.deepEqual([end.from, end.to, end.value, end.gas], [TO, ADDRESS, 3n, undefined]);
  for (const wrong of [{ type: "x" }, { subtraces: -1 }, { traceAddress: ["0"] }, { action: null }]) {
    await assert.rejects(asking([{ ...call, ...wrong }]).inspector.traceTransaction({ ...group, hash: hashOf(1) }), sdk.InvalidResponseError);
  }
});

test("transactions come in pages, with or without what the node lost", async () => {
  const place = { transactionHash: hashOf(1), blockHash: hashOf(7), blockNumber: "0x7", transactionIndex: "0x0" };
  const transaction = { from: ADDRESS, to: null, nonce: "0x0", gas: "0x1", gasPrice: "0x0", input: "0x", value: "0x0", v: "0x1b", r: "0x1", s: "0x1", privateFrom: ALICE, privacyGroupId: GROUP, restriction: "restricted" };
  const { inspector, asked } = asking({
    transactions: [
      { ...place, ...transaction, status: "0x1", reason: "executed" },
      { ...place, status: "0x0", reason: "late" },
    ],
    cursor: "8-0",
  });
  const page = await inspector.getBlockTransactions({ ...group, limit: 2, cursor: "7-0", ignored: true });
  assert.equal(page.cursor, "8-0");
  assert.deepEqual(page.transactions.map(({ status, reason }) => [status, reason]), [["success", "executed"], ["reverted", "late"]]);
  assert.equal(page.transactions[0].transaction.nonce, 0n);
  assert.equal(page.transactions[1].transaction, null);
  const query = { fromBlock: "earliest", toBlock: "latest", cursor: "7-0", limit: 2, ignored: true };
  assert.deepEqual(asked, [["priv_getBlockTransactions", [GROUP, query]]]);
  assert.equal((await asking({ transactions: [], cursor: null }).inspector.getBlockTransactions(group)).cursor, null);
});

test("statuses are read, with the counts that the caller may see", async () => {
  const status = { version: "0.1.0", chainId: "0x539", definitionHash: hashOf(1), ready: true, followed: block, head: null, lag: null };
  const some = await asking(status).inspector.nodeStatus();
  assert.deepEqual([some.followed, some.head, some.groups], [{ number: 7n, hash: hashOf(7) }, null, undefined]);
  assert.equal(some.followingStopped, undefined);
  const stopped = await asking({ ...status, ready: false, followingStopped: "another chain" }).inspector.nodeStatus();
  assert.equal(stopped.followingStopped, "another chain");
  const all = await asking({ ...status, groups: "0x2", peers: "0x1" }).inspector.nodeStatus();
  assert.deepEqual([all.groups, all.peers], [2n, 1n]);
  await assert.rejects(asking({ ...status, ready: "yes" }).inspector.nodeStatus(), sdk.InvalidResponseError);
  const of = {
    privacyGroupId: GROUP, members: [ALICE, BOB], owner: null, locked: false, version: hashOf(1), created: block, head: block,
    stateRoot: hashOf(2), counted: "0x3", digest: hashOf(3), joining: false, latePayloads: "0x0",
    healing: { state: "failed", reason: "nobody answers" },
    comparisons: [{ member: BOB, block: null, secondsAgo: null, agrees: null }],
  };
  const { inspector, asked } = asking(of);
  const got = await inspector.groupStatus(group);
  assert.deepEqual([got.members, got.owner, got.counted], [[ALICE, BOB], null, 3n]);
  assert.deepEqual(got.comparisons, [{ member: BOB, block: null, secondsAgo: null, agrees: null }]);
  assert.deepEqual(got.healing, { state: "failed", until: undefined, reason: "nobody answers" });
  const taken = await asking({ ...of, healing: { state: "taken", until: block } }).inspector.groupStatus(group);
  assert.deepEqual(taken.healing.until, { number: 7n, hash: hashOf(7) });
  assert.equal((await asking({ ...of, healing: undefined }).inspector.groupStatus(group)).healing, undefined);
  assert.deepEqual(asked, [["coterie_groupStatus", [GROUP]]]);
});
