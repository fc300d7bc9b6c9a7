// In Node, Bun and Deno: every entry as a module, and the vectors through both ways to load the core.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";
import * as ethers from "@coterie/sdk/ethers";
import * as slim from "@coterie/sdk/slim";
import * as viem from "@coterie/sdk/viem";
import * as ws from "@coterie/sdk/ws";

import { checkEntries } from "./entries.mjs";

const vectors = JSON.parse(readFileSync(new URL("sdk.json", import.meta.url), "utf8"));
const wasm = readFileSync(createRequire(import.meta.url).resolve("@coterie/sdk/core.wasm"));
console.log(await checkEntries({ sdk, Web3Quorum, ethers, slim, viem, ws, vectors, wasm }));
