// Every method of the client against real nodes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as sdk from "@coterie/sdk";

import { rpc } from "../../../tests/js/lib/rpc.mjs";
import { eventually } from "../../../tests/js/lib/wait.mjs";
import { EventEmitter, POLLING, Reverter, startDev } from "./lib/network.mjs";

let network;
before(async () => {
  network = await startDev({ members: 3 });
});
after(() => network?.stop());

const word = (value) => `0x${BigInt(value).toString(16).padStart(64, "0")}`;
const VALUE = "0x3fa4f245";
const store = (number) => `0x6057361d${word(number).slice(2)}`;

/** Three members' clients and a group of the first two, with a contract in it. */
async function cast() {
  const { members } = network;
  const [a, b, c] = members.map((_, index) => network.client(index));
  const keys = members.map(({ enclaveKey }) => sdk.enclaveKey(enclaveKey));
  const { privacyGroupId, receipt } = await a.groups.create({ participants: keys.slice(0, 2) });
  const { address, receipt: deployed } = await a.deployContract({ privacyGroupId, data: EventEmitter.bytecode });
  // The other member's node may follow later than A's.
  await b.waitForReceipt(deployed.transactionHash);
  return { a, b, c, keys, privacyGroupId, created: receipt, address };
}

test("a group is created, and its members see each other's transactions", async () => {
  const { a, b, c, keys, privacyGroupId, created, address } = await cast();
  assert.equal(created.status, "success");
  assert.equal(created.reason, "executed");
  assert.equal(created.privacyGroupId, privacyGroupId);
  assert.equal(created.logs.length, 2);
  assert.deepEqual(await a.groups.participants({ privacyGroupId }), keys.slice(0, 2));
  assert.equal(await a.groups.isLocked({ privacyGroupId }), false);
  assert.equal(
    (await a.groups.owner({ privacyGroupId })).toLowerCase(),
    sdk.accountAddress(network.keys[0]).toLowerCase(),
  );

  const hash = await a.sendTransaction({ privacyGroupId, to: address, data: store(42) });
  const receipts = await Promise.all([a, b].map((client) => client.waitForReceipt(hash)));
  assert.deepEqual(receipts[0], receipts[1]);
  const [receipt] = receipts;
  assert.equal(receipt.transactionHash, hash);
  assert.equal(receipt.logs.length, 1);
  assert.equal(typeof receipt.blockNumber, "bigint");
  assert.deepEqual(await b.getReceipt(hash), receipt);
  for (const client of [a, b]) assert.equal(await client.call({ privacyGroupId, to: address, data: VALUE }), word(42));
  const before = receipt.blockNumber - 1n;
  assert.equal(await b.call({ privacyGroupId, to: address, data: VALUE, blockTag: before }), word(0));
  assert.equal(await b.getCode({ privacyGroupId, address }), EventEmitter.runtime);
  assert.equal(await c.getCode({ privacyGroupId, address }), "0x");
  assert.equal(await a.getStateRoot({ privacyGroupId }), await b.getStateRoot({ privacyGroupId }));
  assert.equal(await b.getTransactionCount({ privacyGroupId }), 3n);

  const transaction = await b.getTransaction(hash);
  assert.equal(transaction.nonce, 2n);
  assert.equal(transaction.data, store(42));
  assert.equal(transaction.privateFrom, keys[0]);
  const logs = await b.getLogs({ privacyGroupId, address });
  assert.equal(logs.length, 1);
  assert.equal(logs[0].transactionHash, hash);
  assert.deepEqual(await b.getLogs({ privacyGroupId, address, fromBlock: receipt.blockNumber + 1n }), []);
  assert.deepEqual(await b.getLogs({ privacyGroupId, blockHash: receipt.blockHash, topics: [[logs[0].topics[0], word(1)]] }), logs);

  await assert.rejects(c.waitForReceipt(hash), sdk.NotAParticipantError);
  assert.equal(await c.getReceipt(hash), null);
  assert.equal(await c.getTransaction(hash), null);
});

