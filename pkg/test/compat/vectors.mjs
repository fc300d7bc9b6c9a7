// Published test keys, from the vectors.

import { readFileSync } from "node:fs";

const path = new URL("../../../tests/vectors/sdk.json", import.meta.url);
const vectors = JSON.parse(readFileSync(path, "utf8"));

/** An account's key as web3js-quorum takes it. */
export const alice = vectors.accounts.node1.privateKey;
/** Its address, lower case. */
export const aliceAddress = vectors.accounts.node1.address.toLowerCase();
/** Enclave keys of three members. */
export const keys = vectors.legacyGroupIds.fromExampleKeys.at(-1).members;
