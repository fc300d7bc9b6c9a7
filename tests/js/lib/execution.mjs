// What a private transaction does and what the API tells of it: O1 to O6 of the protocol's
// conformance suite, in flexible groups. Filters and subscriptions are not served yet.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeErrorResult, parseAbi } from "viem";

import { sameReceipt, sameRoot } from "./checks.mjs";
import { CrossReader, Environment, EventEmitter, Looper, MANAGEMENT, MARKER_TO, Reverter, STORED_TOPIC, management } from "./contracts.mjs";
import { randomGroup } from "./network.mjs";
import { deployPublic, transact } from "./public.mjs";
import { eventually } from "./wait.mjs";

const word = (value) => `0x${BigInt(value).toString(16).padStart(64, "0")}`;

/** Registers the scenarios; `network` is asked when they run. */
export function executionScenarios(network) {
  /** A group of A and B with a private contract in it. */
  const groupWith = async (contract, ...args) => {
    const { members, accounts, chain } = network();
    const [a, b, c] = members;
    const [alice, bob] = accounts;
    const group = randomGroup();
    await a.create(group, alice, [a, b]);
    const deployed = await a.deploy(group, alice, contract, ...args);
    await b.receipt(deployed.commitmentHash);
    return { a, b, c, alice, bob, chain, group, deployed, address: deployed.contractAddress };
  };

  test("O1 a private call reads, and its failures have the texts clients know", async () => {
    const { a, b, alice, group, address } = await groupWith(EventEmitter);
    const value = EventEmitter.data("value");
    assert.equal(await a.call(group, address, value), word(0));
    const stored = await a.succeed({ group, account: alice, to: address, data: EventEmitter.data("store", 42) });
    assert.equal(await a.call(group, address, value), word(42));
    await b.receipt(stored.commitmentHash);
    assert.equal(await b.call(group, address, value), word(42));
    const before = `0x${(Number(stored.blockNumber) - 1).toString(16)}`;
    assert.equal(await b.call(group, address, value, before), word(0));

    assert.equal(await a.call(randomGroup(), address, value), "0x");
    assert.equal(await a.call(group, alice.address, value), "0x");

    const noFunction = await a.rpcError("priv_call", group, { to: address, data: "0x12345678" }, "latest");
    assert.equal(noFunction.code, -50100);
    assert.equal(noFunction.message, "Private transaction failed");
  });

  test("O1 a private call that reverts tells the reason", async () => {
    const { a, group, address } = await groupWith(Reverter);
    const data = Reverter.data("withReason", "RevertReason");
    const reverted = await a.rpcError("priv_call", group, { to: address, data }, "latest");
    assert.equal(reverted.code, -32000);
    assert.equal(reverted.message, "Execution reverted: RevertReason");
    const abi = parseAbi(["error Error(string)"]);
    assert.equal(reverted.data, encodeErrorResult({ abi, errorName: "Error", args: ["RevertReason"] }));
  });

  test("O2 private code reads the public state", async () => {
    const { a, b, alice, bob, chain, group, address } = await groupWith(CrossReader);
    const emitter = await deployPublic(chain, bob, EventEmitter);
    const remote = await deployPublic(chain, bob, CrossReader);
    await transact(chain, bob, { to: emitter, data: EventEmitter.data("store", 12) });

    const direct = await a.succeed({ group, account: alice, to: address, data: CrossReader.data("read", emitter) });
    assert.equal(direct.output, word(12));
    const nested = CrossReader.data("readRemote", remote, emitter);
    const through = await a.succeed({ group, account: alice, to: address, data: nested });
    assert.equal(through.output, word(12));
    assert.equal(await a.call(group, address, nested), word(12));
    await sameReceipt(through.commitmentHash, [a, b]);
    await sameRoot(group, through, [a, b]);
  });

  test("O2 a call at an older block sees that block's public state and header", async () => {
    const { a, bob, chain, group, address } = await groupWith(CrossReader);
    const { contractAddress: environment } = await a.deploy(group, bob, Environment);
    const emitter = await deployPublic(chain, bob, EventEmitter);
    const heights = [];
    for (const number of [12, 13]) {
      const { blockNumber } = await transact(chain, bob, { to: emitter, data: EventEmitter.data("store", number) });
      heights.push(`0x${blockNumber.toString(16)}`);
    }
    // There is an answer once the node has followed the block.
    const call = (to, data, block) => eventually("the call is answered", () => a.call(group, to, data, block));
    const read = CrossReader.data("read", emitter);
    assert.equal(await call(address, read, heights[1]), word(13));
    assert.equal(await call(address, read, heights[0]), word(12));
    assert.equal(await call(address, read, `0x${(Number(heights[0]) - 1).toString(16)}`), word(0));

    for (const height of heights) {
      const block = await chain.rpc("eth_getBlockByNumber", height, false);
      const seen = await call(environment, Environment.data("blockEnvironment"), height);
      const [number, timestamp, coinbase, difficulty, gasLimit, baseFee, chainId] =
        Environment.result("blockEnvironment", seen);
      assert.equal(number, BigInt(block.number));
      assert.equal(timestamp, BigInt(block.timestamp));
      assert.equal(coinbase.toLowerCase(), block.miner.toLowerCase());
      assert.equal(difficulty, BigInt(block.mixHash));
      assert.equal(gasLimit, BigInt(block.gasLimit));
      assert.equal(baseFee, BigInt(block.baseFeePerGas));
      assert.equal(chainId, BigInt(chain.chainId));
      const parent = Environment.data("hashOf", BigInt(block.number) - 1n);
      assert.equal(await call(environment, parent, height), block.parentHash);
    }
  });

  test("O2 public code does not see the private state", async () => {
    const { bob, chain, address } = await groupWith(EventEmitter);
    const reader = await deployPublic(chain, bob, CrossReader);
    const call = { to: reader, data: CrossReader.data("read", address) };
    await assert.rejects(chain.rpc("eth_call", call, "latest"), { name: "RpcError" });
    assert.equal(await chain.rpc("eth_getCode", address, "latest"), "0x");
  });

  test("O2 private code cannot change the public state", async () => {
    const { a, b, alice, bob, chain, group, address } = await groupWith(CrossReader);
    const remote = await deployPublic(chain, bob, CrossReader);
    const counter = { to: remote, data: CrossReader.data("counter") };
    const code = await chain.rpc("eth_getCode", remote, "latest");

    for (const what of ["incrementRemote", "deployRemote", "remoteDestroy"]) {
      const data = CrossReader.data(what, remote);
      const failed = await a.execute({ group, account: alice, to: address, data });
      assert.equal(failed.status, "0x0", what);
      assert.equal(failed.reason, "reverted", what);
      assert.equal(failed.output, "0x", what);
      assert.deepEqual(failed.logs, [], what);
      assert.equal((await chain.receipt(failed.commitmentHash)).status, "0x1", what);
    }
    const data = CrossReader.data("tryIncrementRemote", remote);
    const caught = await a.succeed({ group, account: alice, to: address, data });
    assert.equal(caught.output, word(0), "the inner call failed");
    assert.equal(await a.call(group, address, counter.data), word(1), "what the outer frame wrote stays");

    assert.equal(await chain.rpc("eth_call", counter, "latest"), word(0));
    assert.equal(await chain.rpc("eth_getCode", remote, "latest"), code);
    await sameRoot(group, caught, [a, b]);
  });

  test("O3 a failed creation has status 0x0, and its marker is mined", async () => {
    const { a, b, alice, chain, group } = await groupWith(EventEmitter);
    const failed = await a.execute({ group, account: alice, data: "0xfe" });
    assert.equal(failed.status, "0x0");
    assert.equal(failed.reason, "reverted");
    assert.equal((await chain.receipt(failed.commitmentHash)).status, "0x1");
    await sameReceipt(failed.commitmentHash, [a, b]);
    await sameRoot(group, failed, [a, b]);
  });

  test("what needs more than the private gas fails, and its marker is mined", async () => {
    const { a, b, alice, chain, group, address } = await groupWith(Looper);
    const failed = await a.execute({ group, account: alice, to: address, data: Looper.data("fill") });
    assert.equal(failed.status, "0x0");
    assert.equal(failed.reason, "out_of_gas");
    assert.ok(!("revertReason" in failed));
    assert.equal((await chain.receipt(failed.commitmentHash)).status, "0x1");
    await sameReceipt(failed.commitmentHash, [a, b]);
    await sameRoot(group, failed, [a, b]);
    // Nothing but the nonce is left of it.
    const counted = await a.succeed({ group, account: alice, to: address, data: Looper.data("touch", 1) });
    assert.equal(counted.reason, "executed");
  });

  test("O3 of two equal transactions in a block the first counts", async () => {
    const { a, b, alice, chain, group, address } = await groupWith(EventEmitter);
    const raw = await a.sign({ group, account: alice, to: address, data: EventEmitter.data("store", 5) });
    const hashes = await chain.inOneBlock(async () => [
      await a.rpc("eea_sendRawTransaction", raw),
      await a.rpc("eea_sendRawTransaction", raw),
    ]);
    const [first, second] = await Promise.all(hashes.map((hash) => sameReceipt(hash, [a, b])));
    assert.equal(first.blockHash, second.blockHash);
    assert.equal(first.status, "0x1");
    assert.equal(first.reason, "executed");
    assert.equal(second.status, "0x2");
    assert.equal(second.reason, "nonce");
    for (const hash of hashes) assert.equal((await chain.receipt(hash)).status, "0x1");
    await sameRoot(group, first, [a, b]);
  });

  test("O4 logs are found by range, by block and by topic, and by members only", async () => {
    const { a, b, c, alice, group, deployed, address } = await groupWith(EventEmitter);
    const store = (number) =>
      a.succeed({ group, account: alice, to: address, data: EventEmitter.data("store", number) });
    const [first, second] = [await store(1), await store(2)];
    await b.receipt(second.commitmentHash);
    const logs = (node, filter) => node.rpc("priv_getLogs", group, filter);

    const whole = { fromBlock: deployed.blockNumber, toBlock: "latest", address };
    const found = await logs(b, whole);
    assert.deepEqual(found, await logs(a, whole));
    assert.deepEqual(found.map(({ data }) => BigInt(`0x${data.slice(-64)}`)), [1n, 2n]);
    for (const log of found) {
      assert.equal(log.address, address);
      assert.deepEqual(log.topics, [STORED_TOPIC]);
      assert.equal(log.removed, false);
    }
    assert.equal(found[0].transactionHash, first.commitmentHash);
    assert.deepEqual(await logs(b, { blockHash: second.blockHash, topics: [STORED_TOPIC] }), [found[1]]);
    assert.deepEqual(await logs(b, { ...whole, topics: [word(1)] }), []);
    assert.deepEqual(await logs(b, { ...whole, toBlock: first.blockNumber }), [found[0]]);
    // Two for the members of the creation, two of the emitter.
    assert.equal((await logs(a, { fromBlock: "0x0" })).length, 4);

    assert.equal(await c.rpc("priv_getTransactionReceipt", second.commitmentHash), null);
    assert.deepEqual(await logs(c, whole), []);
  });

  test("O4 code and transaction are what was deployed and sent, for members only", async () => {
    const { a, b, c, alice, chain, group, deployed, address } = await groupWith(EventEmitter);
    assert.equal(await b.rpc("priv_getCode", group, address, "latest"), EventEmitter.runtime);
    assert.equal(await b.rpc("priv_getCode", group, alice.address, "latest"), "0x");
    assert.equal(await c.rpc("priv_getCode", group, address, "latest"), null);

    const transaction = await b.rpc("priv_getPrivateTransaction", deployed.commitmentHash);
    const { v, r, s, to = null, ...rest } = transaction;
    assert.equal(to, null, "a creation has no recipient");
    assert.deepEqual(rest, {
      from: alice.address,
      gas: "0x2dc6c0",
      gasPrice: "0x3e8",
      input: EventEmitter.bytecode,
      nonce: "0x1",
      value: "0x0",
      privateFrom: a.enclaveKey,
      privacyGroupId: group,
      restriction: "restricted",
    });
    assert.ok([35, 36].includes(Number(v) - 2 * chain.chainId), `v is ${v}`);
    for (const part of [r, s]) assert.match(part, /^0x[1-9a-f][0-9a-f]*$/);
    assert.equal(await c.rpc("priv_getPrivateTransaction", deployed.commitmentHash), null);
  });

  test("O5 a recipient that no node has is refused before anything is published", async () => {
    const { members, accounts, chain } = network();
    const [a] = members;
    const stranger = Buffer.alloc(32, 5).toString("base64");
    const data = management.addParticipants([a.enclaveKey, stranger]);
    const height = await chain.height();
    const refused = await a.sendError({ group: randomGroup(), account: accounts[0], to: MANAGEMENT, data });
    assert.equal(refused.code, -50200);
    assert.match(refused.message, /^Recipient not found for key:/);
    assert.equal(await chain.height(), height);
  });

  test("O5 a node sends for its own enclave keys only", async () => {
    const { a, b, alice, group, address } = await groupWith(EventEmitter);
    const data = EventEmitter.data("store", 1);
    const foreign = { group, account: alice, to: address, data, privateFrom: b.enclaveKey };
    assert.equal((await a.sendError(foreign)).code, -50100);
    const refused = await a.rpcError("priv_distributeRawTransaction", await a.sign(foreign));
    assert.equal(refused.code, -50100);
    assert.equal(refused.message, "Private from does not match enclave public key");
  });

  test("O6 a client may sign the marker itself", async () => {
    const { a, b, c, alice, bob, chain, group, address } = await groupWith(EventEmitter);
    const data = EventEmitter.data("store", 99);
    const raw = await a.sign({ group, account: alice, to: address, data });
    const id = await a.rpc("priv_distributeRawTransaction", raw);
    assert.match(id, /^0x[0-9a-f]{64}$/);
    const marker = await transact(chain, bob, { to: MARKER_TO, data: id });
    const receipt = await sameReceipt(marker.transactionHash, [a, b]);
    assert.equal(receipt.status, "0x1");
    assert.equal(await b.call(group, address, EventEmitter.data("value")), word(99));
    assert.equal(await c.rpc("priv_getTransactionReceipt", marker.transactionHash), null);
  });
}