test("a block that is not there yet is an error, not an empty answer", async () => {
  const { a, privacyGroupId, address } = await cast();
  const blockTag = (await network.chain.height()) + 1000n;
  await assert.rejects(a.call({ privacyGroupId, to: address, data: VALUE, blockTag }), sdk.BlockNotFoundError);
  await assert.rejects(a.groups.participants({ privacyGroupId, blockTag }), sdk.BlockNotFoundError);
});

test("a hundred sends at once from one account all land in order", async () => {
  const { a, b, privacyGroupId, address } = await cast();
  const numbers = Array.from({ length: 100 }, (_, index) => index + 1);
  const hashes = await Promise.all(
    numbers.map((number) => a.sendTransaction({ privacyGroupId, to: address, data: store(number) })),
  );
  assert.equal(new Set(hashes).size, 100);
  const receipts = await Promise.all(hashes.map((hash) => b.waitForReceipt(hash)));
  for (const receipt of receipts) assert.equal(receipt.reason, "executed");
  const logs = await b.getLogs({ privacyGroupId, address });
  assert.deepEqual(logs.map(({ data }) => Number(BigInt(`0x${data.slice(-64)}`))), numbers);
  assert.equal(await a.getTransactionCount({ privacyGroupId }), 102n);
});

test("two clients that share a queue do not step on each other", async () => {
  const { privacyGroupId, address } = await cast();
  const nonces = sdk.memoryNonces();
  const clients = [0, 1].map((member) => network.client(member, 1, { nonces }));
  // Two nodes publish by two keys, so the order on the chain is not the order of sending, and what
  // came too early gives its nonce back: nothing is mined before all are sent. At least none has the
  // nonce of another.
  await network.chain.rpc("evm_setAutomine", false);
  let hashes;
  try {
    hashes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        clients[index % 2].sendTransaction({ privacyGroupId, to: address, data: store(index) }),
      ),
    );
    await network.chain.mine();
  } finally {
    await network.chain.rpc("evm_setAutomine", true);
  }
  const all = await Promise.all(hashes.map((hash) => eventually("it is readable", () => clients[0].getTransaction(hash))));
  assert.deepEqual(all.map(({ nonce }) => nonce).sort((x, y) => Number(x - y)), Array.from({ length: 20 }, (_, index) => BigInt(index)));
});

test("after a nonce without effect the queue asks the node again", async () => {
  const { a, privacyGroupId, address } = await cast();
  const hash = await a.sendTransaction({ privacyGroupId, to: address, data: store(1), nonce: 9 });
  const receipt = await a.waitForReceipt(hash);
  assert.equal(receipt.status, "invalid");
  assert.throws(() => sdk.assertSuccess(receipt), (error) => error instanceof sdk.NonceConflictError && error.reason === "nonce");
  assert.equal((await a.execute({ privacyGroupId, to: address, data: store(2) })).reason, "executed");
  await assert.rejects(a.sendTransaction({ privacyGroupId, to: address, data: store(1), nonce: 0 }), sdk.NonceTooLowError);
});

test("a nonce that somebody else used is taken from the node again", async () => {
  const { a, privacyGroupId, address } = await cast();
  const other = network.client(0);
  await other.execute({ privacyGroupId, to: address, data: store(1) });
  assert.equal((await a.execute({ privacyGroupId, to: address, data: store(2) })).reason, "executed");
});

test("members are added and removed", async () => {
  const { a, b, c, keys, privacyGroupId, address } = await cast();
  await a.execute({ privacyGroupId, to: address, data: store(7) });
  const steps = [];
  const onProgress = ({ step, state }) => steps.push(`${step} ${state}`);
  const { added, receipt } = await a.groups.add({ privacyGroupId, participants: [keys[2], keys[1]], onProgress });
  assert.deepEqual(added, [keys[2]]);
  const told = steps.filter((step) => !/pending|mined/.test(step));
  assert.deepEqual(told, ["lock sending", "lock done", "add sending", "add done"]);
  assert.equal(await a.groups.isLocked({ privacyGroupId }), false);

  // The newcomer waits for the addition itself and then has the history.
  const theirs = await c.waitForReceipt(receipt.transactionHash);
  assert.equal(theirs.status, "success");
  assert.equal(await c.call({ privacyGroupId, to: address, data: VALUE }), word(7));
  await b.waitForReceipt(receipt.transactionHash);
  for (const client of [a, b, c]) {
    assert.deepEqual([...(await client.groups.participants({ privacyGroupId }))].sort(), [...keys].sort());
  }
  assert.deepEqual((await a.groups.find(keys)).map((group) => group.privacyGroupId), [privacyGroupId]);
  assert.deepEqual(await a.groups.add({ privacyGroupId, participants: [keys[2]] }), { added: [], receipt: null });

  const removed = await a.groups.remove({ privacyGroupId, participant: keys[2] });
  assert.equal(removed.removed, true);
  assert.equal((await a.groups.remove({ privacyGroupId, participant: keys[2] })).removed, false);
  assert.deepEqual(await a.groups.participants({ privacyGroupId }), keys.slice(0, 2));
  await c.waitForReceipt(removed.receipt.transactionHash).catch(() => {});
  await assert.rejects(c.sendTransaction({ privacyGroupId, to: address, data: store(8) }), sdk.GroupNotFoundError);
});

