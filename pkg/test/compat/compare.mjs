// The same script with npm web3js-quorum and with another client, each on a network of its own, and
// the results compared field by field. One comparison in a process: this SDK remembers nonces, and
// both networks have the same accounts and groups.

import assert from "node:assert/strict";

import { startDev } from "../../../tests/js/lib/network.mjs";
import { old } from "./clients.mjs";
import { named } from "./same.mjs";
import { GROUP, run } from "./scenario.mjs";

async function results(client) {
  const network = await startDev();
  try {
    return named(await run(client, network), [GROUP]);
  } finally {
    await network.stop();
  }
}

/** Throws at the first name whose results differ. */
export async function compare(client) {
  const expected = await results(old);
  const actual = await results(client);
  assert.deepEqual(Object.keys(actual), Object.keys(expected));
  for (const name of Object.keys(expected)) {
    assert.deepEqual(actual[name], expected[name], `differs: ${name}`);
  }
}
