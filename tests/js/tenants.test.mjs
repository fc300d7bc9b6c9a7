// Several tenants of one node, over HTTP and over WebSocket: what members, removed members and others
// see (M1 to M4 and O7 of the protocol's conformance suite), and tokens that end.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { GuardedNode, run, startChain } from "./lib/auth.mjs";
import { Web3 } from "./lib/clients.mjs";
import { EventEmitter, MANAGEMENT, management } from "./lib/contracts.mjs";
import { Account, Chain, Member, randomGroup, temporaryDirectory } from "./lib/network.mjs";
import { RpcError } from "./lib/rpc.mjs";
import { eventually } from "./lib/wait.mjs";

/** A published test account. */
const ALICE = new Account("8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63");
const USERS = [
  ["user", "pegasys"],
  ["user2", "Password2"],
  ["user3", "Password3"],
];
const UNAUTHORIZED = { code: -40100, message: "Unauthorized" };

let publicChain, chain, node;
before(async () => {
  publicChain = await startChain();
  chain = new Chain(publicChain.url, publicChain.chainId);
  const users = (keys) => {
    const entry = ([name, password], at) => {
      const file = join(temporaryDirectory(), "password");
      writeFileSync(file, password);
      const hash = run("token", "password", "--cost", "4", "--password-file", file);
      return `[Users.${name}]\npassword = "${hash}"\npermissions = ["*:*"]\nprivacyPublicKey = "${keys[at]}"\n`;
    };
    return { "users.toml": USERS.map(entry).join("\n") };
  };
  node = await GuardedNode.start(publicChain, 'credentials_file = "users.toml"', users, ["a", "b", "c"]);
});
after(async () => {
  await node?.stop();
  await publicChain?.process.stop();
});

async function login([username, password]) {
  const { json } = await node.post(undefined, { username, password }, "/login");
  return json.token;
}

/** web3's own provider for a WebSocket, with a token. */
class Socket {
  constructor(token, { url } = node) {
    const headers = { authorization: `Bearer ${token}` };
    this.provider = new Web3.providers.WebsocketProvider(url.replace(/^http/, "ws"), { headers });
    this.told = [];
    this.provider.on("data", ({ params }) => this.told.push(params));
    this.provider.on("error", () => {});
  }

  call(method, params) {
    return new Promise((resolve, reject) => {
      this.provider.send({ jsonrpc: "2.0", id: ++Socket.last, method, params }, (error, answer) => {
        if (error) reject(error);
        else resolve(answer);
      });
    });
  }

  close() {
    this.provider.disconnect(1000, "done");
  }
}
Socket.last = 0;

/** A tenant: a member of the node, who calls with its own token. */
class Tenant extends Member {
  constructor(name, enclaveKey, token, socket) {
    super({ name, rpc: node.url, enclaveKey }, chain);
    this.token = token;
    this.socket = socket;
  }

  async rpc(method, ...params) {
    const json = this.socket
      ? await this.socket.call(method, params)
      : (await node.call(this.token, method, ...params)).json;
    if (json.error) throw new RpcError(method, json.error);
    return json.result;
  }

  async rpcError(method, ...params) {
    const answered = await this.rpc(method, ...params).then(
      (result) => assert.fail(`${method} should have failed and answered ${JSON.stringify(result)}`),
      (error) => error,
    );
    if (answered instanceof RpcError) return { code: answered.code, message: answered.message };
    throw answered;
  }
}

