// The viem entry, with nodes that do what a test says.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createPublicClient, createWalletClient, custom, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import * as sdk from "@coterie/sdk";
import * as priv from "@coterie/sdk/viem";

import { ALICE, BOB, GROUP, KEY, TO, hashOf } from "./lib/data.mjs";
import { drop, withNode } from "./lib/node.mjs";

const account = privateKeyToAccount(KEY);
const handlers = { eth_chainId: "0x539", priv_getTransactionCount: "0x0", eea_sendRawTransaction: hashOf(1), eth_blockNumber: "0x1", priv_getLogs: [] };
const abi = [{ type: "event", name: "stored", inputs: [] }];

/** Who sent what the node was given last. */
const lastFrom = (node) => sdk.parsePrivateTransaction(node.requests.findLast(({ method }) => method === "eea_sendRawTransaction").params[0]).privateFrom;

test("single actions go by the extended client's options, whatever is extended later", async () => {
  await withNode(handlers, async (node) => {
    const base = createWalletClient({ account, transport: http(node.url) });
    let used = 0;
    const nonces = { ...sdk.memoryNonces(), use: (_key, { send }) => ((used += 1), send(5n)), forget() {} };
    const alice = base.extend(priv.privacyActions({ enclaveKey: ALICE, nonces }));
    const bob = base.extend(priv.privacyActions({ enclaveKey: BOB, nonces: sdk.memoryNonces() })).extend(publicActions);
    const request = { privacyGroupId: GROUP, to: TO };
    await priv.sendPrivateTransaction(alice, request);
    assert.deepEqual([lastFrom(node), used], [ALICE, 1]);
    await priv.sendPrivateTransaction(bob, request);
    assert.equal(lastFrom(node), BOB);
    await priv.getPrivateContract({ client: alice, address: TO, abi: [{ type: "function", name: "f", inputs: [], outputs: [], stateMutability: "nonpayable" }], privacyGroupId: GROUP }).write.f();
    assert.deepEqual([lastFrom(node), used], [ALICE, 2]);
    // The client that was extended is as it was.
    await assert.rejects(priv.sendPrivateTransaction(base, request), sdk.MissingOptionError);
  });
});

test("a wallet that does not answer has a deadline", async () => {
  const request = ({ method }) => (method === "eea_sendRawTransaction" ? new Promise(() => {}) : Promise.resolve(handlers[method]));
  const client = createWalletClient({ account, transport: custom({ request }) }).extend(priv.privacyActions({ enclaveKey: ALICE, nonces: sdk.memoryNonces(), requestTimeout: 30 }));
  await assert.rejects(client.priv.sendTransaction({ privacyGroupId: GROUP, to: TO }), sdk.RequestTimeoutError);
});

test("a send that failed is not repeated", async () => {
  await withNode({ ...handlers, eea_sendRawTransaction: drop }, async (node) => {
    const client = createWalletClient({ account, transport: http(node.url, { retryDelay: 1 }) }).extend(priv.privacyActions({ enclaveKey: ALICE, nonces: sdk.memoryNonces() }));
    await assert.rejects(client.priv.sendTransaction({ privacyGroupId: GROUP, to: TO }), sdk.ConnectionError);
    assert.equal(node.methods().filter((name) => name === "eea_sendRawTransaction").length, 1);
  });
});

test("watched events end as soon as they are left", async () => {
  await withNode(handlers, async (node) => {
    const client = createPublicClient({ transport: http(node.url) }).extend(priv.privacyActions({ polling: { interval: 600_000 } }));
    const events = client.priv.getContract({ address: TO, abi, privacyGroupId: GROUP }).watchEvents.stored();
    const waiting = events.next();
    while (!node.methods().includes("priv_getLogs")) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await events.return(), { value: undefined, done: true });
    assert.equal((await waiting).done, true);
  });
});
