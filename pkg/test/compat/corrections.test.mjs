// Where web3js-quorum is wrong and this entry is not. MIGRATION.md lists the same things.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";

import { Compat, Web3, old } from "./clients.mjs";
import { Refusal, startScripted } from "./proxy.mjs";
import { alice, aliceAddress, keys } from "./vectors.mjs";

const HASH = `0x${"ab".repeat(32)}`;
const SUCCESS = { status: "0x1", commitmentHash: HASH, logs: [] };
const signer = { privateKey: alice, privateFrom: keys[0], enclaveKey: keys[0] };
const randomGroup = () => randomBytes(32).toString("base64");

/** A client of a scripted node, for as long as `use` runs. */
async function withNode(table, use, options) {
  const node = await startScripted({
    eth_chainId: "0x539",
    eth_getTransactionReceipt: {},
    eea_sendRawTransaction: HASH,
    priv_distributeRawTransaction: HASH,
    priv_getTransactionCount: "0x9",
    priv_getTransactionReceipt: SUCCESS,
    ...table,
  });
  try {
    return await use(new Compat(node.url, options), node);
  } finally {
    await node.stop();
  }
}

const sentTo = (node) =>
  node.requests.filter(({ method }) => method === "eea_sendRawTransaction").map(({ params }) => sdk.parsePrivateTransaction(params[0]));

const rejects = async (promise, name, message) => {
  const error = await promise.then(
    (value) => assert.fail(`gave ${JSON.stringify(value)}`),
    (failure) => failure,
  );
  assert.equal(error.name, name, error.stack);
  assert.equal(typeof error.code, "string");
  if (message) assert.match(error.message, message);
  return error;
};

test("members are encoded as current nodes expect it, or as older ones do", async () => {
  for (const [options, selector] of [[{}, "0x965a25ef"], [{ groupAbi: "bytes32" }, "0xb4926e25"]]) {
    await withNode({}, async (web3, node) => {
      await web3.eth.flexiblePrivacyGroup.create({ ...signer, participants: [keys[0], keys[1]] });
      assert.equal(sentTo(node)[0].data.slice(0, 10), selector);
    }, options);
  }
});

test("getParticipants reads both encodings", async () => {
  const bytes32 = sdk.addParticipantsData([keys[0]], "bytes32");
  const bytes = sdk.addParticipantsData([keys[0]], "bytes");
  for (const data of [bytes32, bytes]) {
    await withNode({ priv_call: `0x${data.slice(10)}` }, async (web3) => {
      const privacyGroupId = randomGroup();
      assert.deepEqual(await web3.eth.flexiblePrivacyGroup.getParticipants({ privacyGroupId }), [keys[0]]);
    });
  }
});

test("nonce 0 is signed, in every spelling of a number", async () => {
  const nonces = [[0, 0n], ["0x0", 0n], ["7", 7n], ["1234", 1234n], [12n, 12n], [Web3.utils.toBN(5), 5n]];
  await withNode({}, async ({ priv }, node) => {
    for (const [nonce] of nonces) {
      await priv.generateAndSendRawTransaction({ ...signer, privacyGroupId: randomGroup(), nonce });
    }
    assert.deepEqual(sentTo(node).map(({ nonce }) => nonce), nonces.map(([, value]) => value));
    assert.ok(node.requests.every(({ method }) => method !== "priv_getTransactionCount"));
  });
});

test("transactions that are sent at the same time have different nonces", async () => {
  await withNode({}, async ({ priv }, node) => {
    const privacyGroupId = randomGroup();
    await Promise.all([1, 2, 3].map(() => priv.generateAndSendRawTransaction({ ...signer, privacyGroupId })));
    assert.deepEqual(sentTo(node).map(({ nonce }) => nonce), [9n, 10n, 11n]);
  });
});

/** A node that counts `counted` transactions, gives each send a marker of its own, and knows which failed. */
function counting(privacyGroupId) {
  const state = { counted: 9, failed: new Set(), markers: [] };
  const receipt = (marker) => ({ ...SUCCESS, from: aliceAddress, privacyGroupId, ...(state.failed.has(marker) && { status: "0x0" }) });
  const table = {
    eea_sendRawTransaction: () => {
      state.markers.push(`0x${(state.markers.length + 1).toString(16).padStart(64, "0")}`);
      return state.markers.at(-1);
    },
    priv_getTransactionCount: () => `0x${state.counted.toString(16)}`,
    priv_getTransactionReceipt: (marker) => (state.markers.includes(marker) && !state.failed.has(marker) ? null : receipt(marker)),
  };
  return { state, table };
}

