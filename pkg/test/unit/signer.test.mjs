// What a signer answers is not believed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { sign } from "viem/accounts";

import * as sdk from "@coterie/sdk";

import { ADDRESS, ALICE, GROUP, KEY, TO, hashOf } from "./lib/data.mjs";
import { withNode } from "./lib/node.mjs";

const OTHER = "0xc87509a1c067bbde78beb793e6fa76530b6382a4c0241e5e4a9ec0a0f44dc0d3";
const handlers = { eth_chainId: "0x539", priv_getTransactionCount: "0x3", eea_sendRawTransaction: hashOf(1), eth_gasPrice: "0x5", eth_getTransactionCount: "0x2", eth_sendRawTransaction: hashOf(2) };
const request = { privacyGroupId: GROUP, to: TO, data: "0x00" };
const clientOf = (node, signer) => sdk.createPrivacyClient({ url: node.url, enclaveKey: ALICE, signer, nonces: sdk.memoryNonces() });
const digest = (privateKey) => ({ address: ADDRESS, signDigest: (hash) => sign({ hash, privateKey }) });

test("all kinds of signers make the same transaction and the same marker", async () => {
  const raws = [];
  const own = sdk.privateKeySigner(KEY);
  for (const signer of [own, digest(KEY), { ...own }, { address: ADDRESS.toUpperCase().replace("0X", "0x"), signDigest: digest(KEY).signDigest }]) {
    await withNode(handlers, async (node) => {
      const client = clientOf(node, signer);
      assert.equal(await client.sendTransaction(request), hashOf(1));
      assert.equal(await client.sendMarker(hashOf(7)), hashOf(2));
      raws.push([node.requests.find(({ method }) => method === "eea_sendRawTransaction").params[0], node.requests.find(({ method }) => method === "eth_sendRawTransaction").params[0]]);
    });
  }
  for (const pair of raws) assert.deepEqual(pair, raws[0]);
  const sent = sdk.parsePrivateTransaction(raws[0][0]);
  assert.deepEqual([sent.nonce, sent.chainId, sent.gas, sent.gasPrice, sent.privateFrom, sent.privacyGroupId], [3n, 1337n, 3_000_000n, 0n, ALICE, GROUP]);
});

test("a signer that signs by another key or something else is found out", async () => {
  const own = sdk.privateKeySigner(KEY);
  const signers = [
    digest(OTHER),
    { address: ADDRESS, signDigest: () => sign({ hash: hashOf(1), privateKey: KEY }) },
    { address: ADDRESS, signPrivateTransaction: sdk.privateKeySigner(OTHER).signPrivateTransaction },
    { address: ADDRESS, signPrivateTransaction: (transaction) => own.signPrivateTransaction({ ...transaction, to: ADDRESS }) },
    { address: ADDRESS, signPrivateTransaction: (transaction) => own.signPrivateTransaction({ ...transaction, nonce: 9n }) },
  ];
  for (const signer of signers) {
    await withNode(handlers, async (node) => {
      await assert.rejects(clientOf(node, signer).sendTransaction(request), sdk.SignatureError);
      assert.ok(!node.methods().includes("eea_sendRawTransaction"));
    });
  }
  for (const answer of [undefined, null, "0x", {}, { r: "0x1" }, 5]) {
    await withNode(handlers, async (node) => {
      const client = clientOf(node, { address: ADDRESS, signDigest: async () => answer });
      await assert.rejects(client.sendTransaction(request), (error) => error instanceof sdk.InvalidInputError || error instanceof sdk.SignatureError);
      const whole = clientOf(node, { address: ADDRESS, signPrivateTransaction: async () => answer });
      await assert.rejects(whole.sendTransaction(request), (error) => error instanceof sdk.InvalidInputError || error instanceof sdk.DecodeError);
      await assert.rejects(whole.sendMarker(hashOf(7)), sdk.UnsupportedAccountError);
    });
  }
});

test("what a signer does not have, it may name", async () => {
  await withNode(handlers, async (node) => {
    const client = clientOf(node, { ...digest(KEY), signPrivateTransaction: undefined, signMarkerTransaction: undefined });
    assert.equal(await client.sendTransaction(request), hashOf(1));
    assert.equal(await client.sendMarker(hashOf(7)), hashOf(2));
  });
});

test("a signer's marker is checked as its transaction is", async () => {
  const own = sdk.privateKeySigner(KEY);
  const { signPrivateTransaction } = own;
  const markers = [
    sdk.privateKeySigner(OTHER).signMarkerTransaction,
    (marker) => own.signMarkerTransaction({ ...marker, nonce: 9n }),
    (marker) => own.signMarkerTransaction({ ...marker, data: hashOf(8) }),
    (marker) => `${own.signMarkerTransaction(marker)}00`,
    () => "0x",
    () => "0x02c0",
    () => `0x${"ff".repeat(200)}`,
  ];
  for (const signMarkerTransaction of markers) {
    await withNode(handlers, async (node) => {
      const client = clientOf(node, { address: ADDRESS, signPrivateTransaction, signMarkerTransaction });
      await assert.rejects(client.sendMarker(hashOf(7)), (error) => error instanceof sdk.SignatureError || error instanceof sdk.InvalidInputError);
      assert.ok(!node.methods().includes("eth_sendRawTransaction"));
    });
  }
  // Signatures with short numbers are read as well.
  await withNode(handlers, async (node) => {
    const client = clientOf(node, { address: ADDRESS, signPrivateTransaction, signMarkerTransaction: own.signMarkerTransaction });
    for (let number = 1; number <= 600; number++) await client.sendMarker(hashOf(number), { nonce: 0, gasPrice: 0 });
  });
});

test("an aborted send does not wait for the signer, nor do those after it", async () => {
  await withNode(handlers, async (node) => {
    let hanging = true;
    const own = digest(KEY);
    const client = clientOf(node, { ...own, signDigest: (hash) => (hanging ? new Promise(() => {}) : own.signDigest(hash)) });
    const stopped = [client.sendTransaction({ ...request, signal: AbortSignal.timeout(30) }), client.sendMarker(hashOf(7), { signal: AbortSignal.timeout(30) })];
    await Promise.all(stopped.map((each) => assert.rejects(each, sdk.AbortError)));
    hanging = false;
    await client.sendTransaction(request);
    await client.sendMarker(hashOf(7));
    const never = sdk.createPrivacyClient({ transport: { rpc: () => new Promise(() => {}) }, enclaveKey: ALICE, signer: own });
    await assert.rejects(never.sendTransaction({ ...request, signal: AbortSignal.timeout(30) }), sdk.AbortError);
  });
});

test("a signer that refuses takes no nonce", async () => {
  await withNode(handlers, async (node) => {
    let refusing = true;
    const own = digest(KEY);
    const signer = { ...own, signDigest: (hash) => { if (refusing) throw new Error("the user said no"); return own.signDigest(hash); } };
    const client = clientOf(node, signer);
    await assert.rejects(client.sendTransaction(request), /the user said no/);
    refusing = false;
    await client.sendTransaction(request);
    assert.equal(sdk.parsePrivateTransaction(node.requests.at(-1).params[0]).nonce, 3n);
  });
});
