// Writes what `#core` resolves to: the bytes as text, and for workers an import of the module.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const text = readFileSync(at("wasm/core.wasm")).toString("base64");

writeFileSync(at("dist/core.js"), `export default "${text}";\n`);
writeFileSync(at("dist/core.cjs"), `module.exports = "${text}";\n`);
writeFileSync(
  at("dist/core.workerd.js"),
  `import core from "./core_fast.wasm";\nexport default core;\n`,
);
copyFileSync(at("wasm/core.wasm"), at("dist/core_fast.wasm"));
copyFileSync(at("wasm/core_slim.wasm"), at("dist/core.wasm"));
