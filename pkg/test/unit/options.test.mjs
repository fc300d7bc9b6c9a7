// Options that there are not: whoever misspells one is told so, by every function that takes options.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";
import { privacy } from "@coterie/sdk/ethers";
import { createInspector } from "@coterie/sdk/inspect";
import * as priv from "@coterie/sdk/viem";
import { webSocket } from "@coterie/sdk/ws";
import { createClient, custom, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { ALICE, BOB, GROUP, KEY, TO, hashOf } from "./lib/data.mjs";

const asked = [];
const transport = async ({ method }) => {
  asked.push(method);
  throw Object.assign(new Error("Method not found"), { code: -32601 });
};
const signer = sdk.privateKeySigner(KEY);
const client = sdk.createPrivacyClient({ transport, enclaveKey: ALICE, signer, nonces: sdk.memoryNonces() });
const group = { privacyGroupId: GROUP };
const transaction = { ...group, to: TO };
const signed = { ...transaction, nonce: 0, privateFrom: ALICE };
const raw = sdk.signPrivateTransaction(signed, KEY);
const abi = parseAbi(["function value() view returns (uint256)", "function store(uint256)", "event stored(uint256)"]);
const viem = createClient({ account: privateKeyToAccount(KEY), transport: custom({ request: transport }) });
const extended = viem.extend(priv.privacyActions({ enclaveKey: ALICE }));
const contract = extended.priv.getContract({ ...group, abi, address: TO });
const call = { ...group, abi, address: TO, privateFrom: ALICE };
const inspector = createInspector({ transport });

/** Everything that takes options, with one too many. */
const TAKERS = {
  createPrivacyClient: (more) => sdk.createPrivacyClient({ transport, ...more }),
  polling: (more) => sdk.createPrivacyClient({ transport, polling: { ...more } }),
  createRpc: (more) => sdk.createRpc("http://127.0.0.1:1", { ...more }),
  memoryNonces: (more) => sdk.memoryNonces({ ...more }),
  signPrivateTransaction: (more) => sdk.signPrivateTransaction({ ...signed, ...more }, KEY),
  serializePrivateTransaction: (more) => sdk.serializePrivateTransaction({ ...signed, ...more }),
  signMarkerTransaction: (more) => sdk.signMarkerTransaction({ nonce: 0, gasPrice: 0, gas: 1, data: hashOf(1), ...more }, KEY),
  sendTransaction: (more) => client.sendTransaction({ ...transaction, ...more }),
  execute: (more) => client.execute({ ...transaction, ...more }),
  deployContract: (more) => client.deployContract({ ...group, data: "0x00", ...more }),
  distributeTransaction: (more) => client.distributeTransaction({ ...transaction, ...more }),
  sendRawTransaction: (more) => client.sendRawTransaction(raw, { ...more }),
  distributeRawTransaction: (more) => client.distributeRawTransaction(raw, { ...more }),
  sendMarker: (more) => client.sendMarker(hashOf(1), { ...more }),
  waitForReceipt: (more) => client.waitForReceipt(hashOf(1), { ...more }),
  getTransactionCount: (more) => client.getTransactionCount({ ...group, ...more }),
  call: (more) => client.call({ ...transaction, ...more }),
  getCode: (more) => client.getCode({ ...group, address: TO, ...more }),
  getLogs: (more) => client.getLogs({ ...group, ...more }),
  getStateRoot: (more) => client.getStateRoot({ ...group, ...more }),
  "watchLogs, what": async (more) => client.watchLogs({ ...group, ...more }).next(),
  "watchLogs, how": async (more) => client.watchLogs(group, { ...more }).next(),
  prepareCreate: (more) => client.groups.prepareCreate({ participants: [BOB], ...more }),
  create: (more) => client.groups.create({ participants: [BOB], ...more }),
  add: (more) => client.groups.add({ ...group, participants: [BOB], ...more }),
  remove: (more) => client.groups.remove({ ...group, participant: BOB, ...more }),
  lock: (more) => client.groups.lock({ ...group, ...more }),
  unlock: (more) => client.groups.unlock({ ...group, ...more }),
  isLocked: (more) => client.groups.isLocked({ ...group, ...more }),
  participants: (more) => client.groups.participants({ ...group, ...more }),
  find: (more) => client.groups.find([ALICE], { ...more }),
  owner: (more) => client.groups.owner({ ...group, ...more }),
  transferOwnership: (more) => client.groups.transferOwnership({ ...group, newOwner: TO, ...more }),
  acceptOwnership: (more) => client.groups.acceptOwnership({ ...group, ...more }),
  webSocket: (more) => webSocket("ws://127.0.0.1:1", { ...more }),
  privacyActions: (more) => viem.extend(priv.privacyActions({ enclaveKey: ALICE, ...more })),
  deploy: (more) => extended.priv.deploy({ ...group, abi, bytecode: "0x00", ...more }),
  read: (more) => contract.read.value([], { ...more }),
  write: (more) => contract.write.store([1n], { ...more }),
  "contract's execute": (more) => contract.execute.store([1n], { ...more }),
  getEvents: (more) => contract.getEvents.stored({}, { ...more }),
  watchEvents: (more) => contract.watchEvents.stored({}, { ...more }).next(),
  readPrivateContract: (more) => priv.readPrivateContract(viem, { ...call, functionName: "value", ...more }),
  writePrivateContract: (more) => priv.writePrivateContract(viem, { ...call, functionName: "store", args: [1n], ...more }),
  deployPrivateContract: (more) => priv.deployPrivateContract(viem, { ...group, abi, bytecode: "0x00", privateFrom: ALICE, ...more }),
  callPrivate: (more) => priv.callPrivate(viem, { ...transaction, ...more }),
  getPrivateLogs: (more) => priv.getPrivateLogs(viem, { ...group, ...more }),
  sendPrivateTransaction: (more) => priv.sendPrivateTransaction(viem, { ...transaction, privateFrom: ALICE, ...more }),
  waitForPrivateReceipt: (more) => priv.waitForPrivateReceipt(viem, { hash: hashOf(1), ...more }),
  privacy: (more) => privacy("http://127.0.0.1:1", null, { ...group, ...more }),
  createInspector: (more) => createInspector({ transport, ...more }),
  estimateGas: (more) => inspector.estimateGas({ ...transaction, ...more }),
  getBalance: (more) => inspector.getBalance({ ...group, address: TO, ...more }),
  getStorageAt: (more) => inspector.getStorageAt({ ...group, address: TO, slot: 0, ...more }),
  getProof: (more) => inspector.getProof({ ...group, address: TO, slots: [0], ...more }),
  traceTransaction: (more) => inspector.traceTransaction({ ...group, hash: hashOf(1), ...more }),
  getBlockTransactions: (more) => inspector.getBlockTransactions({ ...group, ...more }),
  groupStatus: (more) => inspector.groupStatus({ ...group, ...more }),
};

/** Those that an artifact may be spread into, with whatever it has. */
const TAKES_ARTIFACT = ["deploy", "readPrivateContract", "writePrivateContract", "deployPrivateContract"];

test("an option that there is not is refused by name, before anything is asked", async () => {
  for (const [name, take] of Object.entries(TAKERS)) {
    for (const [option, message] of [["blokTag", /no option blokTag$/], ["gasLimit", /no option gasLimit; it is called gas$/]]) {
      if (option === "blokTag" && TAKES_ARTIFACT.includes(name)) continue;
      await assert.rejects(async () => take({ [option]: 5n }), (error) => {
        assert.ok(error instanceof sdk.InvalidInputError, `${name}: ${error.stack}`);
        assert.match(error.message, message, name);
        return true;
      });
    }
  }
  assert.deepEqual(asked, []);
});

test("what they take without it is not refused, nor an artifact, nor what the SDK gave", async () => {
  const artifact = { contractName: "Store", deployedBytecode: "0x00", linkReferences: {} };
  const found = { ...group, members: [ALICE], type: "FLEXIBLE", name: "", description: "" };
  const { isLocked, participants } = client.groups;
  const more = { isLocked: () => isLocked(found), participants: () => participants(found), resigned: () => sdk.signPrivateTransaction(sdk.parsePrivateTransaction(raw), KEY) };
  for (const [name, take] of Object.entries({ ...TAKERS, ...more })) {
    try {
      await take(TAKES_ARTIFACT.includes(name) ? artifact : {});
    } catch (error) {
      assert.ok(!/no option/.test(error.message), `${name}: ${error.message}`);
    }
  }
  // They were asked for, and that was refused: so the options were read to the end.
  assert.ok(asked.length > 30, `${asked.length}`);
});

test("a client's enclave key has the form of one", () => {
  for (const enclaveKey of ["abc", "", ALICE.slice(1), `${ALICE}=`, `-${ALICE.slice(1)}`, 5, null, {}]) {
    const wrong = (error) => error instanceof sdk.InvalidInputError && /enclaveKey/.test(error.message);
    assert.throws(() => sdk.createPrivacyClient({ transport, enclaveKey }), wrong, `${enclaveKey}`);
    assert.throws(() => viem.extend(priv.privacyActions({ enclaveKey })), wrong);
    assert.throws(() => privacy("http://127.0.0.1:1", null, { ...group, enclaveKey }), wrong);
  }
  const curve = Buffer.alloc(91, 1).toString("base64");
  for (const enclaveKey of [ALICE, curve, undefined]) sdk.createPrivacyClient({ transport, enclaveKey });
});
