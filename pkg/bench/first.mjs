// How long the first signature after import takes, in milliseconds.
import { readFileSync } from "node:fs";
import { signPrivateTransaction } from "../dist/index.js";
import { cases } from "./cases.mjs";

const vectors = JSON.parse(readFileSync(new URL("../../tests/vectors/sdk.json", import.meta.url), "utf8"));
const { tx, key } = cases(vectors);
const start = performance.now();
signPrivateTransaction(tx, key);
console.log(performance.now() - start);
