// A token that only the members of a group know, with viem.
//
//   coterie dev --ready-file ready.json
//   node erc20-viem.mjs ready.json

import { privacyActions } from "@coterie/sdk/viem";
import { createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { alice, bob, chainId, contracts } from "./network.mjs";

const [first, second] = [alice, bob].map(({ url, enclaveKey, privateKey }) => {
  const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
  const chain = defineChain({ id: chainId, name: "dev", nativeCurrency, rpcUrls: { default: { http: [url] } } });
  const account = privateKeyToAccount(privateKey);
  return createWalletClient({ account, chain, transport: http() }).extend(privacyActions({ enclaveKey }));
});

const { privacyGroupId } = await first.priv.groups.create({ participants: [alice.enclaveKey, bob.enclaveKey] });

const { abi, bytecode } = contracts.Erc20;
const { contract: token } = await first.priv.deploy({ abi, bytecode, args: [1_000n], privacyGroupId });
console.log(`token ${token.address}, known to ${alice.name} and ${bob.name} only`);

const hash = await token.write.transfer([bob.address, 250n]);
await first.priv.waitForReceipt(hash);
console.log(`${alice.name} has ${await token.read.balanceOf([alice.address])}`);

// The other member reads the same state from its own node.
const { status, logs } = await second.priv.waitForReceipt(hash);
const same = second.priv.getContract({ address: token.address, abi, privacyGroupId });
console.log(`${bob.name} has ${await same.read.balanceOf([bob.address])}: ${status}, ${logs.length} event`);