const noncesOf = (node) =>
  node.requests.filter(({ method }) => /RawTransaction$/.test(method)).map(({ params }) => Number(sdk.parsePrivateTransaction(params[0]).nonce));

test("an old failure wipes no nonces, and one's own gives its nonce back", async () => {
  const privacyGroupId = randomGroup();
  const { state, table } = counting(privacyGroupId);
  await withNode(table, async ({ priv }, node) => {
    const send = () => priv.generateAndSendRawTransaction({ ...signer, privacyGroupId });
    for (let i = 0; i < 3; i++) await send();
    const old = `0x${"0d".repeat(32)}`;
    state.failed.add(old);
    assert.equal((await priv.waitForTransactionReceipt(old, 1, 1)).status, "0x0");
    for (let i = 0; i < 2; i++) await send();
    assert.deepEqual(noncesOf(node), [9, 10, 11, 12, 13]);
    state.failed.add(state.markers[0]);
    assert.equal((await priv.waitForTransactionReceipt(state.markers[0], 1, 1)).status, "0x0");
    await send();
    assert.deepEqual(noncesOf(node).slice(5), [9]);
  });
});

test("a failure that nobody has waited for gives its nonce back", async (t) => {
  const privacyGroupId = randomGroup();
  const { state, table } = counting(privacyGroupId);
  await withNode(table, async ({ priv }, node) => {
    const send = () => priv.generateAndSendRawTransaction({ ...signer, privacyGroupId });
    await send();
    await send();
    state.failed.add(state.markers[0]);
    const { now } = Date;
    // An answer of the node is relied on for a second.
    t.mock.method(Date, "now", () => now() + 2000);
    await send();
    assert.deepEqual(noncesOf(node), [9, 10, 9]);
  });
});

test("a failed receipt is given although the chain cannot be told", async () => {
  const privacyGroupId = randomGroup();
  const down = () => {
    throw new Refusal(-32603, "Internal error");
  };
  const failed = { ...SUCCESS, status: "0x0", from: aliceAddress, privacyGroupId };
  await withNode({ eth_chainId: down, priv_getTransactionReceipt: failed }, async ({ priv }) => {
    assert.deepEqual(await priv.waitForTransactionReceipt(HASH, 1, 1), failed);
  });
});

test("a distribution without a marker makes nothing invalid that is sent after it", async () => {
  const privacyGroupId = randomGroup();
  const { state, table } = counting(privacyGroupId);
  await withNode(table, async ({ priv }, node) => {
    const options = { ...signer, privacyGroupId };
    const distribute = () => priv.generateAndDistributeRawTransaction(options);
    const send = () => priv.generateAndSendRawTransaction(options);
    assert.equal(await distribute(), HASH);
    await distribute();
    await send();
    // The one in flight keeps its nonce.
    await distribute();
    await send();
    assert.deepEqual(noncesOf(node), [9, 9, 9, 10, 10]);
    // With markers mined meanwhile the node's count is what counts, however soon.
    state.counted = 11;
    await distribute();
    state.counted = 12;
    await distribute();
    await send();
    assert.deepEqual(noncesOf(node).slice(5), [11, 12, 12]);
    await priv.generateAndDistributeRawTransaction({ ...options, nonce: 40 });
    await send();
    assert.deepEqual(noncesOf(node).slice(8), [40, 13]);
  });
  const refuse = () => {
    throw new Refusal(-50100, "Error communicating with enclave");
  };
  await withNode({ priv_distributeRawTransaction: refuse }, async ({ priv }) => {
    await rejects(priv.generateAndDistributeRawTransaction({ ...signer, privacyGroupId: randomGroup() }), "EnclaveUnavailableError");
  });
});

test("a key may have 0x or not, and what is no key is said to be none", async () => {
  await withNode({}, async ({ priv }, node) => {
    for (const privateKey of [alice, `0x${alice}`, alice.toUpperCase(), Buffer.from(alice, "hex")]) {
      await priv.generateAndSendRawTransaction({ ...signer, privateKey, privacyGroupId: randomGroup() });
    }
    assert.ok(sentTo(node).every(({ from }) => from.toLowerCase() === aliceAddress));
    for (const privateKey of [undefined, "", "12", `${alice}00`, 7, "0".repeat(64)]) {
      await rejects(priv.generateAndSendRawTransaction({ ...signer, privateKey, privacyGroupId: randomGroup() }), "InvalidInputError");
    }
  });
});

