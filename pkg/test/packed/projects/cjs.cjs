// The same with require.

const { readFileSync } = require("node:fs");

const sdk = require("@coterie/sdk");
const Web3Quorum = require("@coterie/sdk/compat");
const ethers = require("@coterie/sdk/ethers");
const slim = require("@coterie/sdk/slim");
const viem = require("@coterie/sdk/viem");
const ws = require("@coterie/sdk/ws");

const vectors = JSON.parse(readFileSync(require.resolve("./sdk.json"), "utf8"));
const wasm = readFileSync(require.resolve("@coterie/sdk/core.wasm"));

async function main() {
  const { checkEntries } = await import("./entries.mjs");
  console.log(await checkEntries({ sdk, Web3Quorum, ethers, slim, viem, ws, vectors, wasm }));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
