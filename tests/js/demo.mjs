// The life of a privacy group, told step by step. Three members, each with a node of its own; the
// client is the published web3js-quorum, unmodified. Run by `cargo xtask demo`.

import { isDeepStrictEqual } from "node:util";

import { EventEmitter } from "./lib/contracts.mjs";
import { startDev } from "./lib/network.mjs";
import { eventually } from "./lib/wait.mjs";

const VALUE_DATA = EventEmitter.data("value");

const failures = [];
let checks = 0;

/** Notes whether something held, and goes on. */
function check(what, holds) {
  checks += 1;
  if (!holds) failures.push(what);
  console.log(`     ${holds ? "ok  " : "FAIL"}  ${what}`);
}

let steps = 0;
function step(title) {
  steps += 1;
  console.log(`\n${String(steps).padStart(2)}. ${title}`);
}

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

/** Prints each member's root after a step, and returns them. */
async function showRoots(members, group, receipt) {
  // A member's receipt of a block that it is just following is given when it has followed it.
  for (const member of members) await member.web3.priv.getTransactionReceipt(receipt.commitmentHash);
  const roots = await rootsAt(members, group, receipt.blockNumber);
  const shown = roots.map((root, i) => `${members[i].name} ${root ? `${root.slice(0, 12)}…` : "–"}`);
  console.log(`     root  at block ${Number(receipt.blockNumber)}:   ${shown.join("   ")}`);
  return roots;
}

async function story(network) {
  const { members, accounts, chain } = network;
  const [a, b, c] = members;
  [a, b, c].forEach((member, i) => (member.name = "ABC"[i]));
  const [alice] = accounts;
  const signer = { enclaveKey: a.enclaveKey, privateFrom: a.enclaveKey, privateKey: alice.bareKey };
  const groups = a.web3.eth.flexiblePrivacyGroup;
  const send = async (transaction) => {
    const hash = await a.web3.priv.generateAndSendRawTransaction({ ...signer, ...transaction });
    return a.web3.priv.waitForTransactionReceipt(hash, 300, 100);
  };

  console.log("Coterie: one privacy group, three members, web3js-quorum 22.4.0 as the client\n");
  console.log(`  chain  ${chain.url}  (chain id ${chain.chainId})`);
  for (const { name, url, enclaveKey } of members) console.log(`  ${name}      ${url}  enclave key ${enclaveKey}`);

  step("A creates a group of A and B");
  const created = await groups.create({ ...signer, participants: [a.enclaveKey, b.enclaveKey] });
  const group = created.privacyGroupId;
  console.log(`     group ${group}`);
  check("the creation succeeded", created.status === "0x1");
  let roots = await showRoots(members, group, created);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);
  check("C does not know the group", roots[2] === undefined);
  const listed = await b.web3.eth.flexiblePrivacyGroup.getParticipants({ privacyGroupId: group });
  check("B lists A and B as members", listed.join() === [a.enclaveKey, b.enclaveKey].join());

  step("A deploys a contract and stores 42 in it");
  const deployed = await send({ privacyGroupId: group, data: EventEmitter.creation() });
  const address = deployed.contractAddress;
  console.log(`     contract ${address}`);
  const store = (number) => send({ privacyGroupId: group, to: address, data: EventEmitter.data("store", number) });
  const first = await store(42);
  check("both succeeded", deployed.status === "0x1" && first.status === "0x1");
  roots = await showRoots(members, group, first);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);

  step("B reads, C sees nothing");
  check("B reads 42", (await valueAt(b, group, address)) === 42);
  check("C reads nothing", (await valueAt(c, group, address)) === undefined);
  check("C finds no group", (await c.web3.eth.flexiblePrivacyGroup.find([a.enclaveKey, b.enclaveKey])).length === 0);
  check("C has no receipt", (await c.web3.priv.getTransactionReceipt(first.commitmentHash)) === null);
  const marker = await c.web3.eth.getTransaction(first.commitmentHash);
  check("on the chain there are 32 bytes that say nothing", /^0x[0-9a-f]{64}$/.test(marker.input));

  step("C is added and reads the whole history");
  const added = await groups.addTo({ ...signer, privacyGroupId: group, participants: [c.enclaveKey] });
  check("the addition succeeded", added.status === "0x1");
  await eventually("C has joined", () => c.web3.priv.getTransactionReceipt(added.commitmentHash));
  roots = await showRoots(members, group, added);
  check("A, B and C have the same root", roots[0] && roots.every((root) => root === roots[0]));
  check("C reads 42", (await valueAt(c, group, address)) === 42);
  check("C reads 0 as of the deployment", (await valueAt(c, group, address, Number(deployed.blockNumber))) === 0);
  const old = await c.web3.priv.getTransactionReceipt(first.commitmentHash);
  check("C has the receipt of a time before it was a member", isDeepStrictEqual(old, first));
  const filter = { fromBlock: created.blockNumber, toBlock: added.blockNumber };
  const [logsOfA, logsOfC] = await Promise.all([a, c].map(({ web3 }) => web3.priv.getLogs(group, filter)));
  check("C finds every log that A finds", logsOfA.length > 0 && isDeepStrictEqual(logsOfC, logsOfA));

  step("B is removed; A stores 1337");
  const removed = await groups.removeFrom({ ...signer, privacyGroupId: group, participant: b.enclaveKey });
  check("the removal succeeded", removed.status === "0x1");
  const atRemoval = await showRoots(members, group, removed);
  check("A, B and C have the same root", atRemoval[0] && atRemoval.every((root) => root === atRemoval[0]));
  const last = await store(1337);
  check("the store succeeded", last.status === "0x1");
  roots = await showRoots(members, group, last);
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

const started = Date.now();
let network;
try {
  network = await startDev({ members: 3 });
  await story(network);
  await network.stop();
} catch (error) {
  failures.push(`step ${steps}: ${error.message}`);
}
const seconds = ((Date.now() - started) / 1000).toFixed(1);
if (failures.length === 0) {
  console.log(`\ndemo: all ${checks} checks held (${seconds} s)`);
} else {
  console.log(`\ndemo: FAILED: ${failures.join("; ")}`);
}
process.exit(failures.length === 0 ? 0 : 1);
