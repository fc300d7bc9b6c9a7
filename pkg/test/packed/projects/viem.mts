// Type-checked only: the entry for viem from a module, with the types of a contract inferred.

import { enclaveKey, type GroupId, type PrivateReceipt } from "@coterie/sdk";
import { privacyActions } from "@coterie/sdk/viem";
import { createWalletClient, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const abi = parseAbi(["function store(uint256)", "function value() view returns (uint256)"]);
const client = createWalletClient({ account: privateKeyToAccount("0x01"), transport: http() }).extend(
  privacyActions({ enclaveKey: enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=") }),
);

export async function use(privacyGroupId: GroupId): Promise<PrivateReceipt> {
  const contract = client.priv.getContract({ abi, address: "0x01", privacyGroupId });
  const value: bigint = await contract.read.value();
  // @ts-expect-error a number is stored
  await contract.write.store(["one"]);
  return client.priv.waitForReceipt(await contract.write.store([value]));
}
