// The same token with ethers.
//
//   coterie dev --ready-file ready.json
//   node erc20-ethers.mjs ready.json

import { createPrivacyClient, privateKeySigner } from "@coterie/sdk";
import { PrivateContractFactory, privacy } from "@coterie/sdk/ethers";
import { Contract, JsonRpcProvider, Wallet } from "ethers";

import { alice, bob, contracts } from "./network.mjs";

// Groups are made with the SDK's own client.
const { url, enclaveKey, privateKey } = alice;
const client = createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(privateKey) });
const { privacyGroupId } = await client.groups.create({ participants: [alice.enclaveKey, bob.enclaveKey] });

// A provider and a signer of ethers for one group.
const nodes = [alice, bob].map((member) => new JsonRpcProvider(member.url));
const [first, second] = [alice, bob].map((member, at) =>
  privacy(nodes[at], new Wallet(member.privateKey), { privacyGroupId, enclaveKey: member.enclaveKey }),
);

const { abi, bytecode } = contracts.Erc20;
const token = await new PrivateContractFactory(abi, bytecode, first.signer).deploy(1_000n);
await token.waitForDeployment();
const address = await token.getAddress();
console.log(`token ${address}, known to ${alice.name} and ${bob.name} only`);

const transaction = await token.transfer(bob.address, 250n);
await transaction.wait();
console.log(`${alice.name} has ${await token.balanceOf(alice.address)}`);

// The other member reads the same state from its own node.
const { status, logs } = await second.provider.waitForTransaction(transaction.hash);
const same = new Contract(address, abi, second.provider);
console.log(`${bob.name} has ${await same.balanceOf(bob.address)}: status ${status}, ${logs.length} event`);

for (const each of [first.provider, second.provider, ...nodes]) each.destroy();
