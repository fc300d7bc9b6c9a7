// Private contracts with ethers 6.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Contract, ContractFactory, JsonRpcProvider, VoidSigner, Wallet } from "ethers";

import { InvalidInputError, NotAParticipantError, TransactionRevertedError, createPrivacyClient, privateKeySigner } from "@coterie/sdk";
import { PrivateContractFactory, PrivateTransactionReceipt, UnsupportedAccountError, explainError, enclaveKey, privacy } from "@coterie/sdk/ethers";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { Erc20, EventEmitter, POLLING, Reverter, startDev } from "./lib/network.mjs";

let network;
const providers = [];
before(async () => {
  network = await startDev({ members: 3 });
});
after(async () => {
  for (const provider of providers) provider.destroy();
  await network?.stop();
});

const enclaveKeyOf = (member) => enclaveKey(network.members[member].enclaveKey);

/** A member's side of a group, by ethers' own provider and Wallet. */
function side(member, privacyGroupId, { signer = new Wallet(network.keys[member]), ...options } = {}) {
  const provider = new JsonRpcProvider(network.members[member].url);
  const made = privacy(provider, signer, { privacyGroupId, enclaveKey: enclaveKeyOf(member), polling: POLLING, ...options });
  providers.push(provider, made.provider);
  return made;
}

async function group() {
  const client = createPrivacyClient({ url: network.members[0].url, enclaveKey: enclaveKeyOf(0), signer: privateKeySigner(network.keys[0]), polling: POLLING });
  const { privacyGroupId } = await client.groups.create({ participants: [0, 1].map(enclaveKeyOf) });
  return { privacyGroupId, a: side(0, privacyGroupId), b: side(1, privacyGroupId) };
}

test("ethers' Contract calls, sends, waits and finds events in a group", async () => {
  const { a, b } = await group();
  const made = await new PrivateContractFactory(EventEmitter.abi, EventEmitter.bytecode, a.signer).deploy();
  await made.waitForDeployment();
  const address = await made.getAddress();
  const deployed = await made.deploymentTransaction().wait();
  assert.equal(deployed.contractAddress, address);
  assert.equal(await a.provider.getCode(address), EventEmitter.runtime);

  const contract = new Contract(address, EventEmitter.abi, a.signer);
  const response = await contract.store(7);
  const receipt = await response.wait();
  assert.equal(receipt.status, 1);
  assert.equal(receipt.logs[0].eventName, "stored");
  assert.equal(receipt.logs[0].args[1], 7n);
  assert.equal(await contract.value(), 7n);
  assert.equal(await contract.value({ blockTag: receipt.blockNumber - 1 }), 0n);
  assert.equal(response.nonce, 2);
  assert.equal(response.to, address);

  const theirs = new Contract(address, EventEmitter.abi, b.provider);
  await eventually("B has it", async () => (await theirs.value()) === 7n);
  const found = await theirs.queryFilter("stored");
  assert.deepEqual(found.map(({ args }) => args[1]), [7n]);
  assert.equal(found[0].transactionHash, response.hash);
  const again = await b.provider.getTransactionReceipt(response.hash);
  assert.ok(again instanceof PrivateTransactionReceipt);
  assert.equal(again.privateReceipt.reason, "executed");
  const transaction = await b.provider.getTransaction(response.hash);
  assert.equal(transaction.from, await a.signer.getAddress());
  assert.equal(transaction.blockNumber, receipt.blockNumber);
  assert.equal((await transaction.getBlock()).number, receipt.blockNumber);
  assert.equal(await a.provider.getTransactionCount(await a.signer.getAddress()), 3);
  assert.equal((await a.provider.getNetwork()).chainId, network.chain.chainId);
  await contract.value.staticCall();
  assert.equal(await contract.store.estimateGas(1), 3_000_000n);
});

test("many sends at once land in order", async () => {
  const { a } = await group();
  const made = await new PrivateContractFactory(EventEmitter.abi, EventEmitter.bytecode, a.signer).deploy();
  const contract = new Contract(await made.getAddress(), EventEmitter.abi, a.signer);
  const numbers = Array.from({ length: 20 }, (_, index) => BigInt(index));
  const sent = await Promise.all(numbers.map((number) => contract.store(number)));
  const receipts = await Promise.all(sent.map((response) => response.wait()));
  assert.ok(receipts.every(({ status }) => status === 1));
  assert.deepEqual((await contract.queryFilter("stored")).map(({ args }) => args[1]), numbers);
});

