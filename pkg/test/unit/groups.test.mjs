// Changes of groups, where something goes wrong on the way.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";

import { ALICE, GROUP, KEY, hashOf, receipt } from "./lib/data.mjs";
import { Refusal, drop, hang, refuse, withNode } from "./lib/node.mjs";

const handlers = {
  eth_chainId: "0x539",
  priv_call: "0x",
  priv_getTransactionCount: "0x0",
  eea_sendRawTransaction: hashOf(1),
  eth_getTransactionReceipt: { blockNumber: "0x7" },
  priv_getTransactionReceipt: receipt(hashOf(1)),
};
const clientOf = (node) => sdk.createPrivacyClient({ url: node.url, enclaveKey: ALICE, signer: sdk.privateKeySigner(KEY), nonces: sdk.memoryNonces(), polling: { interval: 1 } });

test("a creation whose outcome is not known tells the group's id", async () => {
  const unknown = (cause, id) => (error) => {
    assert.ok(error instanceof sdk.CreateGroupError, error.stack);
    assert.ok(error.cause instanceof cause);
    assert.equal(error.groupId, id ?? sdk.groupId(error.groupId));
    return true;
  };
  await withNode({ ...handlers, eea_sendRawTransaction: drop }, async (node) => {
    await assert.rejects(clientOf(node).groups.create({ participants: [] }), unknown(sdk.ConnectionError));
    await assert.rejects(clientOf(node).groups.create({ participants: [], privacyGroupId: GROUP }), unknown(sdk.ConnectionError, GROUP));
  });
  const controller = new AbortController();
  const eea_sendRawTransaction = () => (controller.abort(), hang);
  await withNode({ ...handlers, eea_sendRawTransaction }, async (node) => {
    await assert.rejects(clientOf(node).groups.create({ participants: [], signal: controller.signal }), unknown(sdk.AbortError));
  });
  // What the node has refused was not created.
  const refused = () => { throw new Refusal(-50100, "Private from does not match enclave public key"); };
  await withNode({ ...handlers, eea_sendRawTransaction: refused }, async (node) => {
    await assert.rejects(clientOf(node).groups.create({ participants: [] }), sdk.EnclaveKeyMismatchError);
  });
});

test("a group that the caller may not see can be created, and the node decides", async () => {
  const refusals = [
    refuse("UNAUTHORIZED", -40100, "Unauthorized", { detail: "no member" }),
    new Refusal(-40100, "Unauthorized"),
    new Refusal(-50100, "Privacy group must contain the enclave public key"),
  ];
  for (const refusal of refusals) {
    const priv_call = () => { throw refusal; };
    await withNode({ ...handlers, priv_call }, async (node) => {
      const { privacyGroupId } = await clientOf(node).groups.create({ participants: [], privacyGroupId: GROUP });
      assert.equal(privacyGroupId, GROUP);
    });
    const eea_sendRawTransaction = () => { throw refuse("GROUP_EXISTS"); };
    await withNode({ ...handlers, priv_call, eea_sendRawTransaction }, async (node) => {
      await assert.rejects(clientOf(node).groups.create({ participants: [], privacyGroupId: GROUP }), sdk.GroupExistsError);
    });
  }
  const priv_call = () => { throw refuse("SYNCING", -32008); };
  await withNode({ ...handlers, priv_call }, async (node) => {
    await assert.rejects(clientOf(node).groups.create({ participants: [] }), sdk.NodeSyncingError);
    assert.deepEqual(node.methods(), ["priv_call"]);
  });
});

test("a callback that throws when all is done changes nothing", async () => {
  await withNode(handlers, async (node) => {
    const onProgress = ({ state }) => { if (state === "done") throw new Error("the page is gone"); };
    const client = clientOf(node);
    assert.equal((await client.groups.lock({ privacyGroupId: GROUP, onProgress })).status, "success");
    assert.equal((await client.groups.create({ participants: [], onProgress })).receipt.status, "success");
  });
});
