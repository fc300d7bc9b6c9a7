// Sends whose answer is lost: what the error tells, so that nothing is sent twice.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";

import { ALICE, GROUP, KEY, TO, hashOf } from "./lib/data.mjs";
import { Raw, drop, refuse, withNode } from "./lib/node.mjs";

test("when the answer to a send is lost, the error has the nonce with which it is safe to send again", async () => {
  const answers = { eth_chainId: "0x539", priv_getTransactionCount: "0x5", eth_getTransactionCount: "0x7", eth_gasPrice: "0x0" };
  const lost = [drop, new Raw("busy", { status: 502 }), new Raw("<html>")];
  const request = { privacyGroupId: GROUP, to: TO };
  const clientOf = (node) => sdk.createPrivacyClient({ url: node.url, enclaveKey: ALICE, signer: sdk.privateKeySigner(KEY), nonces: sdk.memoryNonces() });
  const tells = (nonce) => (error) => {
    assert.equal(error.nonce, nonce, error.stack);
    assert.match(error.hint, /may have been sent/);
    return true;
  };
  for (const answer of lost) {
    const sends = { eea_sendRawTransaction: answer, priv_distributeRawTransaction: answer, eth_sendRawTransaction: answer };
    await withNode({ ...answers, ...sends }, async (node) => {
      await assert.rejects(clientOf(node).sendTransaction(request), tells(5n));
      await assert.rejects(clientOf(node).execute({ ...request, nonce: 9 }), tells(9n));
      await assert.rejects(clientOf(node).distributeTransaction(request), tells(5n));
      await assert.rejects(clientOf(node).sendMarker(hashOf(1)), tells(7n));
      const created = clientOf(node).groups.create({ participants: [ALICE], privacyGroupId: GROUP, skipExistsCheck: true });
      await assert.rejects(created, (error) => tells(5n)(error instanceof sdk.CreateGroupError ? error.cause : error));
      const { priv } = new Web3Quorum(node.url);
      const signed = { privateKey: KEY, privateFrom: ALICE, privacyGroupId: GROUP, to: TO };
      await assert.rejects(priv.generateAndSendRawTransaction(signed), tells(5n));
    });
  }
  // What was refused, or never asked for, was not sent.
  const quiet = (error) => error.nonce === undefined && !("nonce" in error);
  await withNode({ ...answers, eea_sendRawTransaction: () => { throw refuse("JOINING", -32008); } }, async (node) => {
    await assert.rejects(clientOf(node).sendTransaction(request), quiet);
  });
  await withNode({ ...answers, priv_getTransactionCount: drop }, async (node) => {
    await assert.rejects(clientOf(node).sendTransaction(request), quiet);
  });
});