test("what would reach the wrong audience is refused before anything is asked", async () => {
  const short = Buffer.alloc(31, 1).toString("base64");
  const wrong = {
    "a group id of 31 bytes": { privacyGroupId: short },
    "a group id of 16 bytes": { privacyGroupId: Buffer.alloc(16, 1).toString("base64") },
    "a group id in hex": { privacyGroupId: `0x${"11".repeat(32)}` },
    "no audience": {},
    "both audiences": { privacyGroupId: randomGroup(), privateFor: [keys[1]] },
    "a key of 31 bytes": { privateFor: [short] },
    "no sender": { privacyGroupId: randomGroup(), privateFrom: undefined },
    "a sender of 31 bytes": { privacyGroupId: randomGroup(), privateFrom: short },
    "text for calldata": { privacyGroupId: randomGroup(), data: "6057361d" },
    "an address that is none": { privacyGroupId: randomGroup(), to: "0x12" },
    "a nonce that is none": { privacyGroupId: randomGroup(), nonce: "abc" },
    "a nonce above 2^53 as a number": { privacyGroupId: randomGroup(), nonce: 2 ** 53 },
    "a negative nonce": { privacyGroupId: randomGroup(), nonce: -1 },
    "ether": { privacyGroupId: randomGroup(), value: 1 },
    "another restriction": { privacyGroupId: randomGroup(), restriction: "open" },
  };
  await withNode({}, async ({ priv, eth }, node) => {
    for (const [name, options] of Object.entries(wrong)) {
      await rejects(priv.generateAndSendRawTransaction({ ...signer, ...options }), "InvalidInputError").catch((error) => {
        throw new Error(`${name}: ${error.message}`, { cause: error });
      });
    }
    const groups = eth.flexiblePrivacyGroup;
    await rejects(groups.create({ ...signer, participants: [short] }), "InvalidInputError");
    await rejects(groups.create({ ...signer, participants: keys[0] }), "InvalidInputError");
    await rejects(groups.create({ ...signer, participants: [keys[0]], privacyGroupId: short }), "InvalidInputError");
    await rejects(groups.removeFrom({ ...signer, privacyGroupId: randomGroup(), participant: short }), "InvalidInputError");
    await rejects(groups.addTo({ ...signer, privacyGroupId: short, participants: [keys[1]] }), "InvalidInputError");
    await rejects(groups.getParticipants({ privacyGroupId: short }), "InvalidInputError");
    await rejects(priv.generateAndSendRawTransaction(), "InvalidInputError");
    assert.deepEqual(node.requests, []);
  });
});

test("whatever is passed in is judged, and nothing of it is sent", async () => {
  const wrong = [undefined, null, 7, "x", [], {}, true, Symbol("x"), () => {}];
  await withNode({}, async ({ priv, eth, eea, privx, utils }, node) => {
    const groups = eth.flexiblePrivacyGroup;
    const { create, addTo, removeFrom, setLockState, getParticipants } = groups;
    const all = { create, addTo, removeFrom, setLockState, getParticipants, ...privx, ...eea };
    delete all.findOnChainPrivacyGroup;
    all.generateAndSendRawTransaction = priv.generateAndSendRawTransaction;
    all.generateAndDistributeRawTransaction = priv.generateAndDistributeRawTransaction;
    all.generatePrivacyGroup = async (options) => utils.generatePrivacyGroup(options);
    for (const [name, method] of Object.entries(all)) {
      for (const value of wrong) {
        const error = await method(value).then(
          () => assert.fail(`${name} took ${String(value)}`),
          (failure) => failure,
        );
        assert.ok(error instanceof sdk.PrivacyError, `${name} of ${String(value)}: ${error.stack}`);
      }
    }
    for (const count of [NaN, -1, "3", null, 3n]) {
      await rejects(priv.waitForTransactionReceipt(HASH, count), "InvalidInputError");
      await rejects(priv.waitForTransactionReceipt(HASH, 3, count), "InvalidInputError");
    }
    assert.deepEqual(node.requests, []);
  });
});

