// What goes over the wire for every method of web3js-quorum's Besu mode, from both clients.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { Web3, alone, old, ours } from "./clients.mjs";
import { startScripted } from "./proxy.mjs";
import { alice, keys } from "./vectors.mjs";

const HASH = `0x${"ab".repeat(32)}`;
const TO = `0x${"cd".repeat(20)}`;
const LOG = {
  address: TO,
  topics: [HASH],
  data: "0x01",
  blockHash: HASH,
  blockNumber: "0x11",
  transactionHash: HASH,
  transactionIndex: "0x1",
  logIndex: "0x2",
  removed: false,
};
const MEMBERS = `0x${[32, 1].map((n) => n.toString(16).padStart(64, "0")).join("")}${"11".repeat(32)}`;
const FILTER_ID = "0x9";

/** A node that knows nothing but answers in the right shapes. */
function node() {
  let sent = 0;
  const receipt = { status: "0x1", commitmentHash: HASH, logs: [], blockNumber: "0x11" };
  const send = () => {
    sent += 1;
    return HASH;
  };
  return startScripted({
    eth_chainId: "0x539",
    eth_blockNumber: "0x11",
    eth_getTransactionReceipt: receipt,
    eea_sendRawTransaction: send,
    priv_distributeRawTransaction: send,
    priv_getTransactionCount: () => `0x${(9 + sent).toString(16)}`,
    priv_getTransactionReceipt: receipt,
    priv_call: MEMBERS,
    priv_debugGetStateRoot: HASH,
    priv_getEeaTransactionCount: "0x3",
    priv_getPrivateTransaction: { from: TO },
    priv_getPrivacyPrecompileAddress: TO,
    priv_getCode: "0x60",
    priv_createPrivacyGroup: keys[0],
    priv_deletePrivacyGroup: keys[0],
    priv_findPrivacyGroup: [],
    privx_findFlexiblePrivacyGroup: [],
    priv_getLogs: [LOG],
    priv_newFilter: FILTER_ID,
    priv_getFilterChanges: [],
    priv_getFilterLogs: [LOG],
    priv_uninstallFilter: true,
    priv_subscribe: "0x1",
    priv_unsubscribe: true,
  });
}

const signer = { privateKey: alice, privateFrom: keys[0], enclaveKey: keys[0] };
const group = (web3) => web3.eth.flexiblePrivacyGroup;

