// A member is added to a group, gets its history, and is removed again.
//
//   coterie dev --ready-file ready.json
//   node add-and-remove.mjs ready.json

import { createPrivacyClient, privateKeySigner } from "@coterie/sdk";

import { alice, bob, carol } from "./network.mjs";

const [first, , third] = [alice, bob, carol].map(({ url, enclaveKey, privateKey }) =>
  createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(privateKey) }),
);
const name = (key) => [alice, bob, carol].find(({ enclaveKey }) => enclaveKey === key).name;
const names = async (client) => (await client.groups.participants({ privacyGroupId })).map(name).join(", ");

const { privacyGroupId } = await first.groups.create({ participants: [alice.enclaveKey, bob.enclaveKey] });
console.log(`members: ${await names(first)}`);

// Locks the group, adds, and unlocks it whatever happens.
const { receipt } = await first.groups.add({
  privacyGroupId,
  participants: [carol.enclaveKey],
  onProgress: ({ step, state }) => {
    if (state === "done") console.log(`  ${step} is done`);
  },
});
await third.waitForReceipt(receipt.transactionHash);
console.log(`members, as ${carol.name} sees them: ${await names(third)}`);

await first.groups.remove({ privacyGroupId, participant: carol.enclaveKey });
console.log(`members: ${await names(first)}`);
