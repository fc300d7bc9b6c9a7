// The measurements in Node. Prints one JSON object.
import { readFileSync } from "node:fs";
import Module, { createRequire } from "node:module";
import * as sdk from "../dist/index.js";
import { cases, check, measure, noble, ours, quorum } from "./cases.mjs";
import * as library from "./noble.mjs";

const require = createRequire(import.meta.url);
const vectors = JSON.parse(readFileSync(new URL("../../tests/vectors/sdk.json", import.meta.url), "utf8"));
const work = cases(vectors);

/** web3js-quorum's classes, freshly loaded. */
function load() {
  for (const file of Object.keys(require.cache)) delete require.cache[file];
  const PrivateTransaction = require("web3js-quorum/src/privateTransaction");
  const Utils = require("web3js-quorum/src/utils");
  const web3 = { utils: {} };
  Utils(web3);
  return { PrivateTransaction, utils: web3.utils, Buffer };
}

const addon = load();
if (!Object.keys(require.cache).some((file) => file.endsWith(".node"))) {
  throw new Error("the native addon of secp256k1 is not there");
}
// The same without the addon, as bundles and unusual platforms get it.
const original = Module._load;
Module._load = function (request, parent, ...rest) {
  if (request === "./bindings" && /node_modules.secp256k1/.test(parent?.filename ?? "")) {
    throw new Error("no addon");
  }
  return original.call(this, request, parent, ...rest);
};
const pure = load();
Module._load = original;

const subjects = {
  ours: ours(sdk, work),
  "web3js-quorum, addon": quorum(addon, work),
  "web3js-quorum, no addon": quorum(pure, work),
  noble: noble(library, work),
};
check(subjects, work);
console.log(JSON.stringify(measure(subjects, { rounds: Number(process.argv[2] ?? 7), slice: 150 })));