/** Every method, as `action(web3, id)`, with a fresh id for a group or a key. */
const METHODS = {
  "priv.call": ({ priv }, id) => priv.call(id, { to: TO, data: "0x01" }, 11),
  "priv.call without block": ({ priv }, id) => priv.call(id, { to: TO, data: "0x01" }),
  "priv.call at a decimal": ({ priv }, id) => priv.call(id, { to: TO }, "11"),
  "priv.call at a BN": ({ priv }, id) => priv.call(id, { to: TO }, Web3.utils.toBN(11)),
  "priv.call at HEX": ({ priv }, id) => priv.call(id, { to: TO }, "0xAB"),
  "priv.call without anything": ({ priv }) => priv.call(),
  "priv.debugGetStateRoot": ({ priv }, id) => priv.debugGetStateRoot(id, 11),
  "priv.distributeRawTransaction": ({ priv }) => priv.distributeRawTransaction("f8"),
  "priv.sendRawTransaction": ({ priv }) => priv.sendRawTransaction("0xf8"),
  "priv.getEeaTransactionCount": ({ priv }) => priv.getEeaTransactionCount(TO, keys[0], [keys[1]]),
  "priv.getTransactionCount": ({ priv }, id) => priv.getTransactionCount(TO, id),
  "priv.getTransactionReceipt": ({ priv }) => priv.getTransactionReceipt(HASH),
  "priv.getPrivateTransaction": ({ priv }) => priv.getPrivateTransaction(HASH),
  "priv.getPrivacyPrecompileAddress": ({ priv }) => priv.getPrivacyPrecompileAddress(),
  "priv.getCode": ({ priv }, id) => priv.getCode(id, TO, 11),
  "priv.createPrivacyGroup": ({ priv }) => priv.createPrivacyGroup({ addresses: [keys[0]], name: "n" }),
  "priv.deletePrivacyGroup": ({ priv }, id) => priv.deletePrivacyGroup(id),
  "priv.findPrivacyGroup": ({ priv }) => priv.findPrivacyGroup([keys[0]]),
  "priv.getLogs": ({ priv }, id) => priv.getLogs(id, { fromBlock: 17, address: TO }),
  "priv.newFilter": ({ priv }, id) => priv.newFilter(id, { fromBlock: 17 }),
  "priv.getFilterChanges": ({ priv }, id) => priv.getFilterChanges(id, FILTER_ID),
  "priv.getFilterLogs": ({ priv }, id) => priv.getFilterLogs(id, FILTER_ID),
  "priv.uninstallFilter": ({ priv }, id) => priv.uninstallFilter(id, FILTER_ID),
  "priv.subscribe": ({ priv }, id) => priv.subscribe(id, "logs", { address: TO }),
  "priv.unsubscribe": ({ priv }, id) => priv.unsubscribe(id, "0x1"),
  "priv.waitForTransactionReceipt": ({ priv }) => priv.waitForTransactionReceipt(HASH),
  "priv.generateAndSendRawTransaction in a group": ({ priv }, privacyGroupId) =>
    priv.generateAndSendRawTransaction({ ...signer, privacyGroupId, to: TO, data: "0x0102" }),
  "priv.generateAndSendRawTransaction for keys": ({ priv }, key) =>
    priv.generateAndSendRawTransaction({ ...signer, privateFor: [key, keys[2]], data: "0x0102" }),
  "priv.generateAndSendRawTransaction with everything": ({ priv }, privacyGroupId) =>
    priv.generateAndSendRawTransaction({
      ...signer,
      privacyGroupId,
      to: TO,
      data: "0x0102",
      nonce: 5,
      gasLimit: 0x1fffff,
      gasPrice: "0x3e8",
      restriction: "restricted",
    }),
  "priv.generateAndDistributeRawTransaction": ({ priv }, privacyGroupId) =>
    priv.generateAndDistributeRawTransaction({ ...signer, privacyGroupId, to: TO, data: "0x0102" }),
  "flexiblePrivacyGroup.find": (web3) => group(web3).find([keys[0], keys[1]]),
  "flexiblePrivacyGroup.getParticipants": (web3, privacyGroupId) => group(web3).getParticipants({ privacyGroupId }),
  "flexiblePrivacyGroup.create": (web3, privacyGroupId) =>
    group(web3).create({ ...signer, privacyGroupId, participants: [keys[0], keys[1]] }),
  "flexiblePrivacyGroup.removeFrom": (web3, privacyGroupId) =>
    group(web3).removeFrom({ ...signer, privacyGroupId, participant: keys[1] }),
  "flexiblePrivacyGroup.setLockState, locking": (web3, privacyGroupId) =>
    group(web3).setLockState({ ...signer, privacyGroupId, lock: true }),
  "flexiblePrivacyGroup.setLockState, unlocking": (web3, privacyGroupId) =>
    group(web3).setLockState({ ...signer, privacyGroupId }),
  "flexiblePrivacyGroup.addTo": (web3, privacyGroupId) =>
    group(web3).addTo({ ...signer, privacyGroupId, participants: [keys[2]] }),
};

/** What a client sends for a method, and what it gives for it. */
async function observe(client, action, id) {
  const server = await node();
  try {
    const result = await action(client.connect(server.url), id);
    return { requests: server.requests, result };
  } finally {
    await server.stop();
  }
}

