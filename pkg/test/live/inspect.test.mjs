// Every method of the inspector against real nodes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as sdk from "@coterie/sdk";
import { createInspector } from "@coterie/sdk/inspect";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { EventEmitter, startDev } from "./lib/network.mjs";

let network;
before(async () => {
  network = await startDev({ members: 3 });
});
after(() => network?.stop());

const word = (value) => `0x${BigInt(value).toString(16).padStart(64, "0")}`;
const store = (number) => `0x6057361d${word(number).slice(2)}`;

test("an inspector sees accounts, traces, transactions and statuses of a group", async () => {
  const { members } = network;
  const [a, b] = [network.client(0), network.client(1)];
  const [own, other, outside] = members.map(({ url }) => createInspector({ url }));
  const keys = members.map(({ enclaveKey }) => sdk.enclaveKey(enclaveKey));
  const { privacyGroupId } = await a.groups.create({ participants: keys.slice(0, 2) });
  const gas = await own.estimateGas({ privacyGroupId, data: EventEmitter.bytecode });
  const { address } = await a.deployContract({ privacyGroupId, data: EventEmitter.bytecode, gas });
  const receipt = await a.execute({ privacyGroupId, to: address, data: store(42) });
  const hash = receipt.transactionHash;

  const [frame] = await own.traceTransaction({ privacyGroupId, hash });
  assert.deepEqual([frame.to, frame.input, frame.error], [address, store(42), undefined]);
  assert.deepEqual(await outside.traceTransaction({ privacyGroupId, hash }), []);

  assert.equal(await own.getBalance({ privacyGroupId, address }), 0n);
  assert.equal(await own.getStorageAt({ privacyGroupId, address, slot: 0n }), word(42));
  const before = receipt.blockNumber - 1n;
  assert.equal(await own.getStorageAt({ privacyGroupId, address, slot: 0n, blockTag: before }), word(0));
  const proof = await own.getProof({ privacyGroupId, address, slots: [0n] });
  assert.equal(proof.storageProof[0].value, 42n);
  assert.ok(proof.accountProof.length > 0);
  await assert.rejects(own.getBalance({ privacyGroupId, address, blockTag: 10n ** 9n }), sdk.BlockNotFoundError);
  await assert.rejects(own.estimateGas({ privacyGroupId, to: address, data: "0xffffffff" }), sdk.PrivacyError);

  const first = await own.getBlockTransactions({ privacyGroupId, limit: 2 });
  const rest = await own.getBlockTransactions({ privacyGroupId, cursor: first.cursor });
  const hashes = [...first.transactions, ...rest.transactions].map((it) => it.transactionHash);
  assert.deepEqual([hashes.length, hashes[2], rest.cursor], [3, hash, null]);
  assert.equal(rest.transactions[0].transaction.data, store(42));

  await eventually("the members compared their states", async () => {
    const { comparisons } = await own.groupStatus({ privacyGroupId });
    return comparisons.length === 1 && comparisons[0].agrees;
  });
  // They may have compared an older state.
  await b.waitForReceipt(hash);
  const [ours, theirs] = await Promise.all([own, other].map((it) => it.groupStatus({ privacyGroupId })));
  assert.deepEqual([ours.members, ours.stateRoot], [theirs.members, theirs.stateRoot]);
  assert.equal(ours.owner.toLowerCase(), sdk.accountAddress(network.keys[0]).toLowerCase());
  await assert.rejects(outside.groupStatus({ privacyGroupId }), sdk.GroupNotFoundError);
  const status = await own.nodeStatus();
  assert.deepEqual([status.ready, status.groups, status.peers], [true, 1n, 2n]);
});