test("an error has the old text, and the node's number, a code and a class", async () => {
  const refusal = new Refusal(-50100, "Flexible Privacy group does not exist.");
  const refuse = () => {
    throw refusal;
  };
  await withNode({ eea_sendRawTransaction: refuse, priv_getCode: refuse }, async ({ priv }, node) => {
    const privacyGroupId = randomGroup();
    const sent = await rejects(priv.generateAndSendRawTransaction({ ...signer, privacyGroupId }), "GroupNotFoundError");
    const asked = await rejects(priv.getCode(privacyGroupId, "0x12", "latest"), "GroupNotFoundError");
    const theirs = await old.connect(node.url).priv.getCode(privacyGroupId, "0x12", "latest").catch((error) => error);
    for (const error of [sent, asked]) {
      assert.equal(error.message, theirs.message);
      assert.equal(error.rpcCode, -50100);
      assert.equal(error.code, "GROUP_UNKNOWN");
      assert.ok(error instanceof sdk.GroupNotFoundError);
    }
  });
});

test("nothing is printed", async (t) => {
  const log = t.mock.method(console, "log", () => {});
  let polls = 0;
  await withNode({ eth_getTransactionReceipt: () => (++polls < 3 ? null : {}) }, async ({ priv }) => {
    assert.deepEqual(await priv.waitForTransactionReceipt(HASH, 10, 1), SUCCESS);
  });
  assert.equal(polls, 3);
  assert.equal(log.mock.callCount(), 0);
});

test("waiting ends at once when the node refuses, and goes on over a broken connection", async () => {
  const unauthorized = () => {
    throw new Refusal(-40100, "Unauthorized");
  };
  await withNode({ eth_getTransactionReceipt: unauthorized }, async ({ priv }, node) => {
    await rejects(priv.waitForTransactionReceipt(HASH, 5, 1), "UnauthorizedError");
    assert.equal(node.requests.length, 1);
  });
  const gone = new Compat("http://127.0.0.1:1");
  const late = await rejects(gone.priv.waitForTransactionReceipt(HASH, 3, 1), "ReceiptTimeoutError", /^Timed out after 0.003s/);
  assert.equal(late.cause.name, "ConnectionError");
  assert.equal(late.hash, HASH);
});

test("waiting waits, however long the delay is", async (t) => {
  const { setTimeout } = globalThis;
  const waits = [];
  // What a timer is told that is longer than any test; above 2^31-1 it would not wait at all.
  t.mock.method(globalThis, "setTimeout", (callback, ms, ...rest) => {
    if (ms < 2 ** 31 - 1) return setTimeout(callback, ms, ...rest);
    waits.push(ms);
    return setTimeout(callback, 0, ...rest);
  });
  for (const delay of [2 ** 31, Infinity]) {
    let polls = 0;
    await withNode({ eth_getTransactionReceipt: () => (++polls < 3 ? null : {}) }, async ({ priv }) => {
      assert.deepEqual(await priv.waitForTransactionReceipt(HASH, 10, delay), SUCCESS);
    });
  }
  assert.deepEqual(waits, [1, 1, 1, 1].map(() => 2 ** 31 - 1));
});

test("a group's id is not lost when creating it fails", async () => {
  const down = () => {
    throw new Refusal(-50100, "Error communicating with enclave");
  };
  await withNode({ eea_sendRawTransaction: down }, async ({ eth }) => {
    const failed = await rejects(eth.flexiblePrivacyGroup.create({ ...signer, participants: [keys[0]] }), "EnclaveUnavailableError");
    assert.equal(Buffer.from(failed.privacyGroupId, "base64").length, 32);
  });
  await withNode({ priv_getTransactionReceipt: null }, async ({ eth }) => {
    const privacyGroupId = randomGroup();
    const lost = await rejects(
      eth.flexiblePrivacyGroup.create({ ...signer, participants: [keys[0]], privacyGroupId }),
      "InvalidResponseError",
    );
    assert.equal(lost.privacyGroupId, privacyGroupId);
  });
});

/** A node on which the transactions with these places in the order fail. */
function failing(places, more = {}) {
  let sent = 0;
  return {
    priv_getTransactionReceipt: () => ({ ...SUCCESS, status: places.includes(sent) ? "0x0" : "0x1" }),
    eea_sendRawTransaction: () => {
      sent += 1;
      return HASH;
    },
    ...more,
  };
}