for (const transport of ["HTTP", "WebSocket"]) {
  const cast = async () => {
    const tokens = await Promise.all(USERS.map(login));
    const sockets = tokens.map((token) => (transport === "HTTP" ? undefined : new Socket(token)));
    const tenants = tokens.map((token, at) => new Tenant(USERS[at][0], node.keys[at], token, sockets[at]));
    const end = () => sockets.forEach((socket) => socket?.close());
    return { tenants, group: randomGroup(), end };
  };

  test(`M1, M2 over ${transport}: each tenant of a group sees it and its receipt`, async () => {
    const { tenants, end } = await cast();
    for (const members of [tenants.slice(0, 1), tenants]) {
      const group = randomGroup();
      const { commitmentHash } = await members[0].create(group, ALICE, members);
      for (const tenant of members) {
        assert.equal((await tenant.receipt(commitmentHash)).status, "0x1");
        const found = await tenant.findGroup(group, [tenant.enclaveKey]);
        assert.deepEqual([...found.members].sort(), members.map((it) => it.enclaveKey).sort());
      }
    }
    end();
  });

  test(`M3 over ${transport}: who is no member has no access`, async () => {
    const { tenants, group, end } = await cast();
    const [k1, k2, k3] = tenants;
    await k1.create(group, ALICE, [k1, k2]);
    const { commitmentHash: deployed, contractAddress: address } = await k1.deploy(group, ALICE, EventEmitter);
    assert.ok((await k1.receipt(deployed)).contractAddress);
    const code = await k1.rpc("priv_getCode", group, address, "latest");
    assert.ok(EventEmitter.bytecode.includes(code.slice(2)));
    assert.equal(await k3.rpc("priv_getTransactionReceipt", deployed), null);
    assert.deepEqual(await k3.rpcError("priv_getCode", group, address, "latest"), UNAUTHORIZED);

    const everything = { fromBlock: "earliest", toBlock: "latest" };
    const filter = await k1.rpc("priv_newFilter", group, everything);
    const store = { group, account: ALICE, to: address, data: EventEmitter.data("store", 10) };
    const { commitmentHash: stored } = await k1.succeed(store);
    assert.equal((await k1.rpc("priv_getFilterChanges", group, filter)).length, 1);
    assert.deepEqual(await k3.rpcError("priv_getFilterChanges", group, filter), UNAUTHORIZED);
    assert.equal((await k1.rpc("priv_getFilterLogs", group, filter)).length, 3);
    assert.deepEqual(await k3.rpcError("priv_getFilterLogs", group, filter), UNAUTHORIZED);
    // Another member neither: the filter is its maker's.
    assert.equal((await k2.rpcError("priv_getFilterLogs", group, filter)).message, "Logs filter not found");
    assert.equal((await k1.rpc("priv_getLogs", group, everything)).length, 3);
    assert.deepEqual(await k3.rpcError("priv_getLogs", group, everything), UNAUTHORIZED);

    const keys = [k1.enclaveKey, k2.enclaveKey];
    const found = (await k1.rpc("privx_findFlexiblePrivacyGroup", keys)).filter((it) => it.privacyGroupId === group);
    assert.deepEqual([found.length, found[0].members.length], [1, 2]);
    const notFound = { code: -50100, message: "Error finding flexible privacy group" };
    assert.deepEqual(await k3.rpcError("privx_findFlexiblePrivacyGroup", keys), notFound);
    // Without keys each is told of its own.
    const own = async (tenant) => (await tenant.rpc("privx_findFlexiblePrivacyGroup", [])).map((it) => it.privacyGroupId);
    assert.ok((await own(k2)).includes(group));
    assert.ok(!(await own(k3)).includes(group));

    assert.equal(BigInt(await k1.call(group, address, EventEmitter.data("value"))), 10n);
    const call = [group, { to: address, data: EventEmitter.data("value") }, "latest"];
    assert.deepEqual(await k3.rpcError("priv_call", ...call), UNAUTHORIZED);
    assert.equal((await k1.rpc("priv_getPrivateTransaction", stored)).privacyGroupId, group);
    assert.equal(await k3.rpc("priv_getPrivateTransaction", stored), null);
    end();
  });

  test(`M4 over ${transport}: a removed member keeps what it saw, and has no filter any more`, async () => {
    const { tenants, group, end } = await cast();
    const [k1, k2, k3] = tenants;
    await k1.create(group, ALICE, tenants);
    const { contractAddress: address } = await k1.deploy(group, ALICE, EventEmitter);
    const filter = await k3.rpc("priv_newFilter", group, { address });
    const store = (value) =>
      k1.succeed({ group, account: ALICE, to: address, data: EventEmitter.data("store", value) });
    const seen = await store(10);
    assert.equal((await k3.rpc("priv_getFilterChanges", group, filter)).length, 1);
    await store(11);
    const removed = await k1.remove(group, ALICE, k3);
    assert.ok(await k3.receipt(removed.commitmentHash));
    const unseen = await store(12);

    for (const method of ["priv_getFilterChanges", "priv_getFilterLogs", "priv_uninstallFilter"]) {
      assert.deepEqual(await k3.rpcError(method, group, filter), UNAUTHORIZED);
    }
    assert.equal((await k3.receipt(seen.commitmentHash)).status, "0x1");
    assert.equal(await k3.rpc("priv_getTransactionReceipt", unseen.commitmentHash), null);
    assert.equal(await k3.rpc("priv_getPrivateTransaction", unseen.commitmentHash), null);
    assert.equal(BigInt(await k3.call(group, address, EventEmitter.data("value"))), 11n);
    const later = [group, { to: address, data: EventEmitter.data("value") }, unseen.blockNumber];
    assert.deepEqual(await k3.rpcError("priv_call", ...later), UNAUTHORIZED);
    assert.equal((await k3.rpc("priv_getLogs", group, { address })).length, 2);
    assert.equal((await k2.rpc("priv_getLogs", group, { address })).length, 3);
    assert.deepEqual(await k3.rpcError("priv_getCode", group, address, "latest"), UNAUTHORIZED);
    const notFound = { code: -50100, message: "Error finding privacy group" };
    assert.deepEqual(await k3.rpcError("priv_debugGetStateRoot", group, "latest"), notFound);

    // Once more a member, it sees what happened while it was out.
    await k1.lock(group, ALICE);
    await k1.add(group, ALICE, [k3]);
    assert.equal((await k3.receipt(unseen.commitmentHash)).status, "0x1");
    assert.equal((await k3.rpc("priv_getLogs", group, { address })).length, 3);
    assert.equal(BigInt(await k3.call(group, address, EventEmitter.data("value"))), 12n);
    end();
  });

  test(`O7 over ${transport}: requests of another key are refused`, async () => {
    const { tenants, group, end } = await cast();
    const [k1, k2, k3] = tenants;
    await k1.create(group, ALICE, [k1, k2]);
    const mismatch = { code: -50100, message: "Private from does not match enclave public key" };
    const send = (from, by) => by.sign({ group, account: ALICE, to: MANAGEMENT, data: management.lock, privateFrom: from, nonce: 1 });
    // The gap of Besu: one tenant sends with another's key, both in the group.
    for (const method of ["eea_sendRawTransaction", "priv_distributeRawTransaction"]) {
      assert.deepEqual(await k2.rpcError(method, await send(k1.enclaveKey, k2)), mismatch);
      const unknown = { code: -50100, message: "Flexible Privacy group does not exist." };
      assert.deepEqual(await k3.rpcError(method, await send(k3.enclaveKey, k3)), unknown);
    }
    const count = [ALICE.address, k1.enclaveKey, [k2.enclaveKey]];
    assert.deepEqual(await k2.rpcError("priv_getEeaTransactionCount", ...count), mismatch);
    // As of a group that does not exist.
    assert.equal(await k3.rpc("priv_getTransactionCount", ALICE.address, group), "0x0");
    assert.equal(await k3.rpc("priv_getTransactionCount", ALICE.address, randomGroup()), "0x0");
    end();
  });
}

