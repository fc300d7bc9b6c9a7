// The ethers entry, with nodes that do what a test says.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Contract, Interface, Wallet } from "ethers";

import * as sdk from "@coterie/sdk";
import { explainError, privacy, privateReceiptOf } from "@coterie/sdk/ethers";

import { ALICE, GROUP, KEY, TO, hashOf, receipt } from "./lib/data.mjs";
import { withNode } from "./lib/node.mjs";

const handlers = {
  eth_chainId: "0x539",
  eth_blockNumber: "0x7",
  priv_getTransactionCount: "0x0",
  priv_call: "0x",
  eea_sendRawTransaction: hashOf(1),
  eth_getTransactionReceipt: { blockNumber: "0x7" },
  priv_getTransactionReceipt: receipt(hashOf(1)),
};

async function withPrivacy(more, use) {
  await withNode({ ...handlers, ...more }, async (node) => {
    const made = privacy(node.url, new Wallet(KEY), { privacyGroupId: GROUP, enclaveKey: ALICE, nonces: sdk.memoryNonces(), polling: { interval: 1 } });
    try {
      await use(made, node);
    } finally {
      made.provider.destroy();
    }
  });
}

test("the private receipt is there also behind a contract's own receipt", async () => {
  await withPrivacy({}, async ({ provider, signer }) => {
    const contract = new Contract(TO, ["function store(uint256)"], signer);
    const made = await (await contract.store(1)).wait();
    assert.equal(privateReceiptOf(made).privacyGroupId, GROUP);
    assert.equal(privateReceiptOf(await provider.getTransactionReceipt(hashOf(1))).reason, "executed");
    assert.equal(privateReceiptOf({ hash: hashOf(1), provider: null }), undefined);
  });
});

test("an error whose bytes are cut off is explained as far as it goes", () => {
  const contract = new Interface(["error Bad(uint256)"]);
  const { selector } = contract.getError("Bad");
  const cause = new sdk.CallRevertedError("private call reverted", { revertData: `${selector}00` });
  assert.equal(explainError(Object.assign(new Error("call"), { cause }), contract), cause);
});

test("value is refused by calls as by sends", async () => {
  await withPrivacy({}, async ({ provider }, node) => {
    const transaction = { to: TO, data: "0x00", value: 1n };
    await assert.rejects(provider.call(transaction), sdk.InvalidInputError);
    await assert.rejects(provider.estimateGas(transaction), sdk.InvalidInputError);
    await assert.rejects(provider.estimateGas({ data: "0x00", value: 1n }), sdk.InvalidInputError);
    assert.ok(!node.methods().includes("priv_call"));
    assert.equal(await provider.call({ ...transaction, value: 0n }), "0x");
  });
});

test("who listens for a receipt hears receipts only", async () => {
  const nobody = { priv_getTransactionReceipt: null, priv_getPrivateTransaction: null };
  await withPrivacy(nobody, async ({ provider }) => {
    const heard = [];
    const failed = new Promise((resolve) => void provider.on("error", resolve));
    await provider.once(hashOf(1), (it) => heard.push(it));
    assert.ok((await failed) instanceof sdk.NotAParticipantError);
    assert.deepEqual(heard, []);
  });
  await withPrivacy({}, async ({ provider }) => {
    const other = () => assert.fail("it was taken off");
    await provider.once(hashOf(1), other);
    await provider.off(hashOf(1), other);
    const made = await new Promise((resolve) => void provider.once(hashOf(1), resolve));
    assert.equal(privateReceiptOf(made).reason, "executed");
  });
});
