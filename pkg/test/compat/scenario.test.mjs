// The same script with npm web3js-quorum and with this entry, each on a network of its own, and the
// results compared field by field.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startDev } from "../../../tests/js/lib/network.mjs";
import { alone, old, ours } from "./clients.mjs";
import { named } from "./same.mjs";
import { GROUP, run } from "./scenario.mjs";

const networks = [];
let expected;

/** The script's results, with names for what differs between networks. */
async function results(client) {
  const network = await startDev();
  networks.push(network);
  return named(await run(client, network), [GROUP]);
}

before(async () => {
  expected = await results(old);
});
after(() => Promise.all(networks.map((network) => network.stop())));

for (const client of [ours, alone]) {
  test(`${client.name} gives what web3js-quorum gives`, async () => {
    const actual = await results(client);
    assert.deepEqual(Object.keys(actual), Object.keys(expected));
    for (const name of Object.keys(expected)) {
      assert.deepEqual(actual[name], expected[name], `differs: ${name}`);
    }
  });
}
