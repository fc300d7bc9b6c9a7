// The loaders by themselves, each bundled afresh, so that every test has an instance of its own;
// the vectors, and how their fields are passed to the core.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const vectors = JSON.parse(
  readFileSync(new URL("../../../tests/vectors/sdk.json", import.meta.url), "utf8"),
);

/** The bytes of `@coterie/sdk/core.wasm`. */
export const slimBytes = () => readFileSync(at("dist/core.wasm"));

let copies = 0;

/** A fresh copy of `src/wasm/index.ts` or another file there, with what only tests use of the core. */
export async function load(name, embedded = at("dist/core.js")) {
  const { outputFiles } = await build({
    stdin: {
      contents: `export * from "./${name}.ts"; export { unused } from "./unused.ts";`,
      resolveDir: at("src/wasm"),
    },
    alias: { "#core": embedded },
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "error",
  });
  copies += 1;
  const text = `${outputFiles[0].text}\n// ${copies}`;
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

/** Both builds of the core, with their names. */
export async function cores() {
  const fast = await load("index");
  const slim = await load("slim");
  await slim.init(slimBytes());
  return [
    ["fast", { ...fast.core(), ...fast.unused }],
    ["slim", { ...slim.core(), ...slim.unused }],
  ];
}

export const bytes = (hex) => Uint8Array.from(Buffer.from(hex.replace(/^0x/, ""), "hex"));

/** A number as the vectors have it (`0x` for zero, leading zeros) as a quantity. */
export const quantity = (hex) => `0x${hex.replace(/^0x0*/, "") || "0"}`;

/** The fields of a vector as a transaction. */
export function transaction(fields) {
  return {
    nonce: quantity(fields.nonce),
    gasPrice: quantity(fields.gasPrice),
    gasLimit: quantity(fields.gasLimit),
    ...(fields.to === "0x" ? {} : { to: fields.to }),
    value: quantity(fields.value),
    data: fields.data,
    ...(!fields.chainId ? {} : { chainId: `0x${fields.chainId.toString(16)}` }),
    privateFrom: fields.privateFrom,
    ...(fields.privacyGroupId ? { privacyGroupId: fields.privacyGroupId } : {}),
    ...(fields.privateFor ? { privateFor: fields.privateFor } : {}),
    restriction: fields.restriction,
  };
}
