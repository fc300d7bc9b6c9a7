// Nodes that ask for tokens: the whole story of a group by every entry, over HTTP and over WebSocket.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Contract, FetchRequest, JsonRpcProvider, Wallet } from "ethers";
import { createClient, custom, http } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import WebSocket from "ws";

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";
import { privacy } from "@coterie/sdk/ethers";
import { privacyActions } from "@coterie/sdk/viem";
import { webSocket } from "@coterie/sdk/ws";

import { eventually } from "../../../tests/js/lib/wait.mjs";
import { startGuarded } from "./lib/guarded.mjs";
import { EventEmitter, POLLING } from "./lib/network.mjs";

let network;
before(async () => {
  network = await startGuarded();
  // The nodes learn each other's keys after they have started.
  const { alice, carol } = network;
  const signer = sdk.privateKeySigner(generatePrivateKey());
  const client = sdk.createPrivacyClient({ url: alice.url, headers: alice.headers(), enclaveKey: alice.enclaveKey, signer, polling: POLLING });
  await eventually("alice's node reaches carol's", () =>
    client.groups.create({ participants: [carol.enclaveKey] }).catch((error) => {
      if (!(error instanceof sdk.RecipientUnknownError)) throw error;
    }),
  );
});
after(() => network?.stop());

const word = (value) => BigInt(value).toString(16).padStart(64, "0");
const store = (number) => `0x6057361d${word(number)}`;
const VALUE = "0x3fa4f245";
const numberOf = ({ data }) => Number(BigInt(`0x${data.slice(-64)}`));

/** A WebSocket that is closed when the test ends. */
function socketOf(member, context, headers = async () => member.headers()) {
  const transport = webSocket(member.url.replace("http", "ws"), { WebSocket, headers });
  context.after(() => transport.close());
  return transport;
}

/** Each entry's client of a member, and how it reads a contract's value. */
const ENTRIES = {
  "the client over HTTP": (member, key) => plain(member, key, { url: member.url, headers: async () => member.headers() }),
  "the client over WebSocket": (member, key, context) => plain(member, key, { transport: socketOf(member, context) }),
  "viem over HTTP": (member, key) => viem(member, key, http(member.url, { fetchOptions: { headers: member.headers() } })),
  "viem over WebSocket": (member, key, context) => viem(member, key, custom(socketOf(member, context))),
  "ethers over HTTP": (member, key, context) => {
    const request = new FetchRequest(member.url);
    for (const [name, value] of Object.entries(member.headers())) request.setHeader(name, value);
    const provider = new JsonRpcProvider(request);
    context.after(() => provider.destroy());
    return ethers(member, key, provider, context);
  },
  "ethers over WebSocket": (member, key, context) => ethers(member, key, socketOf(member, context), context),
};

function plain({ enclaveKey }, key, node) {
  const signer = sdk.privateKeySigner(key);
  const client = sdk.createPrivacyClient({ ...node, enclaveKey, signer, polling: POLLING });
  return { client, read: async (privacyGroupId, to) => BigInt(await client.call({ privacyGroupId, to, data: VALUE })) };
}

function viem({ enclaveKey }, key, transport) {
  const account = privateKeyToAccount(key);
  const client = createClient({ account, transport }).extend(privacyActions({ enclaveKey, polling: POLLING }));
  const read = (privacyGroupId, address) => client.priv.getContract({ abi: EventEmitter.abi, address, privacyGroupId }).read.value();
  return { client: client.priv, read };
}

function ethers({ enclaveKey }, key, provider, context) {
  const bound = (privacyGroupId) => {
    const made = privacy(provider, new Wallet(key), { privacyGroupId, enclaveKey, polling: POLLING });
    context.after(() => made.provider.destroy());
    return made;
  };
  const read = (group, address) => new Contract(address, EventEmitter.abi, bound(group).provider).value();
  return { client: bound(sdk.randomGroupId()).client, read };
}

for (const [name, connect] of Object.entries(ENTRIES)) {
  test(`a group is created, used, grows and shrinks: ${name}`, async (context) => {
    const keys = Object.fromEntries(["alice", "bob", "carol"].map((who) => [who, network[who].enclaveKey]));
    const by = (who) => connect(network[who], generatePrivateKey(), context);
    const [alice, bob, carol] = ["alice", "bob", "carol"].map(by);
    const { privacyGroupId } = await alice.client.groups.create({ participants: [keys.alice, keys.bob] });
    const again = (participants) => ({ participants, privacyGroupId });
    await assert.rejects(bob.client.groups.create(again([keys.bob])), sdk.GroupExistsError);
    await assert.rejects(carol.client.groups.create(again([keys.alice])), sdk.GroupExistsError);

    const { address } = await alice.client.deployContract({ privacyGroupId, data: EventEmitter.bytecode });
    const use = { privacyGroupId, to: address };
    await alice.client.execute({ ...use, data: store(42) });
    assert.equal(await bob.read(privacyGroupId, address), 42n);

    // To her it is as if there were no such group.
    const unknown = (error) => error instanceof sdk.GroupNotFoundError && error.code === "GROUP_UNKNOWN";
    const query = { privacyGroupId };
    await assert.rejects(carol.client.groups.participants(query), unknown);
    await assert.rejects(carol.client.groups.isLocked(query), unknown);
    await assert.rejects(carol.client.call({ ...use, data: VALUE }), unknown);
    await assert.rejects(carol.client.getLogs(query), unknown);
    await assert.rejects(carol.client.getCode({ ...query, address }), unknown);
    await assert.rejects(carol.client.getStateRoot(query), unknown);
    await assert.rejects(carol.client.watchLogs(query).next(), unknown);
    await assert.rejects(carol.client.sendTransaction({ ...use, data: store(1) }), unknown);
    assert.equal(await carol.client.getTransactionCount(query), 0n);

    const { receipt } = await alice.client.groups.add({ privacyGroupId, participants: [keys.carol] });
    assert.equal((await carol.client.waitForReceipt(receipt.transactionHash)).status, "success");
    assert.deepEqual((await carol.client.groups.participants(query)).sort(), Object.values(keys).sort());
    assert.equal(await carol.read(privacyGroupId, address), 42n);
    const seen = [];
    for await (const log of carol.client.watchLogs({ privacyGroupId, address, fromBlock: 0 }, { interval: 20 })) {
      seen.push(numberOf(log));
      if (seen.length === 1) await carol.client.execute({ ...use, data: store(43) });
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, [42, 43]);

    assert.equal((await alice.client.groups.remove({ privacyGroupId, participant: keys.carol })).removed, true);
    await alice.client.execute({ ...use, data: store(44) });
    const has = (found) => found.some((it) => it.privacyGroupId === privacyGroupId);
    assert.ok(has(await bob.client.groups.find([keys.alice, keys.bob], { exact: true })));
    // What she saw, she may see; the rest is a group that she does not know.
    await eventually("carol's node has followed the removal", async () => !has(await carol.client.groups.find([keys.carol])));
    assert.equal(await carol.read(privacyGroupId, address), 43n);
    await assert.rejects(carol.client.sendTransaction({ ...use, data: store(1) }), unknown);
  });
}

