// The development chain is an ordinary Ethereum endpoint to the clients that people use, directly
// and through a member's node.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ContractFactory, JsonRpcProvider, Wallet } from "ethers";
import { parseEther } from "viem";

import { Web3 } from "./lib/clients.mjs";
import { EventEmitter, Reverter, STORED_TOPIC } from "./lib/contracts.mjs";
import { coterie, startDev, temporaryDirectory } from "./lib/network.mjs";
import { publicClients } from "./lib/public.mjs";
import { post } from "./lib/rpc.mjs";
import { eventually } from "./lib/wait.mjs";

let network;
before(async () => {
  network = await startDev({ members: 1 });
});
after(() => network?.stop());

/** The chain's own URL and that of a node, which passes on what it does not serve. */
const urls = () => [network.chain.url, network.members[0].url];

test("viem sends legacy, access-list and fee-market transactions and reads their effects", async () => {
  for (const url of urls()) {
    const { reader, wallet } = publicClients(url, network.chain.chainId);
    const [alice] = network.accounts;
    const client = wallet(alice);
    assert.equal(await reader.getChainId(), network.chain.chainId);

    const deployment = await client.deployContract({ abi: EventEmitter.abi, bytecode: EventEmitter.bytecode });
    const { contractAddress: address, status } = await reader.waitForTransactionReceipt({ hash: deployment });
    assert.equal(status, "success");
    assert.equal(await reader.getCode({ address }), EventEmitter.runtime);

    for (const [type, number] of [["legacy", 1n], ["eip2930", 2n], ["eip1559", 3n]]) {
      const hash = await client.writeContract({
        address,
        abi: EventEmitter.abi,
        functionName: "store",
        args: [number],
        type,
        ...(type === "eip2930" ? { accessList: [{ address, storageKeys: [] }] } : {}),
      });
      const receipt = await reader.waitForTransactionReceipt({ hash });
      assert.equal(receipt.status, "success");
      assert.equal(receipt.type, type);
      assert.equal(receipt.logs.length, 1);
      assert.deepEqual(receipt.logs[0].topics, [STORED_TOPIC]);
      assert.equal((await reader.getTransaction({ hash })).blockHash, receipt.blockHash);
      const read = { address, abi: EventEmitter.abi, functionName: "value" };
      assert.equal(await reader.readContract(read), number);
      assert.equal(await reader.readContract({ ...read, blockNumber: receipt.blockNumber - 1n }), number - 1n);
    }
    const logs = await reader.getLogs({ address, fromBlock: 0n });
    assert.equal(logs.length, 3);
  }
});

test("viem gets the reason of a revert", async () => {
  const { reader, wallet } = publicClients(network.chain.url, network.chain.chainId);
  const hash = await wallet(network.accounts[0]).deployContract({ abi: Reverter.abi, bytecode: Reverter.bytecode });
  const { contractAddress: address } = await reader.waitForTransactionReceipt({ hash });
  const call = { address, abi: Reverter.abi, functionName: "withReason", args: ["Not today."] };
  await assert.rejects(reader.simulateContract(call), /Not today\./);
});

test("viem reads blocks whose parts agree", async () => {
  const { reader, wallet } = publicClients(network.chain.url, network.chain.chainId);
  const [alice, bob] = network.accounts;
  const before = await reader.getBalance({ address: bob.address });
  const hash = await wallet(alice).sendTransaction({ to: bob.address, value: parseEther("1") });
  const receipt = await reader.waitForTransactionReceipt({ hash });
  assert.equal(await reader.getBalance({ address: bob.address }), before + parseEther("1"));

  const block = await reader.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
  assert.equal(block.number, receipt.blockNumber);
  assert.deepEqual(block.transactions.map((transaction) => transaction.hash), [hash]);
  assert.equal(block.gasUsed, receipt.gasUsed);
  const parent = await reader.getBlock({ blockNumber: block.number - 1n });
  assert.equal(block.parentHash, parent.hash);
  assert.ok(block.timestamp >= parent.timestamp);
  assert.equal(await reader.getTransactionCount(alice), (await reader.getTransaction({ hash })).nonce + 1);
});

