// The entries of the built package, in both module formats.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import WebSocket from "ws";

import { ALICE, GROUP, KEY, TO } from "./lib/data.mjs";

const require = createRequire(import.meta.url);

for (const [format, load] of [["import", (name) => import(name)], ["require", async (name) => require(name)]]) {
  test(`${format}: entries share their classes and the loaded core`, async () => {
    const sdk = await load("@coterie/sdk");
    const [viem, ethers] = [await load("@coterie/sdk/viem"), await load("@coterie/sdk/ethers")];
    for (const entry of [viem, ethers]) {
      assert.equal(entry.PrivacyError, sdk.PrivacyError);
      assert.equal(entry.groupId(GROUP), GROUP);
      assert.throws(() => entry.groupId("A"), sdk.InvalidInputError);
    }
    assert.equal(sdk.isReady(), true);
    assert.ok(await sdk.init());
  });

  test(`${format}: the slim entry has the same surface, and wants init`, async () => {
    const [sdk, slim] = [await load("@coterie/sdk"), await load("@coterie/sdk/slim")];
    assert.deepEqual(Object.keys(slim).sort(), Object.keys(sdk).sort());
    assert.equal(slim.isReady(), false);
    assert.throws(() => slim.groupId(GROUP), (error) => error instanceof slim.NotInitializedError && error.code === "NOT_INITIALIZED" && /init/.test(error.hint));
    const client = slim.createPrivacyClient({ url: "http://127.0.0.1:1" });
    await assert.rejects(client.call({ privacyGroupId: GROUP, to: slim.MANAGEMENT_ADDRESS }), slim.NotInitializedError);
    await slim.init(readFileSync(require.resolve("@coterie/sdk/core.wasm")));
    assert.equal(slim.isReady(), true);
    assert.equal(slim.groupId(GROUP), GROUP);
    await assert.rejects(client.call({ privacyGroupId: GROUP, to: slim.MANAGEMENT_ADDRESS }), slim.ConnectionError);
  });
}

test("import, require and slim know each other's errors", async () => {
  const copies = [await import("@coterie/sdk"), require("@coterie/sdk"), await import("@coterie/sdk/slim"), require("@coterie/sdk/slim")];
  for (const made of copies) {
    for (const asked of copies) {
      const error = new made.RequestTimeoutError("m", 1);
      assert.ok(error instanceof asked.RequestTimeoutError);
      assert.ok(error instanceof asked.ConnectionError);
      assert.ok(error instanceof asked.PrivacyError);
      assert.ok(!(error instanceof asked.RpcError));
      assert.ok(!(new made.PrivacyError("m") instanceof asked.ConnectionError));
    }
  }
  const [{ PrivacyError, RpcError }, other] = copies;
  class Own extends PrivacyError {}
  assert.ok(new Own("m") instanceof other.PrivacyError);
  assert.ok(!(new RpcError("m") instanceof Own));
  for (const value of [undefined, null, 1, {}, new Error("m"), { name: "PrivacyError" }]) assert.ok(!(value instanceof PrivacyError));
  assert.equal(new RpcError("m").name, "RpcError");
});

test("what the entry for WebSockets throws is known by all others", async () => {
  for (const { webSocket } of [await import("@coterie/sdk/ws"), require("@coterie/sdk/ws")]) {
    for (const sdk of [await import("@coterie/sdk"), require("@coterie/sdk"), await import("@coterie/sdk/slim")]) {
      assert.throws(() => webSocket("nowhere"), sdk.InvalidInputError);
      const transport = webSocket("ws://127.0.0.1:1", { WebSocket });
      await assert.rejects(sdk.createRpc(transport).rpc("eth_chainId", []), sdk.ConnectionError);
      transport.close();
    }
  }
});

test("import and require send with one queue", async () => {
  const nonces = [];
  for (const sdk of [await import("@coterie/sdk"), require("@coterie/sdk")]) {
    const answers = {
      eth_chainId: () => "0x539",
      priv_getTransactionCount: () => "0x0",
      eea_sendRawTransaction: ([raw]) => `0x${nonces.push(sdk.parsePrivateTransaction(raw).nonce).toString().padStart(64, "0")}`,
    };
    const client = sdk.createPrivacyClient({
      transport: { rpc: async (method, params) => answers[method](params) },
      signer: sdk.privateKeySigner(KEY),
      enclaveKey: ALICE,
    });
    await client.sendTransaction({ privacyGroupId: GROUP, to: TO });
  }
  assert.deepEqual(nonces, [0n, 1n]);
});