for (const transport of ["HTTP", "WebSocket"]) {
  test(`a group is created, used, grows and shrinks: compat over ${transport}`, async (context) => {
    const by = (who) => {
      const member = network[who];
      const { enclaveKey } = member;
      const web3 = transport === "HTTP" ? new Web3Quorum(member.url, { headers: member.headers() }) : new Web3Quorum(socketOf(member, context));
      return { ...web3, enclaveKey, signer: { enclaveKey, privateKey: generatePrivateKey() } };
    };
    const [alice, bob, carol] = ["alice", "bob", "carol"].map(by);
    const groups = (member) => member.eth.flexiblePrivacyGroup;
    const receiptBy = (member, hash) => eventually(`the receipt of ${hash}`, () => member.priv.waitForTransactionReceipt(hash, 300, 20));
    const send = async (member, options) => {
      const { privateKey } = member.signer;
      return receiptBy(member, await member.priv.generateAndSendRawTransaction({ privateKey, privateFrom: member.enclaveKey, ...options }));
    };
    const participants = [alice.enclaveKey, bob.enclaveKey];
    const { privacyGroupId } = await groups(alice).create({ ...alice.signer, participants });
    const { contractAddress: to } = await send(alice, { privacyGroupId, data: EventEmitter.bytecode });
    await send(alice, { privacyGroupId, to, data: store(42) });
    const value = async (member) => BigInt(await member.priv.call(privacyGroupId, { to, data: VALUE }, "latest"));
    assert.equal(await value(bob), 42n);
    await assert.rejects(groups(carol).getParticipants({ privacyGroupId }), { name: "GroupNotFoundError", message: "Returned error: Unauthorized" });
    await assert.rejects(value(carol), sdk.GroupNotFoundError);

    const added = await groups(alice).addTo({ ...alice.signer, privacyGroupId, participants: [carol.enclaveKey] });
    assert.equal((await receiptBy(carol, added.commitmentHash)).status, "0x1");
    assert.equal((await groups(carol).getParticipants({ privacyGroupId })).length, 3);
    assert.equal(await value(carol), 42n);
    const seen = [];
    carol.priv.subscriptionPollingInterval = 20;
    const watching = await carol.priv.subscribeWithPooling(privacyGroupId, { address: to, fromBlock: "0x0" }, () => {});
    watching.on("data", (log) => seen.push(numberOf(log.result ?? log)));
    await send(carol, { privacyGroupId, to, data: store(43) });
    await eventually("carol is told of it", () => seen.includes(43));
    await watching.unsubscribe();

    await groups(alice).removeFrom({ ...alice.signer, privacyGroupId, participant: carol.enclaveKey });
    const has = async (member, keys) => (await groups(member).find(keys)).some((it) => it.privacyGroupId === privacyGroupId);
    assert.ok(await has(bob, participants));
    await eventually("carol's node has followed the removal", async () => !(await has(carol, [carol.enclaveKey])));
    assert.equal(await value(carol), 43n);
  });
}

test("calls over a WebSocket go on when tokens end", async (context) => {
  const { alice } = network;
  let tokens = 0;
  let until = 0;
  const headers = async () => {
    tokens += 1;
    const { authorization } = alice.headers(2);
    until = 1000 * JSON.parse(Buffer.from(authorization.split(".")[1], "base64url")).exp;
    return { authorization };
  };
  const client = sdk.createPrivacyClient({ transport: socketOf(alice, context, headers) });
  let calls = 0;
  const failed = [];
  // In flight when the node closed the connection; or the token had ended before it was there.
  const mayFail = (error) => error instanceof sdk.ConnectionError || (error instanceof sdk.UnauthorizedError && Date.now() >= until);
  await eventually("calls go on over several tokens", async () => {
    try {
      for (let call = 0; call < 10; call += 1) {
        await client.groups.find([alice.enclaveKey]);
        calls += 1;
      }
    } catch (error) {
      if (!mayFail(error)) failed.push(error);
    }
    return failed.length > 0 || (tokens >= 4 && calls > tokens);
  });
  assert.deepEqual(failed, []);
});