test("ethers deploys, sends and reads logs", async () => {
  for (const url of urls()) {
    const provider = new JsonRpcProvider(url, network.chain.chainId, { staticNetwork: true, pollingInterval: 20, cacheTimeout: -1 });
    try {
      const wallet = new Wallet(network.accounts[1].privateKey, provider);
      const contract = await new ContractFactory(EventEmitter.abi, EventEmitter.bytecode, wallet).deploy();
      await contract.waitForDeployment();
      const receipt = await (await contract.store(7)).wait();
      assert.equal(receipt.status, 1);
      assert.equal(await contract.value(), 7n);
      const legacy = await (await contract.store(8, { type: 0 })).wait();
      assert.equal(legacy.type, 0);
      const found = await contract.queryFilter("stored", receipt.blockNumber, legacy.blockNumber);
      assert.deepEqual(found.map(({ args }) => args[1]), [7n, 8n]);
      assert.equal(found[0].args[0].toLowerCase(), network.accounts[1].address);
    } finally {
      provider.destroy();
    }
  }
});

test("web3 deploys, sends and reads logs", async () => {
  for (const url of urls()) {
    const web3 = new Web3(url);
    const account = web3.eth.accounts.wallet.add(network.accounts[2].privateKey);
    const options = { from: account.address, gas: 1_000_000 };
    const contract = await new web3.eth.Contract(EventEmitter.abi)
      .deploy({ data: EventEmitter.bytecode })
      .send(options);
    const receipt = await contract.methods.store(9).send(options);
    assert.equal(receipt.status, true);
    assert.equal(receipt.events.stored.returnValues._amount, "9");
    assert.equal(await contract.methods.value().call(), "9");
    const past = await contract.getPastEvents("stored", { fromBlock: 0 });
    assert.equal(past.length, 1);
    assert.equal(await web3.eth.net.getId(), await web3.eth.getChainId());
    assert.match(await web3.eth.getNodeInfo(), /./);
  }
});

test("the chain makes blocks when told", async () => {
  const { chain, accounts } = network;
  const { reader, wallet } = publicClients(chain.url, chain.chainId);
  const height = await chain.height();
  await chain.mine();
  assert.equal(await chain.height(), height + 1);

  const client = wallet(accounts.at(-1));
  const nonce = await reader.getTransactionCount(accounts.at(-1));
  const hashes = await chain.inOneBlock(async () => {
    const send = (offset) =>
      client.sendTransaction({ to: accounts[0].address, value: 1n, nonce: nonce + offset, gas: 21_000n });
    const sent = [await send(0), await send(1)];
    for (const hash of sent) assert.ok(await chain.isPending(hash));
    assert.equal(await chain.height(), height + 1);
    return sent;
  });
  const receipts = await Promise.all(hashes.map((hash) => chain.receipt(hash)));
  assert.equal(receipts[0].blockHash, receipts[1].blockHash);
  assert.deepEqual(receipts.map(({ transactionIndex }) => transactionIndex), ["0x0", "0x1"]);

  await chain.rpc("evm_setIntervalMining", 20);
  await eventually("three more blocks", async () => (await chain.height()) >= height + 5);
  await chain.rpc("evm_setIntervalMining", 0);
  await chain.rpc("evm_setAutomine", true);
});

test("a network that cannot say where it is stops, and says why", async () => {
  const file = join(temporaryDirectory(), "missing", "ready.json");
  const child = spawn(coterie(), ["dev", "--members", "1", "--rpc-port", "0", "--ready-file", file], { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (told += text));
  const [code] = await once(child, "close", { signal: AbortSignal.timeout(60_000) });
  assert.equal(code, 1);
  assert.match(told, /error: cannot write .*ready\.json/);
  assert.doesNotMatch(told, /panicked/);
});

test("bad requests get the errors of JSON-RPC", async () => {
  for (const url of urls()) {
    const code = async (body) => (await post(url, body)).json.error.code;
    assert.equal(await code("{"), -32700);
    assert.equal(await code({ jsonrpc: "2.0", id: 1, method: "eth_nothing", params: [] }), -32601);
    const { json } = await post(url, [
      { jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] },
      { jsonrpc: "2.0", id: 2, method: "net_version", params: [] },
    ]);
    assert.deepEqual(json.map(({ id }) => id).sort(), [1, 2]);
    assert.equal(Number(json.find(({ id }) => id === 1).result), network.chain.chainId);
    assert.equal(Number(json.find(({ id }) => id === 2).result), network.chain.chainId);
  }
});
