// Private contracts with viem.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createClient, createPublicClient, createWalletClient, custom, defineChain, http, publicActions } from "viem";
import { mnemonicToAccount, privateKeyToAccount, toAccount } from "viem/accounts";

import { CallRevertedError, TransactionRevertedError, UnsupportedAccountError, MissingOptionError } from "@coterie/sdk";
import * as priv from "@coterie/sdk/viem";

import { Erc20, EventEmitter, POLLING, Reverter, startDev } from "./lib/network.mjs";

let network;
before(async () => {
  network = await startDev({ members: 2 });
});
after(() => network?.stop());

const enclaveKeyOf = (member) => priv.enclaveKey(network.members[member].enclaveKey);
const transportOf = (member) => http(network.members[member].url);

/** A wallet client of a member with `priv`. */
function clientOf(member, { account = privateKeyToAccount(network.keys[member]), ...options } = {}) {
  const client = createWalletClient({ account, transport: transportOf(member), pollingInterval: 20 });
  return client.extend(priv.privacyActions({ enclaveKey: enclaveKeyOf(member), polling: POLLING, ...options }));
}

async function group() {
  const [a, b] = [clientOf(0), clientOf(1)];
  const { privacyGroupId } = await a.priv.groups.create({ participants: [enclaveKeyOf(0), enclaveKeyOf(1)] });
  return { a, b, privacyGroupId };
}

test("a contract is deployed, written, read and its events found", async () => {
  const { a, b, privacyGroupId } = await group();
  const { address, contract, receipt } = await a.priv.deploy({ ...EventEmitter, privacyGroupId });
  assert.equal(receipt.contractAddress.toLowerCase(), address.toLowerCase());
  assert.equal(await contract.read.value(), 0n);
  const hash = await contract.write.store([42n]);
  await b.priv.waitForReceipt(hash);
  const theirs = b.priv.getContract({ address, abi: EventEmitter.abi, privacyGroupId });
  assert.equal(await theirs.read.value(), 42n);
  assert.equal(await theirs.read.value([], { blockTag: receipt.blockNumber }), 0n);

  await contract.execute.store([43n]);
  const events = await contract.getEvents.stored();
  assert.deepEqual(events.map(({ args }) => args._amount), [42n, 43n]);
  assert.equal(events[0].eventName, "stored");
  assert.equal(events[0].args._to.toLowerCase(), a.account.address.toLowerCase());

  const controller = new AbortController();
  const seen = [];
  for await (const { args } of theirs.watchEvents.stored({}, { fromBlock: "earliest", signal: controller.signal, interval: 5 })) {
    seen.push(args._amount);
    if (seen.length === 2) await contract.write.store([44n]);
    if (seen.length === 3) controller.abort();
  }
  assert.deepEqual(seen, [42n, 43n, 44n]);
});

test("indexed arguments filter events", async () => {
  const { a, privacyGroupId } = await group();
  const { contract } = await a.priv.deploy({ ...Erc20, args: [1000n], privacyGroupId });
  const [x, y] = [1, 2].map((number) => `0x${String(number).repeat(40)}`);
  await Promise.all([contract.execute.transfer([x, 1n]), contract.execute.transfer([y, 2n]), contract.execute.transfer([x, 3n])]);
  const input = Erc20.abi.find(({ name }) => name === "Transfer").inputs[1].name;
  const found = await contract.getEvents.Transfer({ [input]: x });
  assert.equal(found.length, 2);
  assert.equal(await contract.read.balanceOf([x]), 4n);
});

test("the contract's own errors are decoded by its ABI", async () => {
  const { a, privacyGroupId } = await group();
  const { contract } = await a.priv.deploy({ ...Reverter, privacyGroupId });
  const custom = (kind) => (error) => {
    assert.ok(error instanceof kind, String(error));
    assert.equal(error.customError.name, "Refused");
    assert.equal(error.customError.args[1], 7n);
    assert.match(error.message, /Refused\(0x.*, 7\)/);
    return true;
  };
  await assert.rejects(contract.execute.withCustomError([7n]), custom(TransactionRevertedError));
  await assert.rejects(contract.read.withCustomError([7n]), custom(CallRevertedError));
  await assert.rejects(contract.execute.withReason(["no"]), (error) => error.revert.reason === "no");
  await assert.rejects(contract.execute.withPanic(), (error) => error.revert.kind === "panic" && error.customError === undefined);
  await assert.rejects(contract.execute.withNothing(), (error) => error.revertData === "0x");
});

test("a contract that is not there is an error", async () => {
  const { a, privacyGroupId } = await group();
  const contract = a.priv.getContract({ address: a.account.address, abi: EventEmitter.abi, privacyGroupId });
  await assert.rejects(contract.read.value(), { code: "NO_CONTRACT" });
});

test("single actions do the same, by a plain client and an extended one", async () => {
  const account = privateKeyToAccount(network.keys[0]);
  await singleActions(createClient({ account, transport: transportOf(0) }), enclaveKeyOf(0));
  await singleActions(clientOf(0));
});

