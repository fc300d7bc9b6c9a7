// What the types promise: compiled by test/unit/types.test.mjs, never run.

import { Contract, JsonRpcProvider, Wallet, type BaseContract } from "ethers";
import { createPrivacyClient, privateKeySigner, type EnclaveKey, type GroupId } from "@coterie/sdk";
import { PrivateContractFactory, privacy } from "@coterie/sdk/ethers";

declare const privacyGroupId: GroupId;
declare const enclaveKey: EnclaveKey;

export async function all(url: string, key: `0x${string}`) {
  const { provider, signer, client } = privacy(new JsonRpcProvider(url), new Wallet(key), { privacyGroupId, enclaveKey });
  new Contract("0x0000000000000000000000000000000000000001", [], signer);
  const made: BaseContract = await new PrivateContractFactory([], "0x", signer).deploy();
  await made.waitForDeployment();
  await provider.getLogs({});
  await client.groups.lock({ privacyGroupId });
  createPrivacyClient({ transport: new JsonRpcProvider(url), signer: privateKeySigner(key), enclaveKey });
  // @ts-expect-error a Wallet is not what creates private contracts
  new PrivateContractFactory([], "0x", new Wallet(key));
}
