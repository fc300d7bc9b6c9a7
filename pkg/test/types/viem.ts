// What the types promise: compiled by test/unit/types.test.mjs, never run.

import type { Account, Chain, Client, Transport } from "viem";
import { createClient, createWalletClient, http, rpcSchema } from "viem";
import { enclaveKey, groupId, type EnclaveKey, type GroupId, type PrivateReceipt } from "@coterie/sdk";
import { getPrivateContract, privacyActions, readPrivateContract, writePrivateContract, type PrivRpcSchema } from "@coterie/sdk/viem";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(_: Equal<A, B>): void => {};

const abi = [
  { type: "function", name: "value", stateMutability: "view", inputs: [], outputs: [{ type: "uint256" }] },
  { type: "function", name: "pair", stateMutability: "view", inputs: [{ type: "address", name: "who" }], outputs: [{ type: "bool", name: "a" }, { type: "string", name: "b" }] },
  { type: "function", name: "store", stateMutability: "nonpayable", inputs: [{ type: "uint256", name: "it" }], outputs: [] },
  { type: "event", name: "stored", inputs: [{ type: "address", name: "to", indexed: true }, { type: "uint256", name: "amount", indexed: false }] },
] as const;

declare const client: Client<Transport, Chain | undefined, Account | undefined>;
declare const id: GroupId;
declare const key: EnclaveKey;
const address = "0x0000000000000000000000000000000000000001";

export async function contract() {
  const it = getPrivateContract({ address, abi, privacyGroupId: id, client });
  const value = await it.read.value();
  is<typeof value, bigint>(true);
  const pair = await it.read.pair([address], { blockTag: 5n });
  is<typeof pair, readonly [boolean, string]>(true);
  const hash = await it.write.store([1n]);
  is<typeof hash, `0x${string}`>(true);
  const receipt = await it.execute.store([1n], { timeout: 1000 });
  is<typeof receipt, PrivateReceipt>(true);
  const [event] = await it.getEvents.stored({ to: address });
  is<bigint, NonNullable<typeof event>["args"]["amount"]>(true);
  for await (const { args } of it.watchEvents.stored()) is<typeof args.to, `0x${string}`>(true);

  // @ts-expect-error no such function
  await it.read.nothing();
  // @ts-expect-error a view is not written
  await it.write.value();
  // @ts-expect-error an argument is missing
  await it.write.store();
  // @ts-expect-error of a wrong type
  await it.write.store(["1"]);
  // @ts-expect-error no such event
  await it.getEvents.nothing();
}

export async function actions() {
  const value = await readPrivateContract(client, { abi, address, privacyGroupId: id, functionName: "value" });
  is<typeof value, bigint>(true);
  await writePrivateContract(client, { abi, address, privacyGroupId: id, privateFrom: key, functionName: "store", args: [1n] });
  // @ts-expect-error arguments are missing
  await writePrivateContract(client, { abi, address, privacyGroupId: id, privateFrom: key, functionName: "store" });
  // @ts-expect-error a view
  await writePrivateContract(client, { abi, address, privacyGroupId: id, privateFrom: key, functionName: "value" });
}

export async function extension(account: Account) {
  const wallet = createWalletClient({ account, transport: http("http://127.0.0.1") }).extend(privacyActions({ enclaveKey: key }));
  const { privacyGroupId } = await wallet.priv.groups.create({ participants: [key] });
  is<typeof privacyGroupId, GroupId>(true);
  const { contract: it } = await wallet.priv.deploy({ abi, bytecode: "0x00", privacyGroupId });
  is<Awaited<ReturnType<typeof it.read.value>>, bigint>(true);
  await wallet.sendTransaction({ to: address, chain: null });

  // @ts-expect-error a group id is no enclave key
  await wallet.priv.groups.create({ participants: [id] });
  // @ts-expect-error a plain text is neither
  await wallet.priv.groups.participants({ privacyGroupId: "AAAA" });
  // @ts-expect-error one or the other
  await wallet.priv.sendTransaction({ privacyGroupId: id, privateFor: [key], to: address });
  await wallet.priv.groups.create({ participants: [enclaveKey("x")], privacyGroupId: groupId("x") });
}

export async function schema() {
  const typed = createClient({ transport: http("http://127.0.0.1"), rpcSchema: rpcSchema<PrivRpcSchema>() });
  const count = await typed.request({ method: "priv_getTransactionCount", params: [address, id] });
  is<typeof count, `0x${string}`>(true);
  // @ts-expect-error no such method
  await typed.request({ method: "priv_nothing", params: [] });
}
