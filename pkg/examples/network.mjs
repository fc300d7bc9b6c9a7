// The network that an example runs on: what `coterie dev --ready-file ready.json` writes.

import { readFileSync } from "node:fs";

import { enclaveKey } from "@coterie/sdk";

const path = process.argv[2] ?? "ready.json";
const { chain, members, accounts } = JSON.parse(readFileSync(path, "utf8"));

/** The public chain's id. */
export const chainId = chain.chainId;

/** The members: each has a node with an enclave key, and an account that signs. */
export const [alice, bob, carol] = members.map(({ name, rpc, enclaveKey: key }, at) => ({
  name,
  url: rpc,
  enclaveKey: enclaveKey(key),
  privateKey: accounts[at].privateKey,
  address: accounts[at].address,
}));

/** The contracts that the examples deploy, by name: `abi` and `bytecode`. */
export const contracts = JSON.parse(readFileSync(new URL("contracts.json", import.meta.url), "utf8"));
