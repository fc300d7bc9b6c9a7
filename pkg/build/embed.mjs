// Writes what `#core` resolves to: the core packed by LZMA, with the small module that unpacks it;
// for workers, which compile no bytes, an import of the module.
import { createRequire } from "node:module";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import binaryen from "binaryen";

const { LZMA } = createRequire(import.meta.url)("lzma/src/lzma_worker.js");
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Properties byte, size of the dictionary, size of the content: known or not of interest. */
const HEADER = 13;
/** lc = 3, lp = 0, pb = 2, what unpack.wat decodes. */
const PROPERTIES = 0x5d;

function pack(bytes) {
  const packed = Uint8Array.from(LZMA.compress(bytes, 9), (byte) => byte & 255);
  if (packed[0] !== PROPERTIES) {
    throw new Error(`the packer writes other properties now: ${packed[0]}`);
  }
  return packed.subarray(HEADER);
}

function unpacker() {
  const module = binaryen.parseText(readFileSync(at("build/unpack.wat"), "utf8"));
  binaryen.setOptimizeLevel(2);
  binaryen.setShrinkLevel(2);
  module.optimize();
  return module.emitBinary();
}

const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const core = readFileSync(at("wasm/core.wasm"));
const value = `[${core.length},"${base64(pack(core))}","${base64(unpacker())}"]`;

writeFileSync(at("dist/core.js"), `export default ${value};\n`);
writeFileSync(at("dist/core.cjs"), `module.exports = ${value};\n`);
writeFileSync(
  at("dist/core.workerd.js"),
  `import core from "./core_fast.wasm";\nexport default core;\n`,
);
copyFileSync(at("wasm/core.wasm"), at("dist/core_fast.wasm"));
copyFileSync(at("wasm/core_slim.wasm"), at("dist/core.wasm"));