const names = (node) => sentTo(node).map(({ data }) => ({ "0xf83d08ba": "lock", "0xa69df4b5": "unlock", "0x965a25ef": "add" })[data.slice(0, 10)]);

test("addTo changes nothing of the caller's, and unlocks when adding failed", async () => {
  const options = Object.freeze({ ...signer, privacyGroupId: randomGroup(), participants: [keys[2]] });
  await withNode(failing([]), async ({ eth }, node) => {
    assert.equal((await eth.flexiblePrivacyGroup.addTo(options)).status, "0x1");
    assert.deepEqual(names(node), ["lock", "add"]);
  });
  await withNode(failing([2]), async ({ eth }, node) => {
    const failed = await rejects(eth.flexiblePrivacyGroup.addTo(options), "AddMembersError", /Adding to the privacy group failed/);
    assert.equal(failed.unlocked, true);
    assert.deepEqual(names(node), ["lock", "add", "unlock"]);
  });
  let sent = 0;
  const refused = {
    eea_sendRawTransaction: () => {
      sent += 1;
      if (sent === 2) throw new Refusal(-50200, "Recipient not found for key: x");
      return HASH;
    },
  };
  await withNode(refused, async ({ eth }, node) => {
    const failed = await rejects(eth.flexiblePrivacyGroup.addTo(options), "AddMembersError");
    assert.equal(failed.cause.name, "RecipientUnknownError");
    assert.deepEqual(names(node), ["lock", "add", "unlock"]);
  });
});