test("the subscription of a removed member ends and says so; the others' go on", async () => {
  const [token1, , token3] = await Promise.all(USERS.map(login));
  const [s1, s3] = [new Socket(token1), new Socket(token3)];
  const [k1, k3] = [new Tenant("user", node.keys[0], token1, s1), new Tenant("user3", node.keys[2], token3, s3)];
  const group = randomGroup();
  await k1.create(group, ALICE, [k1, k3]);
  const { contractAddress: address } = await k1.deploy(group, ALICE, EventEmitter);
  const store = (value) =>
    k1.succeed({ group, account: ALICE, to: address, data: EventEmitter.data("store", value) });
  for (const tenant of [k1, k3]) await tenant.rpc("priv_subscribe", group, "logs", { address });
  await store(1);
  await eventually("both are told", () => s1.told.length === 1 && s3.told.length === 1);
  await k1.remove(group, ALICE, k3);
  await eventually("the end is told", () => s3.told.length === 2);
  assert.deepEqual([s3.told[1].privacyGroupId, s3.told[1].error.code], [group, -40100]);
  assert.deepEqual(await k3.rpcError("priv_subscribe", group, "logs", {}), UNAUTHORIZED);
  await store(2);
  await eventually("the other is told", () => s1.told.length === 2);
  assert.equal(s3.told.length, 2);
  s1.close();
  s3.close();
});

test("a WebSocket needs a token, and is closed when it ends", async () => {
  const path = join(temporaryDirectory(), "issuer");
  run("token", "key", path, "--algorithm", "ES256");
  const auth = `algorithm = "ES256"\npublic_key_file = "${path}.pub.pem"\nleeway_s = 0`;
  const guarded = await GuardedNode.start(publicChain, auth);
  const url = guarded.url.replace(/^http/, "ws");
  try {
    assert.equal(await upgrade(guarded.url, {}), 401);
    assert.equal(await upgrade(guarded.url, { authorization: "Bearer x.y.z" }), 401);
    const args = ["--key", `${path}.key.pem`, "--algorithm", "ES256", "--permission", "priv:*"];
    const key = ["--privacy-user-id", guarded.keys[0]];
    let end;
    // A token may end before the second connection is there; then with another.
    await eventually("a connection is there before its token ends", async () => {
      const token = run("token", "sign", ...args, ...key, "--expires-in", "2");
      const authorization = `Bearer ${token}`;
      if ((await upgrade(guarded.url, { authorization })) !== 101) return false;
      end = undefined;
      return new Promise((resolve) => {
        const provider = new Web3.providers.WebsocketProvider(url, { headers: { authorization } });
        provider.on("error", () => resolve(false));
        provider.on("connect", () => resolve(true));
        provider.on("close", (event) => (end = event));
      });
    });
    await eventually("the connection is closed", () => end);
    assert.equal(end.code, 1008);
    assert.match(end.reason, /token/);
  } finally {
    await guarded.stop();
  }
});