/** The two deliberate differences: signed bytes have 0x, and a nonce that is known is not asked for. */
function expected(requests) {
  const asked = new Set();
  return requests
    .map(({ method, params }) => {
      const raw = method === "eea_sendRawTransaction" || method === "priv_distributeRawTransaction";
      const signed = raw && params[0].length > 10;
      return { method, params: signed ? [`0x${params[0]}`] : params };
    })
    .filter((request) => {
      if (request.method !== "priv_getTransactionCount") return true;
      const key = JSON.stringify(request);
      return !asked.has(key) && asked.add(key);
    });
}

for (const [name, action] of Object.entries(METHODS)) {
  test(`${name} is on the wire as web3js-quorum's`, async (context) => {
    // What the node counts is relied on for a second.
    context.mock.timers.enable({ apis: ["Date"], now: Date.now() });
    for (const client of [ours, alone]) {
      const id = randomBytes(32).toString("base64");
      const theirs = await observe(old, action, id);
      const mine = await observe(client, action, id);
      assert.deepEqual(mine.requests, expected(theirs.requests), client.name);
      assert.deepEqual(mine.result, theirs.result, client.name);
      assert.ok(theirs.requests.length > 0);
    }
  });
}

test("every method of web3js-quorum's Besu mode is there and compared", () => {
  const theirs = old.connect("http://127.0.0.1:1");
  const covered = new Set(Object.keys(METHODS).map((name) => name.split(/[ ,]/)[0]));
  covered.add("priv.subscribeWithPooling");
  for (const client of [ours, alone]) {
    const mine = client.connect("http://127.0.0.1:1");
    for (const name of Object.keys(theirs.priv)) {
      assert.equal(typeof mine.priv[name], typeof theirs.priv[name], `${client.name}: priv.${name}`);
      if (name !== "subscriptionPollingInterval") assert.ok(covered.has(`priv.${name}`), name);
    }
    for (const name of Object.keys(group(theirs))) {
      assert.equal(typeof group(mine)[name], "function", `${client.name}: ${name}`);
      assert.ok(covered.has(`flexiblePrivacyGroup.${name}`), name);
    }
    for (const namespace of ["ptm", "raft", "istanbul", "permission"]) {
      assert.deepEqual(Object.keys(mine[namespace]).sort(), Object.keys(theirs[namespace]).sort(), namespace);
    }
  }
});

test("a subscription over HTTP asks for what web3js-quorum asks for", async () => {
  const id = randomBytes(32).toString("base64");
  const filter = { address: TO, fromBlock: 17 };
  const methods = ["priv_newFilter", "priv_getFilterChanges", "priv_getFilterLogs", "priv_uninstallFilter"];
  const seen = [];
  for (const client of [old, ours, alone]) {
    const server = await node();
    const { priv } = client.connect(server.url);
    // One poll: web3js-quorum may go on after `unsubscribe`, and then fails where nobody can see it.
    priv.subscriptionPollingInterval = 60_000;
    const logs = [];
    let told;
    const subscription = await priv.subscribeWithPooling(id, filter, (...args) => (told = args));
    subscription.on("data", (log) => logs.push(log));
    await eventually(`${client.name} has logs`, () => logs.length > 0 && server.requests.length >= 3);
    assert.equal(await subscription.unsubscribe(), FILTER_ID);
    assert.deepEqual(told, [undefined, FILTER_ID]);
    await server.stop();
    const first = methods.map((method) => server.requests.find((request) => request.method === method));
    seen.push({ first, log: logs[0], others: server.requests.filter(({ method }) => !methods.includes(method)) });
  }
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[2], seen[0]);
});

test("methods can be put into a batch of web3", async () => {
  for (const client of [old, ours]) {
    const server = await node();
    const web3 = client.connect(server.url);
    const batch = new web3.BatchRequest();
    const count = new Promise((resolve, reject) => {
      const callback = (error, result) => (error ? reject(error) : resolve(result));
      batch.add(web3.priv.getTransactionCount.request(TO, keys[0], callback));
    });
    batch.execute();
    assert.equal(await count, 9, client.name);
    await server.stop();
  }
});