test("a group is found by its members, exactly when asked", async () => {
  const { a, keys, privacyGroupId } = await cast();
  const ids = (groups) => groups.map((group) => group.privacyGroupId);
  assert.ok(ids(await a.groups.find([keys[0]])).includes(privacyGroupId));
  assert.ok(!ids(await a.groups.find([keys[0]], { exact: true })).includes(privacyGroupId));
  assert.ok(ids(await a.groups.find([keys[1], keys[0]], { exact: true })).includes(privacyGroupId));
  const alone = await a.groups.create({ participants: [] });
  assert.deepEqual(alone.participants, [keys[0]]);
  assert.ok(ids(await a.groups.find([keys[0]], { exact: true })).includes(alone.privacyGroupId));
});

test("a group's id is known before anything is sent, and is used once", async () => {
  const [a, b] = [network.client(0), network.client(1)];
  const keys = network.members.map(({ enclaveKey }) => sdk.enclaveKey(enclaveKey));
  const prepared = a.groups.prepareCreate({ participants: [keys[1]] });
  assert.deepEqual(prepared.participants, [keys[0], keys[1]]);
  const { privacyGroupId } = await a.groups.create(prepared);
  assert.equal(privacyGroupId, prepared.privacyGroupId);
  const again = { participants: [keys[0], keys[1]], privacyGroupId };
  await assert.rejects(a.groups.create(again), (error) => error instanceof sdk.GroupExistsError && error.rpcCode === undefined);
  await assert.rejects(a.groups.create({ ...again, skipExistsCheck: true }), (error) =>
    error instanceof sdk.GroupExistsError && error.rpcCode === -50100 && error.privacyGroupId === privacyGroupId);
  await eventually("B has the group", () => b.groups.participants({ privacyGroupId }));
});

test("a locked group runs management calls only, and says so", async () => {
  const { a, privacyGroupId, address } = await cast();
  await a.groups.lock({ privacyGroupId });
  assert.equal(await a.groups.isLocked({ privacyGroupId }), true);
  await assert.rejects(a.execute({ privacyGroupId, to: address, data: store(1) }), (error) =>
    error instanceof sdk.GroupLockedError && error.groupId === privacyGroupId && error.receipt.reason === "locked");
  await assert.rejects(a.groups.lock({ privacyGroupId }), (error) => error instanceof sdk.GroupLockedError && error.code === "GROUP_LOCKED");
  await a.groups.unlock({ privacyGroupId });
  await assert.rejects(a.groups.unlock({ privacyGroupId }), (error) => error instanceof sdk.GroupLockedError && error.code === "GROUP_NOT_LOCKED");
  assert.equal((await a.execute({ privacyGroupId, to: address, data: store(2) })).reason, "executed");
});