test("listeners hear events", async () => {
  const { a, b } = await group();
  const made = await new PrivateContractFactory(Erc20.abi, Erc20.bytecode, a.signer).deploy(1000n);
  await made.waitForDeployment();
  const address = await made.getAddress();
  const theirs = new Contract(address, Erc20.abi, b.provider);
  const heard = [];
  await theirs.on("Transfer", (_from, to, amount) => heard.push([to, amount]));
  const to = "0x1111111111111111111111111111111111111111";
  const mine = new Contract(address, Erc20.abi, a.signer);
  await eventually("a transfer is heard", async () => {
    await (await mine.transfer(to, 5n)).wait();
    return heard.length > 0;
  });
  assert.deepEqual(heard[0], [to, 5n]);
  await theirs.off("Transfer");
});

test("reverts tell why, by the contract's interface", async () => {
  const { a } = await group();
  const made = await new PrivateContractFactory(Reverter.abi, Reverter.bytecode, a.signer).deploy();
  const contract = new Contract(await made.getAddress(), Reverter.abi, a.signer);
  await made.waitForDeployment();
  await assert.rejects(contract.withReason.staticCall("no way"), (error) => error.code === "CALL_EXCEPTION" && error.reason === "no way");
  await assert.rejects(contract.withCustomError.staticCall(7n), (error) => error.revert?.name === "Refused" && error.revert.args[1] === 7n);
  await assert.rejects(contract.withReason.estimateGas("no way"), (error) => error.reason === "no way");
  await assert.rejects((await contract.withCustomError(7n)).wait(), (error) => {
    assert.equal(error.code, "CALL_EXCEPTION");
    const why = explainError(error, contract.interface);
    assert.ok(why instanceof TransactionRevertedError);
    assert.deepEqual([why.customError.name, why.customError.args[1]], ["Refused", 7n]);
    return true;
  });
  await assert.rejects((await contract.withReason("no way")).wait(), (error) => explainError(error).revert.reason === "no way");
});

test("ethers' own factory is refused, because its address would be wrong", async () => {
  const { a } = await group();
  await assert.rejects(new ContractFactory(EventEmitter.abi, EventEmitter.bytecode, a.signer).deploy(), (error) => error instanceof InvalidInputError && error.code === "WRONG_FACTORY");
  const other = side(0, a.provider.privacyGroupId);
  assert.ok(new PrivateContractFactory(EventEmitter.abi, EventEmitter.bytecode, a.signer).connect(other.signer));
  assert.throws(() => new PrivateContractFactory(EventEmitter.abi, EventEmitter.bytecode, new Wallet(network.keys[0])), InvalidInputError);
});

test("waiting for somebody else's transaction ends with the reason", async () => {
  const { a } = await group();
  const made = await new PrivateContractFactory(EventEmitter.abi, EventEmitter.bytecode, a.signer).deploy();
  const { hash } = made.deploymentTransaction();
  const outsider = side(2, a.provider.privacyGroupId);
  await assert.rejects(outsider.provider.waitForTransaction(hash, 1, 10_000), (error) => error instanceof NotAParticipantError || error.code === "TIMEOUT");
  const response = outsider.provider._wrapTransactionResponse({ ...made.deploymentTransaction().toJSON(), signature: made.deploymentTransaction().signature, hash });
  await assert.rejects(response.wait(), NotAParticipantError);
});

test("signers that cannot sign private transactions are refused early", async () => {
  const { a } = await group();
  const { privacyGroupId } = a.provider;
  const signer = new VoidSigner(await a.signer.getAddress());
  assert.throws(() => side(0, privacyGroupId, { signer }), UnsupportedAccountError);
  const reader = side(0, privacyGroupId, { signer: null });
  assert.equal(await reader.provider.getCode(await a.signer.getAddress()), "0x");
  await assert.rejects(reader.signer.sendTransaction({ to: await a.signer.getAddress(), data: "0x00" }), { code: "MISSING_OPTION" });
  const own = side(0, privacyGroupId, { signer: privateKeySigner(network.keys[0]) });
  assert.equal(await own.signer.getAddress(), await a.signer.getAddress());
  await assert.rejects(a.signer.sendTransaction({ to: await a.signer.getAddress(), value: 1n }), InvalidInputError);
});