test("addTo goes on where an earlier attempt stopped, and says when the lock failed", async () => {
  const options = { ...signer, privacyGroupId: randomGroup(), participants: [keys[2]] };
  const word = (value) => `0x${value.toString(16).padStart(64, "0")}`;
  await withNode(failing([1], { priv_call: word(0) }), async ({ eth }, node) => {
    assert.equal((await eth.flexiblePrivacyGroup.addTo(options)).status, "0x1");
    assert.deepEqual(names(node), ["lock", "add"]);
  });
  await withNode(failing([1], { priv_call: word(1) }), async ({ eth }, node) => {
    await rejects(eth.flexiblePrivacyGroup.addTo(options), "PrivacyError", /^Locking the privacy group failed, receipt: \{/);
    assert.deepEqual(names(node), ["lock"]);
  });
});

test("the chain's id is asked again after the provider has changed", async () => {
  await withNode({}, async (_, first) => {
    await withNode({ eth_chainId: "0x7" }, async (__, second) => {
      const web3 = new Compat(new Web3(first.url));
      const send = () => web3.priv.generateAndSendRawTransaction({ ...signer, privacyGroupId: randomGroup() });
      await send();
      await send();
      web3.setProvider(second.url);
      await send();
      assert.equal(first.requests.filter(({ method }) => method === "eth_chainId").length, 1);
      assert.deepEqual(sentTo(first).map(({ chainId }) => chainId), [1337n, 1337n]);
      assert.deepEqual(sentTo(second).map(({ chainId }) => chainId), [7n]);
    });
  });
});

test("a web3 instance is added to and returned, with new or without", async () => {
  await withNode({}, async (_, node) => {
    for (const make of [(it) => new Compat(it), (it) => Compat(it), (it) => Compat(it, {}, false)]) {
      const web3 = new Web3(node.url);
      const eth = web3.eth;
      assert.equal(make(web3), web3);
      assert.equal(web3.eth, eth);
      assert.equal(web3.isQuorum, false);
      assert.equal(await web3.priv.getTransactionCount(aliceAddress, keys[0]), 9);
      assert.equal(await web3.eth.getChainId(), 1337);
    }
  });
});

test("providers of all kinds will do, and nothing is said to be nothing", async () => {
  await withNode({}, async (_, node) => {
    const request = async ({ method, params }) => {
      const response = await fetch(node.url, { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
      return (await response.json()).result;
    };
    const providers = [node.url, { request }, new Web3.providers.HttpProvider(node.url)];
    for (const provider of providers) {
      assert.equal(await new Compat(provider).priv.getTransactionCount(aliceAddress, keys[0]), 9);
    }
  });
  for (const nothing of [undefined, null, "", new Web3(), { currentProvider: null }]) {
    assert.throws(() => new Compat(nothing), { name: "InvalidInputError", message: "Missing provider" });
  }
  for (const wrong of [7, {}, "node", "ftp://node"]) {
    assert.throws(() => new Compat(wrong), { name: "InvalidInputError" });
  }
  assert.throws(() => new Compat("http://127.0.0.1:1", { groupAbi: "bytes31" }), { name: "InvalidInputError" });
});

test("headers reach the node", async () => {
  let seen;
  const fetch = globalThis.fetch;
  await withNode({}, async (_, node) => {
    globalThis.fetch = (url, options) => {
      seen = options.headers;
      return fetch(url, options);
    };
    try {
      await new Compat(node.url, { headers: { authorization: "Bearer token" } }).priv.getPrivacyPrecompileAddress().catch(() => {});
    } finally {
      globalThis.fetch = fetch;
    }
  });
  assert.equal(seen.authorization, "Bearer token");
});

test("GoQuorum's names say that they are not supported", async () => {
  const web3 = new Compat("http://127.0.0.1:1");
  const calls = [
    () => web3.raft.cluster(),
    () => web3.istanbul.getValidators("latest"),
    () => web3.permission.orgList(),
    () => web3.ptm.upCheck(),
    () => web3.eth.sendRawPrivateTransaction("0x12", { privateFor: [] }),
    () => web3.eth.getPrivacyPrecompileAddress(),
  ];
  for (const call of calls) {
    const error = await rejects(call(), "NotSupportedError");
    assert.ok(error.hint);
    assert.ok(error instanceof Compat.NotSupportedError && error instanceof sdk.PrivacyError);
  }
  assert.throws(() => web3.utils.setPrivate("0x12"), { name: "NotSupportedError" });
  assert.throws(() => new Compat("http://127.0.0.1:1", {}, true), { name: "NotSupportedError" });
  const told = await new Promise((resolve) => web3.raft.cluster(resolve));
  assert.equal(told.name, "NotSupportedError");
});

test("web3-eea's names do the same", async () => {
  await withNode({ privx_findFlexiblePrivacyGroup: [{ members: keys }] }, async (web3, node) => {
    const privacyGroupId = randomGroup();
    assert.equal(await web3.eea.sendRawTransaction({ ...signer, privacyGroupId }), HASH);
    const options = { ...signer, privacyGroupId };
    await web3.privx.createPrivacyGroup({ ...options, participants: [keys[0]] });
    await web3.privx.addToPrivacyGroup({ ...options, participants: [keys[1]] });
    await web3.privx.setPrivacyGroupLockState({ ...options, lock: true });
    await web3.privx.removeFromPrivacyGroup({ ...options, participant: keys[1] });
    assert.deepEqual(await web3.privx.findOnChainPrivacyGroup({ addresses: keys }), [{ members: keys }]);
    const selectors = sentTo(node).map(({ data }) => data.slice(0, 10));
    assert.deepEqual(selectors, ["0x", "0x965a25ef", "0xf83d08ba", "0x965a25ef", "0xf83d08ba", "0x1f52a8ee"]);
  });
});

test("the hash in a log's id is Keccak-256 at every length", async () => {
  const { keccak256, stringToBytes } = await import("viem");
  // Around one and two blocks of 136 bytes, and where the padding is one byte.
  const lengths = [0, 1, 31, 32, 55, 56, 63, 64, 127, 128, 134, 135, 136, 137, 138, 200, 271, 272, 273, 407, 408, 409];
  const texts = lengths.map((length) => Array.from({ length }, (_, i) => ((i * 7 + length) % 16).toString(16)).join(""));
  const logs = texts.map((blockHash) => ({ blockHash, transactionHash: "", logIndex: "" }));
  await withNode({ priv_getLogs: logs }, async ({ priv }) => {
    const ids = (await priv.getLogs(keys[0], {})).map(({ id }) => id);
    assert.deepEqual(ids, texts.map((text) => `log_${keccak256(stringToBytes(text)).slice(2, 10)}`));
  });
});

test("require gives the constructor, as it did", () => {
  const require = createRequire(import.meta.url);
  const Web3Quorum = require("@coterie/sdk/compat");
  assert.equal(typeof Web3Quorum, "function");
  assert.equal(typeof new Web3Quorum("http://127.0.0.1:1").priv.call, "function");
  assert.equal(typeof Web3Quorum(new Web3("http://127.0.0.1:1")).priv.call, "function");
});
