// How the core is loaded: by itself, at the first use or before; by the caller in the slim entry.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { load, slimBytes } from "./core.mjs";

const KEY = `${"A".repeat(43)}=`;

test("the core compiles at its first use", async () => {
  const { core, isReady } = await load("index");
  assert.equal(isReady(), false);
  assert.equal(core().groupId(KEY), KEY);
  assert.equal(isReady(), true);
});

test("the core can be compiled before, and is one instance", async () => {
  const { core, init, isReady, ready } = await load("index");
  const [first, second] = await Promise.all([ready(), init()]);
  assert.equal(isReady(), true);
  assert.equal(first, second);
  assert.equal(core(), first);
});

test("the embedded core is the one that was built", async () => {
  const { unpack } = await load("unpack");
  const { default: embedded } = await import("../../dist/core.js");
  const built = readFileSync(new URL("../../wasm/core.wasm", import.meta.url));
  assert.ok(Buffer.from(unpack(embedded)).equals(built));
});

test("the slim entry says that it must be initialised", async () => {
  const { core, init, isReady, ready } = await load("slim");
  const want = { name: "InitError", code: "NOT_INITIALIZED" };
  assert.throws(() => core(), want);
  await assert.rejects(ready(), want);
  await assert.rejects(init(), want);
  assert.equal(isReady(), false);
});

test("the slim entry takes the bytes in every form", async () => {
  const bytes = slimBytes();
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/core.wasm" ? 200 : 404);
    response.end(bytes);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/core.wasm`;
  try {
    for (const source of [
      bytes,
      new Uint8Array(bytes).buffer,
      new WebAssembly.Module(bytes),
      url,
      new URL(url),
      fetch(url),
      await fetch(url),
    ]) {
      const { core, init } = await load("slim");
      const loaded = await init(source);
      assert.equal(loaded.groupId(KEY), KEY);
      assert.equal(core(), loaded);
      assert.equal(await init("ignored from now on"), loaded);
    }
    const { init, isReady } = await load("slim");
    for (const wrong of [`${url}.not`, new Uint8Array(8), 5, {}, "not a url", fetch(`${url}.not`)]) {
      await assert.rejects(init(wrong), { name: "InitError", code: "INIT_FAILED" });
    }
    assert.equal(isReady(), false);
    assert.equal((await init(bytes)).groupId(KEY), KEY);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
