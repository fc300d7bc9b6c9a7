// For bundlers: what a page does that uses the default entry. Sets a result that the driver reads.

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";

import { expectVectors } from "./entries.mjs";
import vectors from "./sdk.json";

try {
  const web3 = new Web3Quorum(location.origin);
  if (typeof web3.priv.call !== "function") throw new Error("compat has no priv.call");
  globalThis.result = expectVectors("bundle", sdk, vectors);
} catch (error) {
  globalThis.result = `failed: ${error?.stack}`;
}