test("an addition that fails unlocks the group, and one that stopped half-way is taken up", async () => {
  const { a, c, keys, privacyGroupId } = await cast();
  const stranger = sdk.enclaveKey(new Uint8Array(32).fill(5));
  await assert.rejects(a.groups.add({ privacyGroupId, participants: [stranger] }), (error) => {
    assert.ok(error instanceof sdk.AddMembersError);
    assert.ok(error.cause instanceof sdk.RecipientUnknownError, String(error.cause));
    assert.equal(error.cause.enclaveKey, stranger);
    assert.equal(error.unlocked, true);
    return true;
  });
  assert.equal(await a.groups.isLocked({ privacyGroupId }), false);

  await a.groups.lock({ privacyGroupId });
  await assert.rejects(a.groups.add({ privacyGroupId, participants: [stranger] }), (error) => error.unlocked === false);
  assert.equal(await a.groups.isLocked({ privacyGroupId }), true);
  const steps = [];
  const { receipt } = await a.groups.add({ privacyGroupId, participants: [keys[2]], onProgress: ({ step, state }) => steps.push(`${step} ${state}`) });
  assert.equal(steps[0], "lock skipped");
  assert.equal(await a.groups.isLocked({ privacyGroupId }), false);
  assert.equal((await c.waitForReceipt(receipt.transactionHash)).status, "success");
});

test("an addition whose outcome is open leaves the lock, and is taken up when it is called again", async () => {
  const { a, keys, privacyGroupId } = await cast();
  const request = { privacyGroupId, participants: [keys[2]] };
  const stopped = (kind) => (error) => {
    assert.ok(error instanceof sdk.AddMembersError && error.cause instanceof kind, error.stack);
    assert.equal(error.unlocked, false);
    return true;
  };
  const controller = new AbortController();
  const abort = ({ step }) => step === "add" && controller.abort();
  await assert.rejects(a.groups.add({ ...request, signal: controller.signal, onProgress: abort }), stopped(sdk.AbortError));
  assert.equal(await a.groups.isLocked({ privacyGroupId }), true);

  await network.chain.rpc("evm_setAutomine", false);
  try {
    await assert.rejects(a.groups.add({ ...request, timeout: 100 }), stopped(sdk.ReceiptTimeoutError));
    await network.chain.mine();
  } finally {
    await network.chain.rpc("evm_setAutomine", true);
  }
  await eventually("the addition is executed", async () => !(await a.groups.isLocked({ privacyGroupId })));
  assert.deepEqual(await a.groups.add(request), { added: [], receipt: null });
});

test("a progress callback that throws does not keep the group locked", async () => {
  const { a, keys, privacyGroupId } = await cast();
  const onProgress = ({ step }) => { if (step === "add") throw new Error("the page is gone"); };
  await assert.rejects(a.groups.add({ privacyGroupId, participants: [keys[2]], onProgress }), (error) =>
    error instanceof sdk.AddMembersError && error.unlocked && error.cause.message === "the page is gone");
  assert.equal(await a.groups.isLocked({ privacyGroupId }), false);
});

test("sends after one that failed are valid again, also when nobody waited", async () => {
  const { a, privacyGroupId, address } = await cast();
  const failing = await a.sendTransaction({ privacyGroupId, data: "0xfe" });
  await eventually("it has failed", async () => (await network.client(0).getReceipt(failing))?.status === "reverted");
  await eventually("the queue has noticed", async () => {
    const hash = await a.sendTransaction({ privacyGroupId, to: address, data: store(1) });
    return (await eventually("it is executed", () => network.client(0).getReceipt(hash))).status === "success";
  });
});

test("the ownership is handed over in two steps", async () => {
  const { a, keys, privacyGroupId } = await cast();
  const next = network.client(1, 1);
  const newOwner = sdk.accountAddress(network.keys[1]);
  await eventually("the other member has the group", () => next.groups.participants({ privacyGroupId }));
  await assert.rejects(next.groups.lock({ privacyGroupId }), sdk.NotTheOwnerError);
  await assert.rejects(next.groups.acceptOwnership({ privacyGroupId }), sdk.NotTheOwnerError);
  await a.groups.transferOwnership({ privacyGroupId, newOwner });
  await next.groups.acceptOwnership({ privacyGroupId });
  assert.equal((await next.groups.owner({ privacyGroupId })).toLowerCase(), newOwner.toLowerCase());
  await next.groups.remove({ privacyGroupId, participant: keys[0] });
  assert.deepEqual(await next.groups.participants({ privacyGroupId }), [keys[1]]);
});

