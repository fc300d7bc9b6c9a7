// The public side: contracts and transactions that everyone sees, sent with viem.

import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { eventually } from "./wait.mjs";

const POLLING_MS = 20;

/** viem's clients for a URL that speaks `eth_*`. */
export function publicClients(url, chainId) {
  const chain = defineChain({
    id: chainId,
    name: "test",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [url] } },
  });
  const options = { chain, transport: http(url), pollingInterval: POLLING_MS };
  return {
    reader: createPublicClient(options),
    wallet: (account) =>
      createWalletClient({ ...options, account: privateKeyToAccount(account.privateKey) }),
  };
}

/** Sends a public transaction and returns its receipt; it must have succeeded. */
export async function transact(chain, account, transaction) {
  const { reader, wallet } = publicClients(chain.url, chain.chainId);
  const hash = await wallet(account).sendTransaction(transaction);
  // viem's own wait looks once a block and can miss the last one.
  const receipt = await eventually(`${hash} is mined`, () => reader.getTransactionReceipt({ hash }));
  if (receipt.status !== "success") throw new Error(`public transaction ${hash} failed`);
  return receipt;
}

/** Deploys a public contract and returns its address. */
export async function deployPublic(chain, account, contract, ...args) {
  const { contractAddress } = await transact(chain, account, { data: contract.creation(...args) });
  return contractAddress;
}
