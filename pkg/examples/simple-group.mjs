// Two members make a group, and the second one sees it.
//
//   coterie dev --ready-file ready.json
//   node simple-group.mjs ready.json

import { createPrivacyClient, privateKeySigner } from "@coterie/sdk";

import { alice, bob } from "./network.mjs";

const [first, second] = [alice, bob].map(({ url, enclaveKey, privateKey }) =>
  createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(privateKey) }),
);

// The id is known before anything is sent: store it where it cannot be lost.
const prepared = first.groups.prepareCreate({ participants: [alice.enclaveKey, bob.enclaveKey] });
console.log(`creating group ${prepared.privacyGroupId}`);
const { privacyGroupId, receipt } = await first.groups.create(prepared);
console.log(`created in block ${receipt.blockNumber} by ${receipt.from}`);

// The other member's node follows the same chain; its receipt says that it is there, too.
await second.waitForReceipt(receipt.transactionHash);
const found = await second.groups.find([alice.enclaveKey, bob.enclaveKey]);
const group = found.find((it) => it.privacyGroupId === privacyGroupId);
console.log(`${bob.name} is in a group of ${group.members.length}`);
