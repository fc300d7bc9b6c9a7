// The life of a privacy group, with the published web3js-quorum, unmodified, as the client; what
// `cargo xtask demo` tells with the SDK.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { EventEmitter } from "./lib/contracts.mjs";
import { startDev } from "./lib/network.mjs";
import { eventually } from "./lib/wait.mjs";

const VALUE_DATA = EventEmitter.data("value");

const check = (what, holds) => assert.ok(holds, what);

/** What `priv_call` of `value()` answers: a number, or undefined where there is nothing. */
async function valueAt(member, group, address, block = "latest") {
  const output = await member.web3.priv.call(group, { to: address, data: VALUE_DATA }, block);
  return output === "0x" ? undefined : Number(EventEmitter.result("value", output));
}

/** The members' state roots at a block; undefined where the group is unknown. */
async function rootsAt(members, group, block) {
  const root = async (member) => {
    try {
      return await member.web3.priv.debugGetStateRoot(group, block);
    } catch (error) {
      if (/Error finding privacy group/.test(error.message)) return undefined;
      throw error;
    }
  };
  return Promise.all(members.map(root));
}

/** Each member's root after a step. */
async function rootsAfter(members, group, receipt) {
  // A member's receipt of a block that it is just following is given when it has followed it.
  for (const member of members) await member.web3.priv.getTransactionReceipt(receipt.commitmentHash);
  return rootsAt(members, group, receipt.blockNumber);
}

async function story({ members, accounts }) {
  const [a, b, c] = members;
  const [alice] = accounts;
  const signer = { enclaveKey: a.enclaveKey, privateFrom: a.enclaveKey, privateKey: alice.bareKey };
  const groups = a.web3.eth.flexiblePrivacyGroup;
  const send = async (transaction) => {
    const hash = await a.web3.priv.generateAndSendRawTransaction({ ...signer, ...transaction });
    return a.web3.priv.waitForTransactionReceipt(hash, 300, 100);
  };

  // A creates a group of A and B.
  const created = await groups.create({ ...signer, participants: [a.enclaveKey, b.enclaveKey] });
  const group = created.privacyGroupId;
  check("the creation succeeded", created.status === "0x1");
  let roots = await rootsAfter(members, group, created);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);
  check("C does not know the group", roots[2] === undefined);
  const listed = await b.web3.eth.flexiblePrivacyGroup.getParticipants({ privacyGroupId: group });
  check("B lists A and B as members", listed.join() === [a.enclaveKey, b.enclaveKey].join());

  // A deploys a contract and stores 42 in it.
  const deployed = await send({ privacyGroupId: group, data: EventEmitter.creation() });
  const address = deployed.contractAddress;
  const store = (number) => send({ privacyGroupId: group, to: address, data: EventEmitter.data("store", number) });
  const first = await store(42);
  check("both succeeded", deployed.status === "0x1" && first.status === "0x1");
  roots = await rootsAfter(members, group, first);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);

  // B reads, C sees nothing.
  check("B reads 42", (await valueAt(b, group, address)) === 42);
  check("C reads nothing", (await valueAt(c, group, address)) === undefined);
  check("C finds no group", (await c.web3.eth.flexiblePrivacyGroup.find([a.enclaveKey, b.enclaveKey])).length === 0);
  check("C has no receipt", (await c.web3.priv.getTransactionReceipt(first.commitmentHash)) === null);
  const marker = await c.web3.eth.getTransaction(first.commitmentHash);
  check("on the chain there are 32 bytes that say nothing", /^0x[0-9a-f]{64}$/.test(marker.input));

  // C is added and reads the whole history.
  const added = await groups.addTo({ ...signer, privacyGroupId: group, participants: [c.enclaveKey] });
  check("the addition succeeded", added.status === "0x1");
  await eventually("C has joined", () => c.web3.priv.getTransactionReceipt(added.commitmentHash));
  roots = await rootsAfter(members, group, added);
  check("A, B and C have the same root", roots[0] && roots.every((root) => root === roots[0]));
  check("C reads 42", (await valueAt(c, group, address)) === 42);
  check("C reads 0 as of the deployment", (await valueAt(c, group, address, Number(deployed.blockNumber))) === 0);
  const old = await c.web3.priv.getTransactionReceipt(first.commitmentHash);
  check("C has the receipt of a time before it was a member", isDeepStrictEqual(old, first));
  const filter = { fromBlock: created.blockNumber, toBlock: added.blockNumber };
  const [logsOfA, logsOfC] = await Promise.all([a, c].map(({ web3 }) => web3.priv.getLogs(group, filter)));
  check("C finds every log that A finds", logsOfA.length > 0 && isDeepStrictEqual(logsOfC, logsOfA));

  // B is removed; A stores 1337.
  const removed = await groups.removeFrom({ ...signer, privacyGroupId: group, participant: b.enclaveKey });
  check("the removal succeeded", removed.status === "0x1");
  const atRemoval = await rootsAfter(members, group, removed);
  check("A, B and C have the same root", atRemoval[0] && atRemoval.every((root) => root === atRemoval[0]));
  const last = await store(1337);
  check("the store succeeded", last.status === "0x1");
  roots = await rootsAfter(members, group, last);
  check("A and C have the same new root", roots[0] === roots[2] && roots[0] !== atRemoval[0]);
  check("B has stopped at the root of its removal", roots[1] === atRemoval[1]);
  check("A and C read 1337", (await valueAt(a, group, address)) === 1337 && (await valueAt(c, group, address)) === 1337);
  check("B still reads 42", (await valueAt(b, group, address)) === 42);
  check("B has no receipt of what came after", (await b.web3.priv.getTransactionReceipt(last.commitmentHash)) === null);
  const refused = await b.web3.priv
    .generateAndSendRawTransaction({
      privateFrom: b.enclaveKey,
      privateKey: accounts[1].bareKey,
      privacyGroupId: group,
      to: address,
      data: EventEmitter.data("store", 7),
    })
    .then(() => "", ({ message }) => message);
  check("B can no longer send", /Flexible Privacy group does not exist\./.test(refused));
}

test("a group's life with web3js-quorum: created, used, joined, left", async () => {
  const network = await startDev({ members: 3 });
  try {
    await story(network);
  } finally {
    await network.stop();
  }
});
