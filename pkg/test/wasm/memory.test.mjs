// What stays behind in the core's memory: no private key, and no memory that is not given back.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const at = (path) => new URL(`../../${path}`, import.meta.url);
const KEY = "A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=";
const record = ["0x0", "0x0", "0x2dc6c0", "-", "0x0", "0x60", "0x539", KEY, KEY, "restricted", "-"].join("\n");

for (const name of ["core", "core_slim"]) {
  const glue = await import(`${at("wasm/core.js")}?${name}`);
  const { memory } = glue.initSync({ module: new WebAssembly.Module(readFileSync(at(`wasm/${name}.wasm`))) });

  test(`${name}: no key stays in memory`, () => {
    for (let round = 0; round < 20; round += 1) {
      const key = randomBytes(32);
      key[0] &= 0x7f;
      glue.sign(record, key);
      glue.accountAddress(key);
      assert.throws(() => glue.sign("broken", key), { name: "InvalidInputError" });
      const left = Buffer.from(memory.buffer);
      assert.equal(left.indexOf(key), -1, "as it was passed");
      assert.equal(left.indexOf(Buffer.from(key).reverse()), -1, "as the curve's numbers are stored");
    }
  });

  test(`${name}: memory does not grow with use`, () => {
    const key = randomBytes(32).fill(1, 0, 1);
    const use = () => {
      const raw = glue.sign(record, key);
      glue.decode(raw);
      assert.throws(() => glue.decode(raw.slice(0, -2)), { name: "DecodeError" });
    };
    for (let round = 0; round < 100; round += 1) use();
    const before = memory.buffer.byteLength;
    for (let round = 0; round < 1000; round += 1) use();
    assert.equal(memory.buffer.byteLength, before);
  });
}
