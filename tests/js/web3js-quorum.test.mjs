// The published web3js-quorum 22.4.0, unmodified, does what its own examples for flexible groups
// do. It encodes the older member ABI (`bytes32[]`), which no Besu since 22.10 understands.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { CrossReader, EventEmitter, MANAGEMENT, management } from "./lib/contracts.mjs";
import { startDev } from "./lib/network.mjs";
import { eventually } from "./lib/wait.mjs";

let network;
before(async () => {
  network = await startDev();
});
after(() => network?.stop());

/** A member as the examples configure it: client, enclave key, and the key that signs. */
function parties() {
  return network.members.map(({ web3, enclaveKey }, i) => ({
    web3,
    groups: web3.eth.flexiblePrivacyGroup,
    enclaveKey,
    signer: { enclaveKey, privateFrom: enclaveKey, privateKey: network.accounts[i].bareKey },
  }));
}

/** The group as `find` shows it, once it has these members. */
function found(party, keys, group) {
  return eventually("the group is found", async () => {
    const groups = await party.groups.find(keys);
    return groups.find(({ privacyGroupId, members }) => privacyGroupId === group && members.length === keys.length);
  });
}

const keysOf = (list) => list.map(({ enclaveKey }) => enclaveKey);

test("a group is created, and the other member waits for it and finds it", async () => {
  const [one, two] = parties();
  const participants = keysOf([one, two]);
  const created = await one.groups.create({ ...one.signer, participants });
  assert.equal(created.status, "0x1");
  assert.equal(created.to, MANAGEMENT);
  assert.equal(Buffer.from(created.privacyGroupId, "base64").length, 32);

  const seen = await two.web3.priv.waitForTransactionReceipt(created.commitmentHash);
  assert.deepEqual(seen, created);
  const group = await found(two, participants, created.privacyGroupId);
  assert.deepEqual(group.members, participants);
  assert.equal(group.type, "FLEXIBLE");
});

test("a member is added and removed, and getParticipants follows", async () => {
  const [one, two, three] = parties();
  const [pair, all] = [keysOf([one, two]), keysOf([one, two, three])];
  const created = await one.groups.create({ ...one.signer, participants: pair });
  const { privacyGroupId } = created;
  await found(two, pair, privacyGroupId);
  assert.deepEqual(await one.groups.getParticipants({ privacyGroupId }), pair);

  const added = await one.groups.addTo({ ...one.signer, privacyGroupId, participants: [three.enclaveKey] });
  assert.equal(added.status, "0x1");
  const received = await eventually("the new member has the receipt", () =>
    three.web3.priv.waitForTransactionReceipt(added.commitmentHash),
  );
  assert.equal(received.status, "0x1");
  await found(two, all, privacyGroupId);
  for (const party of [one, two, three]) {
    assert.deepEqual(await party.groups.getParticipants({ privacyGroupId }), all);
  }

  const removed = await one.groups.removeFrom({ ...one.signer, privacyGroupId, participant: three.enclaveKey });
  assert.equal(removed.status, "0x1");
  const left = await found(two, pair, privacyGroupId);
  assert.deepEqual(left.members, pair);
  assert.deepEqual(await one.groups.getParticipants({ privacyGroupId }), pair);
});

test("the member list has the ABI of the client that created the group", async () => {
  const [one] = parties();
  const [a] = network.members;
  const created = await one.groups.create({ ...one.signer, participants: [one.enclaveKey] });
  const key = Buffer.from(one.enclaveKey, "base64").toString("hex");
  const word = (n) => n.toString(16).padStart(64, "0");
  assert.equal(
    await a.call(created.privacyGroupId, MANAGEMENT, management.getParticipants),
    `0x${word(32)}${word(1)}${key}`,
  );
});

test("adding needs the lock, and tells so when it fails", async () => {
  const [one, two] = parties();
  const [a] = network.members;
  const { privacyGroupId } = await one.groups.create({ ...one.signer, participants: [one.enclaveKey] });
  const locked = await one.groups.setLockState({ ...one.signer, privacyGroupId, lock: true });
  assert.equal(locked.status, "0x1");
  assert.equal(BigInt(await a.call(privacyGroupId, MANAGEMENT, management.canExecute)), 0n);
  await assert.rejects(
    one.groups.addTo({ ...one.signer, privacyGroupId, participants: [two.enclaveKey] }),
    /^Error: Locking the privacy group failed, receipt: /,
  );
  const unlocked = await one.groups.setLockState({ ...one.signer, privacyGroupId, lock: false });
  assert.equal(unlocked.status, "0x1");
  assert.equal(BigInt(await a.call(privacyGroupId, MANAGEMENT, management.canExecute)), 1n);
});

