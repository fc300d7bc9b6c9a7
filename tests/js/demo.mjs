// The life of a privacy group, told step by step. Three members, each with a node of its own; the
// client is @coterie/sdk with viem. Run by `cargo xtask demo`.

import { isDeepStrictEqual } from "node:util";

import { createPrivacyClient, enclaveKey, GroupNotFoundError, privateKeySigner } from "../../pkg/dist/index.js";
import { EventEmitter } from "./lib/contracts.mjs";
import { startDev } from "./lib/network.mjs";
import { rpc } from "./lib/rpc.mjs";
import { eventually } from "./lib/wait.mjs";

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

/** What `value()` returns to a member: a number, or undefined where there is nothing. */
async function valueAt({ client }, privacyGroupId, to, blockTag = "latest") {
  const output = await client.call({ privacyGroupId, to, data: EventEmitter.data("value"), blockTag });
  return output === "0x" ? undefined : Number(EventEmitter.result("value", output));
}

/** Prints each member's state root after a step, and returns them; undefined where there is none. */
async function showRoots(members, privacyGroupId, { transactionHash, blockNumber }) {
  const rootOf = async ({ client }) => {
    // A member's receipt of a block that it is just following is given when it has followed it.
    await client.getReceipt(transactionHash);
    try {
      return await client.getStateRoot({ privacyGroupId, blockTag: blockNumber });
    } catch (error) {
      if (error instanceof GroupNotFoundError) return undefined;
      throw error;
    }
  };
  const roots = await Promise.all(members.map(rootOf));
  const shown = roots.map((root, i) => `${members[i].name} ${root ? `${root.slice(0, 12)}…` : "–"}`);
  console.log(`     root  at block ${blockNumber}:   ${shown.join("   ")}`);
  return roots;
}

async function story({ members: nodes, accounts, chain }) {
  const members = nodes.map(({ url, enclaveKey: key }, i) => {
    const signer = privateKeySigner(accounts[i === 1 ? 1 : 0].privateKey);
    const own = enclaveKey(key);
    return { name: "ABC"[i], url, key: own, client: createPrivacyClient({ url, enclaveKey: own, signer }) };
  });
  const [a, b, c] = members;

  console.log("Coterie: one privacy group, three members, @coterie/sdk as the client\n");
  console.log(`  chain  ${chain.url}  (chain id ${chain.chainId})`);
  for (const { name, url, key } of members) console.log(`  ${name}      ${url}  enclave key ${key}`);

  step("A creates a group of A and B");
  const { privacyGroupId, receipt: created } = await a.client.groups.create({ participants: [a.key, b.key] });
  console.log(`     group ${privacyGroupId}`);
  check("the creation succeeded", created.status === "success");
  let roots = await showRoots(members, privacyGroupId, created);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);
  check("C does not know the group", roots[2] === undefined);
  const listed = await b.client.groups.participants({ privacyGroupId });
  check("B lists A and B as members", listed.join() === [a.key, b.key].join());

  step("A deploys a contract and stores 42 in it");
  const { address, receipt: deployed } = await a.client.deployContract({ privacyGroupId, data: EventEmitter.creation() });
  console.log(`     contract ${address}`);
  const store = (number) => a.client.execute({ privacyGroupId, to: address, data: EventEmitter.data("store", number) });
  const first = await store(42);
  check("both succeeded", deployed.status === "success" && first.status === "success");
  roots = await showRoots(members, privacyGroupId, first);
  check("A and B have the same root", roots[0] && roots[0] === roots[1]);

  step("B reads, C sees nothing");
  check("B reads 42", (await valueAt(b, privacyGroupId, address)) === 42);
  check("C reads nothing", (await valueAt(c, privacyGroupId, address).catch(() => undefined)) === undefined);
  check("C finds no group", (await c.client.groups.find([a.key, b.key])).length === 0);
  check("C has no receipt", (await c.client.getReceipt(first.transactionHash)) === null);
  const marker = await rpc(c.url, "eth_getTransactionByHash", first.transactionHash);
  check("on the chain there are 32 bytes that say nothing", /^0x[0-9a-f]{64}$/.test(marker.input));

  step("C is added and reads the whole history");
  const { receipt: added } = await a.client.groups.add({ privacyGroupId, participants: [c.key] });
  check("the addition succeeded", added.status === "success");
  await eventually("C has joined", () => c.client.getReceipt(added.transactionHash));
  roots = await showRoots(members, privacyGroupId, added);
  check("A, B and C have the same root", roots[0] && roots.every((root) => root === roots[0]));
  check("C reads 42", (await valueAt(c, privacyGroupId, address)) === 42);
  check("C reads 0 as of the deployment", (await valueAt(c, privacyGroupId, address, deployed.blockNumber)) === 0);
  const old = await c.client.getReceipt(first.transactionHash);
  check("C has the receipt of a time before it was a member", isDeepStrictEqual(old, first));
  const filter = { privacyGroupId, fromBlock: created.blockNumber, toBlock: added.blockNumber };
  const [logsOfA, logsOfC] = await Promise.all([a, c].map(({ client }) => client.getLogs(filter)));
  check("C finds every log that A finds", logsOfA.length > 0 && isDeepStrictEqual(logsOfC, logsOfA));

  step("B is removed; A stores 1337");
  const { receipt: removed } = await a.client.groups.remove({ privacyGroupId, participant: b.key });
  check("the removal succeeded", removed.status === "success");
  const atRemoval = await showRoots(members, privacyGroupId, removed);
  check("A, B and C have the same root", atRemoval[0] && atRemoval.every((root) => root === atRemoval[0]));
  const last = await store(1337);
  check("the store succeeded", last.status === "success");
  roots = await showRoots(members, privacyGroupId, last);
  check("A and C have the same new root", roots[0] === roots[2] && roots[0] !== atRemoval[0]);
  check("B has stopped at the root of its removal", roots[1] === atRemoval[1]);
  const [ofA, ofC] = await Promise.all([a, c].map((member) => valueAt(member, privacyGroupId, address)));
  check("A and C read 1337", ofA === 1337 && ofC === 1337);
  check("B still reads 42", (await valueAt(b, privacyGroupId, address)) === 42);
  check("B has no receipt of what came after", (await b.client.getReceipt(last.transactionHash)) === null);
  const refused = await b.client
    .execute({ privacyGroupId, to: address, data: EventEmitter.data("store", 7) })
    .then(() => undefined, (error) => error);
  check("B can no longer send", refused instanceof GroupNotFoundError);
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
