// What several scenarios check of members.

import assert from "node:assert/strict";

import { eventually } from "./wait.mjs";

/** Every one of `nodes` lists the group with exactly these members in this order. */
export async function groupExists(group, members, nodes = members) {
  const keys = members.map(({ enclaveKey }) => enclaveKey);
  for (const node of nodes) {
    const names = members.map(({ name }) => name).join(", ");
    const found = await eventually(`${node.name} lists the group of ${names}`, async () => {
      const known = await node.findGroup(group, keys);
      return known && known.members.join() === keys.join() ? known : undefined;
    });
    assert.deepEqual(found, {
      privacyGroupId: group,
      name: "",
      description: "",
      type: "FLEXIBLE",
      members: keys,
    });
  }
}

/** The nodes have the same state root at the block of this receipt, which each may still follow. */
export async function sameRoot(group, receipt, nodes) {
  const at = receipt.blockNumber;
  const roots = await Promise.all(
    nodes.map((node) => eventually(`${node.name} has a root`, () => node.stateRoot(group, at))),
  );
  assert.equal(new Set(roots).size, 1, `state roots differ at ${receipt.blockNumber}: ${roots}`);
  return roots[0];
}

/** The private receipt is the same on all nodes; returns it. */
export async function sameReceipt(hash, nodes) {
  const receipts = await Promise.all(nodes.map((node) => node.receipt(hash)));
  receipts.forEach((receipt) => assert.deepEqual(receipt, receipts[0]));
  return receipts[0];
}