test("a payload is distributed, and its marker sent by oneself", async () => {
  const { a, b, privacyGroupId, address } = await cast();
  const key = await a.distributeTransaction({ privacyGroupId, to: address, data: store(99) });
  assert.match(key, /^0x[0-9a-f]{64}$/);
  const hash = await a.sendMarker(key, { privacyGroupId });
  assert.equal((await b.waitForReceipt(hash)).reason, "executed");
  assert.equal(await b.call({ privacyGroupId, to: address, data: VALUE }), word(99));

  // Somebody else's marker of it is without effect, and says whose decided.
  const stolen = await network.client(0, 2).sendMarker(key, { gasPrice: 10n ** 10n });
  const copied = await b.waitForReceipt(stolen);
  assert.equal(copied.reason, "copied");
  assert.equal(copied.decidedBy, hash);
  assert.equal(copied.outcome, "executed");

  // What A counts depends on what it has followed.
  await a.waitForReceipt(stolen);
  const raw = sdk.signPrivateTransaction(
    { nonce: await a.getTransactionCount({ privacyGroupId }), chainId: network.chain.chainId, privateFrom: sdk.enclaveKey(network.members[0].enclaveKey), privacyGroupId, to: address, data: store(100) },
    network.keys[0],
  );
  const open = await a.distributeRawTransaction(raw);
  const marked = await network.client(0, 2).sendMarker(open);
  assert.equal((await b.waitForReceipt(marked)).reason, "executed");
});

test("a raw transaction is sent as it is", async () => {
  const { a, privacyGroupId, address } = await cast();
  const raw = sdk.signPrivateTransaction(
    { nonce: 2, chainId: network.chain.chainId, privateFrom: sdk.enclaveKey(network.members[0].enclaveKey), privacyGroupId, to: address, data: store(5) },
    network.keys[0],
  );
  assert.equal((await a.waitForReceipt(await a.sendRawTransaction(raw))).reason, "executed");
  await assert.rejects(a.sendRawTransaction(raw), sdk.NonceTooLowError);
  const wrongChain = sdk.signPrivateTransaction({ ...sdk.parsePrivateTransaction(raw), chainId: 1n }, network.keys[0]);
  await assert.rejects(a.sendRawTransaction(wrongChain), (error) => error instanceof sdk.InvalidTransactionError && error.code === "WRONG_CHAIN_ID");
  await assert.rejects(a.sendRawTransaction("0xc0"), sdk.DecodeError);
});

test("calls and transactions that revert tell why", async () => {
  const { a, privacyGroupId } = await cast();
  const { address } = await a.deployContract({ privacyGroupId, data: Reverter.bytecode });
  const reason = "Not today.";
  const data = `0x${Reverter.selectors["withReason(string)"].replace("0x", "")}${word(32).slice(2)}${word(reason.length).slice(2)}${Buffer.from(reason.padEnd(32, "\0")).toString("hex")}`;
  await assert.rejects(a.call({ privacyGroupId, to: address, data }), (error) => {
    assert.ok(error instanceof sdk.CallRevertedError);
    assert.deepEqual(error.revert, { kind: "error", reason });
    assert.match(error.message, /Not today\./);
    return true;
  });
  await assert.rejects(a.execute({ privacyGroupId, to: address, data }), (error) => {
    assert.ok(error instanceof sdk.TransactionRevertedError);
    assert.equal(error.reason, "reverted");
    assert.equal(error.status, "reverted");
    assert.deepEqual(error.revert, { kind: "error", reason });
    return true;
  });
  await assert.rejects(a.call({ privacyGroupId, to: address, data: "0x12345678" }), (error) =>
    error instanceof sdk.CallRevertedError && error.revertData === "0x");
});

