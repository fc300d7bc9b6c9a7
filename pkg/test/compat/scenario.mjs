// What programs do with web3js-quorum, written once and run with each client. Everything that a
// client gives is kept under a name.

import { EventEmitter, MANAGEMENT, Reverter } from "../../../tests/js/lib/contracts.mjs";
import { eventually } from "../../../tests/js/lib/wait.mjs";

/** The group that most of it is about. */
export const GROUP = "DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w=";

/** Runs it on a network of its own; gives all results by name. */
export async function run({ connect }, network) {
  const results = {};
  const keep = (name, value) => {
    results[name] = structuredClone(value === undefined ? "undefined" : value);
    return value;
  };
  /** An error's texts; classes and codes are new. */
  const refused = async (name, action) => {
    const error = await action().then(
      (value) => new Error(`gave ${JSON.stringify(value)}`),
      (failure) => failure,
    );
    keep(name, { message: error.message, data: error.data ?? null });
  };

  const [one, two, three] = network.members.map(({ url, enclaveKey }, i) => ({
    web3: connect(url),
    enclaveKey,
    signer: { enclaveKey, privateFrom: enclaveKey, privateKey: network.accounts[i].bareKey },
  }));
  const { priv, utils } = one.web3;
  const groups = one.web3.eth.flexiblePrivacyGroup;
  const { address } = network.accounts[0];
  const pair = [one.enclaveKey, two.enclaveKey];
  const found = (party, keys, count) =>
    eventually("the group is found", async () => {
      const all = await party.web3.eth.flexiblePrivacyGroup.find(keys);
      return all.some(({ members }) => members.length === count) ? all : undefined;
    });

  keep("generatePrivacyGroup", utils.generatePrivacyGroup({ privateFrom: pair[0], privateFor: [pair[1]] }));
  keep("generatePrivacyGroup of one", utils.generatePrivacyGroup({ privateFrom: pair[0] }));
  keep("generatePrivacyGroup of a list", utils.generatePrivacyGroup({ privateFrom: pair }));
  keep("no groups", await groups.find(pair));
  keep("isQuorum", one.web3.isQuorum);
  keep("subscriptionPollingInterval", priv.subscriptionPollingInterval);

  // A group, and who is in it.
  const created = keep("create", await groups.create({ ...one.signer, participants: pair, privacyGroupId: GROUP }));
  keep("create, waited for", await two.web3.priv.waitForTransactionReceipt(created.commitmentHash, 300, 20));
  keep("find", await found(two, pair, 2));
  keep("getParticipants", await groups.getParticipants({ privacyGroupId: GROUP }));
  const other = keep("create without id", await groups.create({ ...one.signer, participants: [one.enclaveKey] }));
  keep("length of the id", Buffer.from(other.privacyGroupId, "base64").length);
  keep("addTo", await groups.addTo({ ...one.signer, privacyGroupId: GROUP, participants: [three.enclaveKey] }));
  keep("find three", await found(two, [...pair, three.enclaveKey], 3));
  keep("getParticipants of three", await groups.getParticipants({ privacyGroupId: GROUP }));
  keep("lock", await groups.setLockState({ ...one.signer, privacyGroupId: GROUP, lock: true }));
  keep("locked twice", await groups.setLockState({ ...one.signer, privacyGroupId: GROUP, lock: true }));
  keep("unlock", await groups.setLockState({ ...one.signer, privacyGroupId: GROUP, lock: false }));
  keep("removeFrom", await groups.removeFrom({ ...one.signer, privacyGroupId: GROUP, participant: three.enclaveKey }));
  keep("find two again", await found(two, pair, 2));

  // A contract.
  const send = async (party, transaction) => {
    const hash = await party.web3.priv.generateAndSendRawTransaction({
      ...party.signer,
      privacyGroupId: GROUP,
      ...transaction,
    });
    return party.web3.priv.waitForTransactionReceipt(hash, 300, 20);
  };
  const deployed = keep("deploy", await send(one, { data: EventEmitter.creation() }));
  const to = deployed.contractAddress;
  const stored = keep("store", await send(two, { to, data: EventEmitter.data("store", 1000) }));
  await one.web3.priv.waitForTransactionReceipt(stored.commitmentHash, 300, 20);
  const priced = { to, data: EventEmitter.data("store", 42), gasPrice: 1000, gasLimit: 100_000, restriction: "restricted" };
  const again = keep("store with options", await send(one, priced));
  const reverter = await send(one, { data: Reverter.creation() });
  keep("reverted", await send(one, { to: reverter.contractAddress, data: Reverter.data("withReason", "no") }));

  // Reading.
  const value = { to, data: EventEmitter.data("value") };
  keep("call", await priv.call(GROUP, value));
  keep("call at latest", await priv.call(GROUP, value, "latest"));
  keep("call at a number", await priv.call(GROUP, value, Number(stored.blockNumber)));
  keep("call at hex", await priv.call(GROUP, value, stored.blockNumber));
  keep("call at genesis", await priv.call(GROUP, value, "genesis"));
  keep("call without a contract", await priv.call(GROUP, { to: address, data: "0x" }));
  keep("call far ahead", await priv.call(GROUP, value, 1_000_000).catch(({ message }) => message));
  keep("getTransactionCount", await priv.getTransactionCount(address, GROUP));
  keep("getTransactionCount of nobody", await priv.getTransactionCount(MANAGEMENT, GROUP));
  keep("getEeaTransactionCount", await priv.getEeaTransactionCount(address, pair[0], [pair[1]]));
  keep("getTransactionReceipt", await priv.getTransactionReceipt(stored.commitmentHash));
  keep("getTransactionReceipt of nothing", await priv.getTransactionReceipt(`0x${"12".repeat(32)}`));
  keep("getPrivateTransaction", await priv.getPrivateTransaction(stored.commitmentHash));
  keep("getPrivateTransaction of an outsider", await three.web3.priv.getPrivateTransaction(again.commitmentHash));
  keep("outsider's receipt", await three.web3.priv.waitForTransactionReceipt(again.commitmentHash, 300, 20));
  keep("getPrivacyPrecompileAddress", await priv.getPrivacyPrecompileAddress());
  keep("getCode", await priv.getCode(GROUP, to, "latest"));
  keep("getCode of nothing", await priv.getCode(GROUP, MANAGEMENT.replace("7c", "99"), "latest"));
  keep("debugGetStateRoot", await priv.debugGetStateRoot(GROUP, Number(stored.blockNumber)));
  keep("getLogs", await priv.getLogs(GROUP, { fromBlock: Number(created.blockNumber) }));
  keep("getLogs of a contract", await priv.getLogs(GROUP, { address: to, fromBlock: stored.blockNumber, toBlock: "latest" }));
  keep("getLogs by topic", await priv.getLogs(GROUP, { topics: [stored.logs[0].topics[0]] }));
  keep("getLogs of nothing", await priv.getLogs(GROUP, { address: MANAGEMENT.replace("7c", "99") }));

  // A marker of one's own.
  const nonce = await priv.getTransactionCount(address, GROUP);
  const distributed = await priv.generateAndDistributeRawTransaction({
    ...one.signer,
    privacyGroupId: GROUP,
    nonce,
    ...value,
  });
  keep("length of what was distributed", distributed.length);

  // With a callback.
  const called = await new Promise((resolve) => {
    priv.getTransactionCount(address, GROUP, (error, count) => resolve({ error, count }));
  });
  keep("callback", called);
  const failed = await new Promise((resolve) => {
    priv.getCode(GROUP, "nowhere", "latest", (error) => resolve(error.message));
  });
  keep("callback with an error", failed);

  // What is refused.
  await refused("off-chain group", () => priv.createPrivacyGroup({ addresses: pair }));
  await refused("off-chain find", () => priv.findPrivacyGroup(pair));
  await refused("off-chain delete", () => priv.deletePrivacyGroup(GROUP));
  await refused("bad hash", () => priv.getPrivateTransaction("0x12"));
  await refused("no parameter", async () => priv.getPrivateTransaction());
  await refused("too many parameters", async () => priv.getCode(GROUP, to, "latest", 1));
  await refused("revert", () => priv.call(GROUP, { to: reverter.contractAddress, data: Reverter.data("withReason", "no") }));
  await refused("halt", () => priv.call(GROUP, { to: reverter.contractAddress, data: "0x12345678" }));
  await refused("bad raw", () => priv.sendRawTransaction("0x12"));
  await refused("both audiences", () =>
    priv.generateAndSendRawTransaction({ ...one.signer, privacyGroupId: GROUP, privateFor: pair }),
  );
  const unknown = Buffer.alloc(32, 7).toString("base64");
  await refused("unknown group", () => priv.generateAndSendRawTransaction({ ...one.signer, privacyGroupId: unknown, data: "0x" }));
  await refused("another's key", () =>
    priv.generateAndSendRawTransaction({ ...one.signer, privateFrom: two.enclaveKey, privacyGroupId: GROUP, data: "0x" }),
  );
  await refused("privateFor", () => priv.generateAndSendRawTransaction({ ...one.signer, privateFor: [pair[1]], data: "0x" }));
  await refused("never mined", () => priv.waitForTransactionReceipt(`0x${"12".repeat(32)}`, 2, 10));
  await refused("never mined, without delay", () => priv.waitForTransactionReceipt(`0x${"12".repeat(32)}`, 2, 0));
  return results;
}