test("a contract is deployed and used by both members", async () => {
  const [one, two] = parties();
  const created = await one.groups.create({ ...one.signer, participants: keysOf([one, two]) });
  const { privacyGroupId } = created;
  const transact = async (party, transaction) => {
    const { priv } = party.web3;
    const hash = await priv.generateAndSendRawTransaction({ ...party.signer, privacyGroupId, ...transaction });
    return priv.waitForTransactionReceipt(hash, 300, 20);
  };

  const deployed = await transact(one, { data: EventEmitter.creation() });
  assert.equal(deployed.status, "0x1");
  const { contractAddress: to } = deployed;
  const read = await transact(one, { to, data: EventEmitter.data("value") });
  assert.equal(BigInt(read.output), 0n);
  await two.web3.priv.waitForTransactionReceipt(read.commitmentHash, 300, 20);

  const stored = await transact(two, { to, data: EventEmitter.data("store", 8) });
  assert.equal(stored.status, "0x1");
  assert.equal(stored.from, network.accounts[1].address);
  assert.equal(stored.logs.length, 1);
  await one.web3.priv.waitForTransactionReceipt(stored.commitmentHash, 300, 20);
  const again = await transact(one, { to, data: EventEmitter.data("value") });
  assert.equal(BigInt(again.output), 8n);
});

test("the pass-through methods answer in the shapes that the client formats", async () => {
  const [one, two] = parties();
  const { priv } = one.web3;
  const participants = keysOf([one, two]);
  const { privacyGroupId, blockNumber } = await one.groups.create({ ...one.signer, participants });
  const { address } = network.accounts[0];

  assert.equal(await priv.getPrivacyPrecompileAddress(), "0x000000000000000000000000000000000000007d");
  assert.equal(await priv.getTransactionCount(address, privacyGroupId), 1);
  assert.equal(await priv.getEeaTransactionCount(address, one.enclaveKey, [two.enclaveKey]), "0x0");
  const hash = await priv.generateAndSendRawTransaction({
    ...one.signer,
    privacyGroupId,
    data: CrossReader.creation(),
  });
  const deployed = await priv.waitForTransactionReceipt(hash, 300, 20);
  assert.equal(await priv.getCode(privacyGroupId, deployed.contractAddress, "latest"), CrossReader.runtime);
  const transaction = await priv.getPrivateTransaction(hash);
  assert.equal(transaction.privateFrom, one.enclaveKey);
  // A number stays a number on its way through this client.
  const root = await priv.debugGetStateRoot(privacyGroupId, Number(deployed.blockNumber));
  assert.match(root, /^0x[0-9a-f]{64}$/);
  const logs = await priv.getLogs(privacyGroupId, { fromBlock: Number(blockNumber) });
  assert.equal(logs.length, 2);
  assert.equal(logs[0].blockNumber, Number(blockNumber));
});

test("distribute gives the payload's id, and a client-signed marker carries it", async () => {
  const [one, two] = parties();
  const participants = keysOf([one, two]);
  const { privacyGroupId } = await one.groups.create({ ...one.signer, participants });
  const id = await one.web3.priv.generateAndDistributeRawTransaction({
    ...one.signer,
    privacyGroupId,
    data: EventEmitter.creation(),
  });
  assert.match(id, /^0x[0-9a-f]{64}$/);
  const { web3 } = one;
  const signed = await web3.eth.accounts.signTransaction(
    { to: await web3.priv.getPrivacyPrecompileAddress(), data: id, gas: 100_000, gasPrice: await web3.eth.getGasPrice() },
    network.accounts[0].privateKey,
  );
  const { transactionHash } = await web3.eth.sendSignedTransaction(signed.rawTransaction);
  const receipt = await two.web3.priv.waitForTransactionReceipt(transactionHash, 300, 20);
  assert.equal(receipt.status, "0x1");
  assert.equal(receipt.commitmentHash, transactionHash);
});

test("off-chain groups are refused", async () => {
  const [one] = parties();
  const addresses = [one.enclaveKey];
  await assert.rejects(one.web3.priv.createPrivacyGroup({ addresses }), /Method not enabled/);
  await assert.rejects(one.web3.priv.findPrivacyGroup(addresses), /Method not enabled/);
  await assert.rejects(one.web3.priv.deletePrivacyGroup(one.enclaveKey), /Method not enabled/);
});