test("what is refused has a class", async () => {
  const { a, b, c, keys, privacyGroupId, address } = await cast();
  const unknown = sdk.randomGroupId();
  await assert.rejects(a.sendTransaction({ privacyGroupId: unknown, to: address, data: "0x00" }), sdk.GroupNotFoundError);
  await assert.rejects(c.sendTransaction({ privacyGroupId, to: address, data: "0x00" }), sdk.GroupNotFoundError);
  await assert.rejects(a.groups.participants({ privacyGroupId: unknown }), sdk.GroupNotFoundError);
  await assert.rejects(a.sendTransaction({ privacyGroupId, to: address, data: "0x00", privateFrom: keys[1] }), sdk.PrivacyError);
  await assert.rejects(a.distributeTransaction({ privacyGroupId, to: address, data: "0x00", privateFrom: keys[1] }), sdk.EnclaveKeyMismatchError);
  await assert.rejects(a.sendTransaction({ privateFor: [keys[1]], to: address, data: "0x00" }), (error) =>
    error instanceof sdk.InvalidTransactionError && error.code === "MISSING_GROUP_ID");
  await assert.rejects(a.sendTransaction({ privacyGroupId, to: address, data: "0x00", gas: 1n }), (error) =>
    error instanceof sdk.MarkerRefusedError && error.code === "MARKER_INTRINSIC_GAS");
  await assert.rejects(a.getStateRoot({ privacyGroupId: unknown }), sdk.GroupNotFoundError);
  await assert.rejects(b.getReceipt(word(1)).then((receipt) => assert.equal(receipt, null) ?? b.getReceipt("0x12")), sdk.InvalidInputError);
  const node = sdk.createRpc(network.members[0].url);
  await assert.rejects(node.rpc("priv_createPrivacyGroup", [{ addresses: [] }]), sdk.MethodDisabledError);
  await assert.rejects(node.rpc("priv_nothing", []), sdk.MethodDisabledError);
  await assert.rejects(node.rpc("priv_getLogs", [privacyGroupId, 1]), sdk.InvalidParamsError);
  const many = Array.from({ length: 300 }, (_, index) => sdk.enclaveKey(Uint8Array.from({ length: 32 }, (__, at) => (at === 0 ? index & 255 : at === 1 ? index >> 8 : 7))));
  await assert.rejects(a.groups.create({ participants: many }), sdk.TooManyMembersError);
});

test("a receipt that does not come carries hash and group", async () => {
  const { a, privacyGroupId, address } = await cast();
  await network.chain.rpc("evm_setAutomine", false);
  try {
    const hash = await a.sendTransaction({ privacyGroupId, to: address, data: store(1) });
    await assert.rejects(a.waitForReceipt(hash, { timeout: 100 }), (error) => {
      assert.ok(error instanceof sdk.ReceiptTimeoutError);
      assert.equal(error.hash, hash);
      assert.equal(error.groupId, privacyGroupId);
      assert.equal(error.mined, false);
      return true;
    });
    const controller = new AbortController();
    const aborted = a.waitForReceipt(hash, { signal: controller.signal, onProgress: () => controller.abort() });
    await assert.rejects(aborted, sdk.AbortError);
    const waiting = a.waitForReceipt(hash);
    await network.chain.mine();
    assert.equal((await waiting).reason, "executed");
  } finally {
    await network.chain.rpc("evm_setAutomine", true);
  }
});

test("logs are watched as they come", async () => {
  const { a, b, privacyGroupId, address } = await cast();
  const controller = new AbortController();
  const seen = [];
  const watching = (async () => {
    for await (const log of b.watchLogs({ privacyGroupId, address, fromBlock: "earliest" }, { signal: controller.signal, interval: 5 })) {
      seen.push(Number(BigInt(`0x${log.data.slice(-64)}`)));
      if (seen.length === 30) controller.abort();
    }
  })();
  const numbers = Array.from({ length: 30 }, (_, index) => index);
  await Promise.all(numbers.map((number) => a.sendTransaction({ privacyGroupId, to: address, data: store(number) })));
  await watching;
  assert.deepEqual(seen, numbers);
});

test("other providers reach the node as well", async () => {
  const { a, privacyGroupId, address } = await cast();
  const { url, enclaveKey } = network.members[0];
  const request = ({ method, params = [] }) => rpc(url, method, ...params);
  const signer = sdk.privateKeySigner(network.keys[3]);
  for (const transport of [request, { request }]) {
    const client = sdk.createPrivacyClient({ transport, enclaveKey, signer, polling: POLLING });
    const receipt = await client.execute({ privacyGroupId, to: address, data: store(3) });
    assert.equal(receipt.from.toLowerCase(), signer.address.toLowerCase());
    await assert.rejects(client.getStateRoot({ privacyGroupId: sdk.randomGroupId() }), sdk.GroupNotFoundError);
  }
  assert.equal(await a.call({ privacyGroupId, to: address, data: VALUE }), word(3));
});