async function singleActions(client, privateFrom) {
  const { privacyGroupId } = await group();
  const base = { privacyGroupId, privateFrom, interval: 20 };
  const { address } = await priv.deployPrivateContract(client, { ...EventEmitter, ...base });
  const call = { address, abi: EventEmitter.abi, privacyGroupId };
  const hash = await priv.writePrivateContract(client, { ...call, privateFrom, functionName: "store", args: [5n] });
  const receipt = await priv.waitForPrivateReceipt(client, { hash, interval: 20 });
  assert.equal(receipt.status, "success");
  assert.equal(await priv.readPrivateContract(client, { ...call, functionName: "value" }), 5n);
  assert.equal((await priv.getPrivateLogs(client, { privacyGroupId, address })).length, 1);
  assert.match(await priv.callPrivate(client, { privacyGroupId, to: address, data: "0x3fa4f245" }), /05$/);
  const contract = priv.getPrivateContract({ ...call, client, privateFrom });
  await priv.waitForPrivateReceipt(client, { hash: await contract.write.store([6n]), interval: 20 });
  assert.equal(await contract.read.value(), 6n);
}

test("any local account signs: HD, and one over a signing service", async () => {
  const { a, privacyGroupId } = await group();
  const { address } = await a.priv.deploy({ ...EventEmitter, privacyGroupId });
  const hd = mnemonicToAccount("test test test test test test test test test test test junk");
  const inner = privateKeyToAccount(network.keys[2]);
  const service = toAccount({
    address: inner.address,
    signMessage: inner.signMessage,
    signTypedData: inner.signTypedData,
    signTransaction: (transaction, options) => inner.signTransaction(transaction, options),
  });
  for (const account of [hd, service]) {
    const client = clientOf(0, { account });
    const contract = client.priv.getContract({ address, abi: EventEmitter.abi, privacyGroupId });
    const receipt = await contract.execute.store([1n]);
    assert.equal(receipt.from.toLowerCase(), account.address.toLowerCase());
  }
});

test("a wallet's account is refused before anything is sent", async () => {
  const { privacyGroupId } = await group();
  const sent = [];
  const provider = {
    request: async ({ method }) => {
      sent.push(method);
      return null;
    },
  };
  const client = createWalletClient({ account: "0xfe3b557e8fb62b89f4916b721be55ceb828dbd73", transport: custom(provider) })
    .extend(priv.privacyActions({ enclaveKey: enclaveKeyOf(0) }));
  await assert.rejects(client.priv.sendTransaction({ privacyGroupId, to: client.account.address, data: "0x00" }), UnsupportedAccountError);
  await assert.rejects(client.priv.groups.create({ participants: [], skipExistsCheck: true }), UnsupportedAccountError);
  assert.deepEqual(sent, []);
});

test("a client without account or key reads, and says what it lacks", async () => {
  const { a, privacyGroupId } = await group();
  const { address } = await a.priv.deploy({ ...EventEmitter, privacyGroupId });
  const reader = createPublicClient({ transport: transportOf(0) }).extend(priv.privacyActions());
  const contract = reader.priv.getContract({ address, abi: EventEmitter.abi, privacyGroupId });
  assert.equal(await contract.read.value(), 0n);
  await assert.rejects(contract.write.store([1n]), MissingOptionError);
  const noKey = createWalletClient({ account: privateKeyToAccount(network.keys[0]), transport: transportOf(0) }).extend(priv.privacyActions());
  await assert.rejects(noKey.priv.sendTransaction({ privacyGroupId, to: address, data: "0x00" }), MissingOptionError);
});

test("viem's own actions stay, and its chain names the chain id", async () => {
  const chain = defineChain({ id: Number(network.chain.chainId), name: "dev", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: [network.members[0].url] } } });
  const client = createClient({ account: privateKeyToAccount(network.keys[0]), chain, transport: transportOf(0) })
    .extend(publicActions)
    .extend(priv.privacyActions({ enclaveKey: enclaveKeyOf(0), polling: POLLING }));
  const { privacyGroupId, receipt } = await client.priv.groups.create({ participants: [] });
  assert.equal((await client.getTransactionReceipt({ hash: receipt.transactionHash })).status, "success");
  assert.equal(await client.request({ method: "priv_getTransactionCount", params: [client.account.address, privacyGroupId] }), "0x1");
});

test("a marker is sent by viem's account", async () => {
  const { a, b, privacyGroupId } = await group();
  const { address } = await a.priv.deploy({ ...EventEmitter, privacyGroupId });
  const key = await a.priv.distributeTransaction({ privacyGroupId, to: address, data: `0x6057361d${"9".padStart(64, "0")}` });
  const receipt = await b.priv.waitForReceipt(await a.priv.sendMarker(key));
  assert.equal(receipt.reason, "executed");
});
