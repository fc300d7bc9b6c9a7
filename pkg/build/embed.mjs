// Writes what `#core` resolves to: the bytes deflated and as text, and for workers an import of the
// module.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const bytes = readFileSync(at("wasm/core.wasm"));
const text = deflateRawSync(bytes, { level: 9, memLevel: 9 }).toString("base64");
const value = `[${bytes.length},"${text}"]`;

writeFileSync(at("dist/core.js"), `export default ${value};\n`);
writeFileSync(at("dist/core.cjs"), `module.exports = ${value};\n`);
writeFileSync(
  at("dist/core.workerd.js"),
  `import core from "./core_fast.wasm";\nexport default core;\n`,
);
copyFileSync(at("wasm/core.wasm"), at("dist/core_fast.wasm"));
copyFileSync(at("wasm/core_slim.wasm"), at("dist/core.wasm"));
