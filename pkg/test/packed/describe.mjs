// A network under test as `coterie dev --ready-file` describes it.

/** What would be in the file. */
export function describe({ chain, members, accounts }) {
  return {
    chain: { url: chain.url, chainId: chain.chainId },
    members: members.map(({ name, url, enclaveKey }) => ({ name, rpc: url, enclaveKey })),
    accounts: accounts.map(({ address, privateKey }) => ({ address, privateKey })),
  };
}