test("a tenant can use up its own WebSockets and subscriptions, not the others'", async () => {
  const path = join(temporaryDirectory(), "issuer");
  run("token", "key", path, "--algorithm", "ES256");
  const auth = `algorithm = "ES256"\npublic_key_file = "${path}.pub.pem"\nconnections_max = 2\nsubscriptions_max = 1`;
  const guarded = await GuardedNode.start(publicChain, auth);
  const args = ["--key", `${path}.key.pem`, "--algorithm", "ES256", "--permission", "*:*"];
  const tokens = guarded.keys.map((key) => run("token", "sign", ...args, "--privacy-user-id", key));
  const open = (of) => upgrade(guarded.url, { authorization: `Bearer ${tokens[of]}` });
  const sockets = [0, 0, 1].map((of) => new Socket(tokens[of], guarded));
  const [a1, a2, b] = [0, 0, 1].map((of, at) => new Tenant("tenant", guarded.keys[of], tokens[of], sockets[at]));
  try {
    const group = randomGroup();
    await a1.create(group, ALICE, [a1, b]);
    const subscription = [group, "logs", {}];
    const id = await a1.rpc("priv_subscribe", ...subscription);
    const tooMany = { code: -32005, message: "Limit exceeded" };
    assert.deepEqual(await a2.rpcError("priv_subscribe", ...subscription), tooMany);
    await b.rpc("priv_subscribe", ...subscription);
    assert.deepEqual([await open(0), await open(1)], [429, 101]);

    // What is given back can be used again.
    assert.equal(await a1.rpc("priv_unsubscribe", group, id), true);
    await eventually("a2 can subscribe", () =>
      a2.rpc("priv_subscribe", ...subscription).then(
        () => true,
        () => false,
      ),
    );
    sockets[0].close();
    await eventually("there is room for a connection", async () => (await open(0)) === 101);
  } finally {
    sockets.forEach((it) => it.close());
    await guarded.stop();
  }
});

test("a client that asks and does not read is cut off, and nobody else is", async () => {
  const path = join(temporaryDirectory(), "issuer");
  run("token", "key", path, "--algorithm", "ES256");
  const auth = `algorithm = "ES256"\npublic_key_file = "${path}.pub.pem"\n[rpc.ws]\npatience_ms = 200`;
  const guarded = await GuardedNode.start(publicChain, auth);
  const args = ["--key", `${path}.key.pem`, "--algorithm", "ES256", "--permission", "*:*"];
  const token = run("token", "sign", ...args, "--privacy-user-id", guarded.keys[0]);
  const other = new Socket(token, guarded);
  try {
    const { socket } = await opened(guarded.url, { authorization: `Bearer ${token}` });
    let failed;
    socket.on("error", (error) => (failed = error));
    socket.pause();
    // The answers are long; the system holds some megabytes of them before the node has to.
    const call = Buffer.from(JSON.stringify({ id: 1, method: "rpc_discover" }));
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | call.length, 0, 0, 0, 0]), call]);
    await eventually("it is cut off", () => {
      for (let at = 0; at < 20 && !failed; at++) socket.write(frame);
      return failed;
    });
    assert.match(failed.code, /ECONNRESET|EPIPE/);
    const { result } = await other.call("priv_getPrivacyPrecompileAddress", []);
    assert.ok(result);
  } finally {
    other.close();
    await guarded.stop();
  }
});

/** The status with which a WebSocket is opened or refused. */
async function upgrade(url, headers) {
  const { statusCode, socket } = await opened(url, headers);
  socket.destroy();
  return statusCode;
}

/** What is answered to the opening of a WebSocket, with the connection. */
function opened(url, headers) {
  const handshake = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": Buffer.alloc(16).toString("base64"),
  };
  return new Promise((resolve, reject) => {
    const opening = request(url, { headers: { ...handshake, ...headers } });
    opening.on("response", resolve).on("upgrade", resolve).on("error", reject).end();
  });
}
