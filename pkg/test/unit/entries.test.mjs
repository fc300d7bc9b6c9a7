// The entries of the built package, in both module formats.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

const require = createRequire(import.meta.url);
const GROUP = "xQdJRZp0ejzJRqU6N3+EsFo+qTIcdWX50V6YTyvBepw=";

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
