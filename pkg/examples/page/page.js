// What the page does: two members of a development network, and a contract that both know and
// nobody else. The page talks to the members' nodes itself; they allow it (`rpc.cors_origins`).

import { createPrivacyClient, enclaveKey, privateKeySigner } from "@coterie/sdk";
import { privacyActions } from "@coterie/sdk/viem";
import { createWalletClient, encodeFunctionData, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import contracts from "../contracts.json";

const element = (id) => document.getElementById(id);
const { abi, bytecode } = contracts.EventEmitter;

let mine;
let theirs;
let group;
let contract;

/** Runs a step when its button is clicked, says what happens, and enables what comes next. */
function step(id, next, action) {
  element(id).addEventListener("click", async (event) => {
    event.preventDefault();
    const status = element("status");
    element(id).disabled = true;
    status.className = "";
    status.textContent = "Working…";
    try {
      await action();
      status.textContent = "Done.";
      for (const other of next) element(other).disabled = false;
    } catch (error) {
      status.className = "failed";
      status.textContent = `${error.message}${error.hint ? ` ${error.hint}` : ""}`;
    } finally {
      element(id).disabled = false;
    }
  });
}

step("connect", ["create"], async () => {
  const { members, accounts } = JSON.parse(element("ready").value);
  const keys = members.map((member) => enclaveKey(member.enclaveKey));
  // One member with viem, the other with the client that needs no library.
  const account = privateKeyToAccount(accounts[0].privateKey);
  const wallet = createWalletClient({ account, transport: http(members[0].rpc) });
  mine = { key: keys[0], client: wallet.extend(privacyActions({ enclaveKey: keys[0] })) };
  const signer = privateKeySigner(accounts[1].privateKey);
  theirs = { key: keys[1], client: createPrivacyClient({ url: members[1].rpc, enclaveKey: keys[1], signer }) };
});

step("create", ["deploy"], async () => {
  const { privacyGroupId } = await mine.client.priv.groups.create({ participants: [mine.key, theirs.key] });
  group = privacyGroupId;
  element("group").value = group;
});

step("deploy", ["store", "read"], async () => {
  ({ contract } = await mine.client.priv.deploy({ abi, bytecode, privacyGroupId: group }));
  element("contract").value = contract.address;
});

step("store", [], async () => {
  const hash = await contract.write.store([BigInt(element("number").value)]);
  const { blockNumber } = await mine.client.priv.waitForReceipt(hash);
  await theirs.client.waitForReceipt(hash);
  element("stored").value = `in block ${blockNumber}`;
});

step("read", [], async () => {
  // The other member's own node has the same state.
  const data = encodeFunctionData({ abi, functionName: "value" });
  const there = BigInt(await theirs.client.call({ privacyGroupId: group, to: contract.address, data }));
  const here = await contract.read.value();
  element("value").value = `${there}, ${there === here ? "the same on both nodes" : `but ${here} on the other`}`;
});
