// How a node is reached, and what becomes of answers that are not what they should be.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";

import { JsonRpcProvider, Network } from "ethers";
import { createClient, fallback, http } from "viem";

import * as sdk from "@coterie/sdk";

import { ADDRESS, ALICE, GROUP, KEY, TO, errorString, hashOf, log, receipt, word } from "./lib/data.mjs";
import { Raw, Refusal, drop, hang, refuse, startNode, withNode } from "./lib/node.mjs";

const call = (url, options = {}) =>
  sdk.createRpc(url, options).rpc("eth_chainId", [], options.signal ? { signal: options.signal } : {});

test("a request is one POST with its headers", async () => {
  await withNode({ eth_chainId: "0x1" }, async (node) => {
    const headers = async () => ({ authorization: "Bearer token" });
    assert.equal(await call(node.url, { headers }), "0x1");
    assert.equal(await call(new URL(node.url), { headers: { "x-a": "b" } }), "0x1");
    assert.equal(node.requests[0].headers.authorization, "Bearer token");
    assert.equal(node.requests[0].headers["content-type"], "application/json");
    assert.equal(node.requests[1].headers["x-a"], "b");
    const seen = [];
    const fetch = (url, request) => (seen.push(request.headers), globalThis.fetch(url, request));
    await call(node.url, { headers: { "X-A": "b" }, fetch });
    assert.deepEqual(seen, [{ "content-type": "application/json", "x-a": "b" }]);
  });
});

test("a node that cannot be reached is a connection error", async () => {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(call(`http://127.0.0.1:${port}`), (error) => {
    assert.ok(error instanceof sdk.ConnectionError);
    assert.ok(error.cause);
    assert.match(error.message, /ECONNREFUSED/);
    return true;
  });
});

test("a dropped connection is a connection error, and nothing is sent twice", async () => {
  await withNode({ eth_chainId: drop }, async (node) => {
    await assert.rejects(call(node.url), sdk.ConnectionError);
    assert.equal(node.requests.length, 1);
  });
});

test("a slow answer ends with a timeout, or when it is aborted", async () => {
  await withNode({ eth_chainId: hang }, async (node) => {
    await assert.rejects(call(node.url, { requestTimeout: 50 }), sdk.RequestTimeoutError);
    const controller = new AbortController();
    const aborted = call(node.url, { signal: controller.signal });
    controller.abort("enough");
    await assert.rejects(aborted, (error) => error instanceof sdk.AbortError && error.cause === "enough");
    const before = node.requests.length;
    await assert.rejects(call(node.url, { signal: AbortSignal.abort() }), sdk.AbortError);
    assert.equal(node.requests.length, before);
  });
});

test("garbage is an invalid response", async () => {
  const bodies = [
    "", "<html>hello</html>", "null", "[]", "1", '"x"', "{}", '{"jsonrpc":"2.0","id":1}', "{",
    '{"jsonrpc":"2.0","id":-5,"result":"0x1"}', '{"jsonrpc":"2.0","id":null,"result":"0x1"}',
    '{"error":"no"}', '{"error":{}}', '{"error":{"code":"x","message":1}}', '{"error":{"code":1}}', "\u0000\u0001",
    `[{"jsonrpc":"2.0","id":1,"result":"0x1"}]`,
  ];
  for (const body of bodies) {
    await withNode({ eth_chainId: new Raw(body) }, async (node) => {
      await assert.rejects(call(node.url), sdk.InvalidResponseError, body);
    });
  }
});

test("an HTTP error is told by its status", async () => {
  for (const status of [400, 404, 408, 429, 500, 502, 503]) {
    for (const body of ["", "too many requests", "{}"]) {
      await withNode({ eth_chainId: new Raw(body, { status }) }, async (node) => {
        await assert.rejects(call(node.url), (error) => error instanceof sdk.HttpError && error.status === status);
      });
    }
  }
  for (const status of [401, 403]) {
    await withNode({ eth_chainId: new Raw("", { status }) }, async (node) => {
      await assert.rejects(call(node.url), sdk.UnauthorizedError);
    });
  }
  const unauthorized = () => { throw new Refusal(-40100, "Unauthorized", undefined, 401); };
  await withNode({ eth_chainId: unauthorized }, async (node) => {
    await assert.rejects(call(node.url), (error) => error instanceof sdk.UnauthorizedError && error.rpcCode === -40100);
  });
  const invalid = () => { throw new Refusal(-32602, "Invalid params", undefined, 400); };
  await withNode({ eth_chainId: invalid }, async (node) => {
    await assert.rejects(call(node.url), sdk.InvalidParamsError);
  });
});

test("an answer has a limit", async () => {
  const long = `"${"a".repeat(5000)}"`;
  await withNode({ eth_chainId: new Raw(long) }, async (node) => {
    await assert.rejects(call(node.url, { responseBytesMax: 1000 }), sdk.InvalidResponseError);
  });
  await withNode({ eth_chainId: new Raw(long, { headers: { "transfer-encoding": "chunked" } }) }, async (node) => {
    await assert.rejects(call(node.url, { responseBytesMax: 1000 }), sdk.InvalidResponseError);
  });
});

test("all kinds of providers are transports", async () => {
  const send = (payload, callback) => {
    const { id, method, params, jsonrpc } = payload;
    assert.deepEqual([typeof id, method, params, jsonrpc], ["number", "eth_chainId", [], "2.0"]);
    queueMicrotask(() => callback(null, { jsonrpc, id, result: "0x5" }));
  };
  const request = async ({ method, params }) => {
    assert.deepEqual([method, params], ["eth_chainId", []]);
    return "0x5";
  };
  const ethers = { getNetwork: async () => ({}), send: async (method, params) => request({ method, params }) };
  class Provider {
    #secret = "0x5";
    async request() {
      return this.#secret;
    }
  }
  for (const transport of [request, { request }, new Provider(), { send }, { sendAsync: send }, { currentProvider: { send } }, ethers, sdk.createRpc({ request })]) {
    assert.equal(await call(transport), "0x5");
  }
  for (const transport of [undefined, null, 1, {}, [], "not a url", "ftp://x", "ws://localhost", { currentProvider: null }, { request: 1 }]) {
    assert.throws(() => sdk.createRpc(transport), sdk.InvalidInputError);
  }
});

test("what providers throw is looked through", async () => {
  const body = { code: -50100, message: "Flexible Privacy group does not exist.", data: { code: "GROUP_UNKNOWN" } };
  const wrapped = Object.assign(new Error("outer"), { code: -32603, cause: Object.assign(new Error("inner"), body) });
  const ethers = Object.assign(new Error("could not coalesce error"), { code: "UNKNOWN_ERROR", error: body });
  const viem = Object.assign(new Error("An unknown RPC error occurred."), { code: -1, details: "x", cause: Object.assign(new Error("RPC Request failed."), { ...body, message: "RPC Request failed.", details: body.message }) });
  for (const thrown of [body, wrapped, ethers, viem, Object.assign(new Error("web3"), { data: { originalError: body }, code: -32603 })]) {
    await assert.rejects(call(async () => { throw thrown; }), (error) => error instanceof sdk.GroupNotFoundError && error.cause === thrown);
  }
  const sync = () => { throw body; };
  await assert.rejects(call(sync), sdk.GroupNotFoundError);
  await assert.rejects(call({ send: (payload, callback) => callback(null, { id: payload.id, error: body }) }), sdk.GroupNotFoundError);
  await assert.rejects(call({ send: (payload, callback) => callback(new Error("Invalid JSON RPC response: \"\"")) }), sdk.InvalidResponseError);
  await assert.rejects(call({ send: (payload, callback) => callback(new Error("CONNECTION ERROR")) }), sdk.ConnectionError);
  await assert.rejects(call({ send: (payload, callback) => callback(null, null) }), sdk.InvalidResponseError);
  await assert.rejects(call(async () => { throw new Error("offline"); }), sdk.ConnectionError);
  await assert.rejects(call(async () => { throw undefined; }), sdk.ConnectionError);
  await assert.rejects(call(async () => { throw { code: 4001, message: "no" }; }), { code: "USER_REJECTED" });
  await assert.rejects(call(() => new Promise(() => {}), { requestTimeout: 20 }), sdk.RequestTimeoutError);
  const loop = new Error("loop");
  loop.cause = loop;
  await assert.rejects(call(async () => { throw loop; }), sdk.ConnectionError);
});

test("a send over viem or ethers is one request, whatever fails", async () => {
  const request = { privacyGroupId: GROUP, to: TO };
  const answers = { eth_chainId: "0x539", priv_getTransactionCount: "0x0" };
  for (const eea_sendRawTransaction of [drop, new Raw("busy", { status: 503 }), new Raw("", { status: 429 })]) {
    await withNode({ ...answers, eea_sendRawTransaction }, async (node) => {
      const viem = createClient({ transport: http(node.url, { retryDelay: 1 }) });
      const transports = [viem, viem.request, http(node.url, { retryDelay: 1 })({})];
      for (const transport of transports) {
        const before = node.methods().filter((name) => name === "eea_sendRawTransaction").length;
        const client = sdk.createPrivacyClient({ transport, signer: sdk.privateKeySigner(KEY), enclaveKey: ALICE, nonces: sdk.memoryNonces() });
        await assert.rejects(client.sendTransaction(request), sdk.PrivacyError);
        assert.equal(node.methods().filter((name) => name === "eea_sendRawTransaction").length, before + 1);
      }
      // It would go on to the next node.
      for (const transport of [createClient({ transport: fallback([http(node.url), http(node.url)]) }), fallback([http(node.url)])({})]) {
        const before = node.requests.length;
        const client = sdk.createPrivacyClient({ transport, signer: sdk.privateKeySigner(KEY), enclaveKey: ALICE, nonces: sdk.memoryNonces() });
        await assert.rejects(client.sendTransaction(request), sdk.InvalidInputError);
        assert.deepEqual(node.methods().slice(before), ["eth_chainId", "priv_getTransactionCount"]);
      }
    });
  }
});

test("an HTTP error behind ethers is told by its status", async () => {
  await withNode(new Proxy({}, { get: () => new Raw("no", { status: 401 }) }), async (node) => {
    const provider = new JsonRpcProvider(node.url, undefined, { staticNetwork: true });
    await assert.rejects(call(provider), sdk.UnauthorizedError);
    provider.destroy();
  });
});

/** What viem threw before it looked for an answer in such bodies. */
const viemBefore = (details) => async () => {
  throw Object.assign(new Error("HTTP request failed."), { status: 401, details });
};

test("what a node says with an HTTP error is found behind viem and ethers", async () => {
  const refused = () => { throw new Refusal(-40100, "Unauthorized", { code: "UNAUTHORIZED", detail: "no member" }, 401); };
  await withNode({ eth_chainId: refused }, async (node) => {
    const provider = new JsonRpcProvider(node.url, undefined, { staticNetwork: Network.from(1), batchMaxCount: 1 });
    const older = viemBefore(JSON.stringify({ code: -40100, message: "Unauthorized", data: { code: "UNAUTHORIZED", detail: "no member" } }));
    for (const transport of [node.url, older, provider, createClient({ transport: http(node.url) })]) {
      await assert.rejects(call(transport), (error) => {
        assert.deepEqual([error.name, error.rpcCode, error.detail], ["GroupNotFoundError", -40100, "no member"]);
        return error.message === "Unauthorized (no member)";
      });
    }
    provider.destroy();
  });
  // No answer of a node, whatever it is.
  for (const body of ["null", "7", '{"error":7}', '{"code":1}', "{"]) {
    await assert.rejects(call(viemBefore(body)), sdk.UnauthorizedError);
  }
});

test("headers that do not come, or hang, are bounded like the answer", async () => {
  await withNode({ eth_chainId: "0x1" }, async (node) => {
    const headers = () => new Promise(() => {});
    await assert.rejects(call(node.url, { headers, requestTimeout: 20 }), sdk.RequestTimeoutError);
    await assert.rejects(call(node.url, { headers, signal: AbortSignal.timeout(20) }), sdk.AbortError);
    const failing = async () => { throw new Error("no token"); };
    await assert.rejects(call(node.url, { headers: failing }), { message: "no token" });
    assert.equal(node.requests.length, 0);
  });
});

test("a URL's password is sent as a header and shown nowhere", async () => {
  await withNode({ eth_chainId: "0x1" }, async (node) => {
    const url = node.url.replace("//", "//us%40er:s%C3%A9cret@");
    assert.equal(await call(url), "0x1");
    assert.equal(node.requests[0].headers.authorization, `Basic ${Buffer.from("us@er:sécret").toString("base64")}`);
    await call(url, { headers: { Authorization: "Bearer token" } });
    assert.equal(node.requests[1].headers.authorization, "Bearer token");
  });
  await assert.rejects(call("http://user:s3cret@127.0.0.1:1"), (error) => error instanceof sdk.ConnectionError && !/s3cret/.test(`${error.stack}${error.cause}`));
  assert.throws(() => sdk.createRpc("http://user:s3cret%zz@127.0.0.1"), (error) => error instanceof sdk.InvalidInputError && !/s3cret/.test(error.stack));
  await assert.rejects(call("http://127.0.0.1:1", { headers: { authorization: "s3cret\n?" } }), (error) => error instanceof sdk.InvalidInputError && !/s3cret/.test(error.stack));
});

test("a web3 instance is asked for its provider each time", async () => {
  const provider = (result) => ({ send: ({ id }, callback) => callback(null, { id, result }) });
  const web3 = { currentProvider: provider("0x1") };
  const rpc = sdk.createRpc(web3);
  assert.equal(await rpc.rpc("eth_chainId", []), "0x1");
  web3.currentProvider = provider("0x2");
  assert.equal(await rpc.rpc("eth_chainId", []), "0x2");
  web3.currentProvider = null;
  await assert.rejects(rpc.rpc("eth_chainId", []), sdk.InvalidInputError);
});

test("a chain id is not kept where the chain can change", async () => {
  const node = { chainId: 1n, sent: [] };
  const request = async ({ method, params: [raw] = [] }) => {
    if (method === "eth_chainId") return `0x${node.chainId.toString(16)}`;
    if (method === "priv_getTransactionCount") return "0x0";
    const { chainId } = sdk.parsePrivateTransaction(raw);
    if (chainId !== node.chainId) throw { code: -50100, message: "Wrong chainId" };
    return hashOf(node.sent.push(chainId));
  };
  const send = (client) => client.sendTransaction({ privacyGroupId: GROUP, to: TO });
  const made = (transport) => sdk.createPrivacyClient({ transport, signer: sdk.privateKeySigner(KEY), enclaveKey: ALICE, nonces: sdk.memoryNonces() });
  const wallet = made({ request, on() {} });
  await send(wallet);
  node.chainId = 2n;
  await send(wallet);
  // Others are asked again after the node has refused.
  const other = made({ request });
  await send(other);
  node.chainId = 3n;
  await assert.rejects(send(other), { code: "WRONG_CHAIN_ID" });
  await send(other);
  assert.deepEqual(node.sent, [1n, 2n, 2n, 3n]);
});

test("no code and no block are told apart", async () => {
  let followed = true;
  await withNode({ priv_getCode: null, priv_call: () => (followed ? "0x" : null) }, async (node) => {
    const client = sdk.createPrivacyClient({ url: node.url });
    const code = (blockTag) => client.getCode({ privacyGroupId: GROUP, address: TO, blockTag });
    assert.equal(await code(99n), "0x");
    assert.deepEqual(node.requests.at(-1).params[2], "0x63");
    followed = false;
    await assert.rejects(code(99n), sdk.BlockNotFoundError);
    await assert.rejects(code(), sdk.NodeSyncingError);
  });
});

test("groups whose id or members are no keys are no groups", async () => {
  const group = (more) => [{ privacyGroupId: GROUP, members: [ALICE], ...more }];
  const wrong = [{ members: [""] }, { members: ["AAAA"] }, { members: [Buffer.alloc(31).toString("base64")] }, { privacyGroupId: Buffer.alloc(31).toString("base64") }, { privacyGroupId: Buffer.alloc(33).toString("base64") }];
  for (const more of wrong) {
    await withNode({ privx_findFlexiblePrivacyGroup: group(more) }, async (node) => {
      await assert.rejects(sdk.createPrivacyClient({ url: node.url }).groups.find([ALICE]), sdk.InvalidResponseError);
    });
  }
  const long = Buffer.alloc(91, 1).toString("base64");
  await withNode({ privx_findFlexiblePrivacyGroup: group({ members: [long] }) }, async (node) => {
    assert.deepEqual((await sdk.createPrivacyClient({ url: node.url }).groups.find([ALICE]))[0].members, [long]);
  });
});

test("refusals have a class, by the node's word and by Besu's message", async () => {
  const exact = (kind, code) => (error) => {
    assert.equal(error.constructor, kind, `${error.stack}`);
    if (code) assert.equal(error.code, code);
    return true;
  };
  const words = [
    ["GROUP_UNKNOWN", sdk.GroupNotFoundError], ["GROUP_EXISTS", sdk.GroupExistsError],
    ["GROUP_UNKNOWN_TO_MEMBER", sdk.GroupUnknownToMemberError], ["PRIVATE_FROM_MISMATCH", sdk.EnclaveKeyMismatchError],
    ["NOT_OUR_KEY", sdk.EnclaveKeyMismatchError], ["NONCE_TOO_LOW", sdk.NonceTooLowError], ["UNDECODABLE", sdk.DecodeError],
    ["INVALID_MEMBERS", sdk.DecodeError], ["INVALID_V", sdk.InvalidTransactionError], ["INVALID_SIGNATURE", sdk.InvalidTransactionError],
    ["UNSUPPORTED_RESTRICTION", sdk.InvalidTransactionError], ["MISSING_GROUP_ID", sdk.InvalidTransactionError],
    ["VALUE_NOT_ZERO", sdk.InvalidTransactionError], ["WRONG_CHAIN_ID", sdk.InvalidTransactionError],
    ["TOO_MANY_MEMBERS", sdk.TooManyMembersError], ["RECIPIENT_UNKNOWN", sdk.RecipientUnknownError],
    ["RECIPIENT_FAILED", sdk.RecipientUnavailableError], ["RECIPIENT_REFUSED", sdk.RecipientUnavailableError],
    ["DEFINITION_DIFFERS", sdk.DefinitionDiffersError], ["PAYLOAD_TOO_LARGE", sdk.PayloadTooLargeError],
    ["ENCLAVE_UNAVAILABLE", sdk.EnclaveUnavailableError], ["JOINING", sdk.NodeSyncingError], ["SYNCING", sdk.NodeSyncingError],
    ["CHAIN_SYNCING", sdk.NodeSyncingError], ["BLOCK_NOT_FOLLOWED", sdk.NodeSyncingError], ["CHAIN_UNAVAILABLE", sdk.ChainUnavailableError],
    ["CHAIN_REFUSED", sdk.ChainUnavailableError], ["CHAIN_STATE_PRUNED", sdk.ChainUnavailableError],
    ["METHOD_NOT_ENABLED", sdk.MethodDisabledError], ["METHOD_NOT_FOUND", sdk.MethodDisabledError], ["NOT_PERMITTED", sdk.UnauthorizedError],
    ["INVALID_PARAMS", sdk.InvalidParamsError], ["INVALID_GROUP_ID", sdk.InvalidParamsError], ["LIMIT_EXCEEDED", sdk.LimitExceededError],
    ["BLOCK_UNKNOWN", sdk.BlockNotFoundError], ["NOT_A_MARKER", sdk.NotAMarkerError], ["HALTED", sdk.CallRevertedError],
    ["REVERTED", sdk.CallRevertedError], ["TOO_MANY_PUBLIC_READS", sdk.CallRevertedError], ["MARKER_INTRINSIC_GAS", sdk.MarkerRefusedError],
    ["MARKER_NONCE_TOO_LOW", sdk.MarkerRefusedError], ["MARKER_OF_THE_FUTURE", sdk.MarkerRefusedError], ["SOMETHING_NEW", sdk.RpcError],
    ["toString", sdk.RpcError], ["__proto__", sdk.RpcError], ["STATE_CORRUPT", sdk.RpcError], ["FOLLOWING_STOPPED", sdk.RpcError],
  ];
  let answer;
  await withNode(() => { throw answer; }, async (node) => {
    for (const [code, kind] of words) {
      answer = refuse(code, -32603, "Internal error", { detail: "why", enclaveKey: ALICE, privacyGroupId: GROUP });
      await assert.rejects(call(node.url), (error) => {
        exact(kind, code)(error);
        assert.equal(error.rpcCode, -32603);
        assert.match(error.message, /Internal error \(why\)/);
        if (error instanceof sdk.RpcError) {
          assert.deepEqual([error.detail, error.enclaveKey, error.privacyGroupId, error.method], ["why", ALICE, GROUP, "eth_chainId"]);
        }
        return true;
      });
    }
    // Of a token the node says no more than that; of a group that the caller may not see, which.
    answer = refuse("UNAUTHORIZED", -40100, "Unauthorized");
    await assert.rejects(call(node.url), exact(sdk.UnauthorizedError, "UNAUTHORIZED"));
    answer = refuse("UNAUTHORIZED", -40100, "Unauthorized", { detail: "no member" });
    await assert.rejects(call(node.url), exact(sdk.GroupNotFoundError, "GROUP_UNKNOWN"));
    for (const [code, message, kind] of [
      [-50100, "Flexible Privacy group does not exist.", sdk.GroupNotFoundError],
      [-50100, "Error finding flexible privacy group", sdk.GroupNotFoundError],
      [-50100, "Error finding privacy group", sdk.GroupNotFoundError],
      [-50100, "Private from does not match enclave public key", sdk.EnclaveKeyMismatchError],
      [-50100, "Privacy group must contain the enclave public key", sdk.NotAParticipantError],
      [-50100, "Unable to decode the private signed raw transaction", sdk.DecodeError],
      [-50100, "Unsupported private transaction type", sdk.InvalidTransactionError],
      [-50100, "Private transactions to flexible privacy groups must use privacyGroupId", sdk.InvalidTransactionError],
      [-50100, "Privacy Marker Transaction failed due to intrinsic gas exceeding the limit. Gas limit used from the Private Transaction.", sdk.MarkerRefusedError],
      [-50100, "Error communicating with enclave", sdk.EnclaveUnavailableError],
      [-50100, "Private transaction failed", sdk.CallRevertedError],
      [-50100, "Privacy is not enabled", sdk.MethodDisabledError],
      [-50100, "Unable to determine nonce for account in group.", sdk.RpcError],
      [-50200, "Recipient not found for key: abc", sdk.RecipientUnknownError],
      [-50200, "NodePushingToPeer", sdk.RecipientUnavailableError],
      [-32001, "Nonce too low", sdk.NonceTooLowError],
      [-32006, "Nonce too high", sdk.MarkerRefusedError],
      [-32004, "Upfront cost exceeds account balance", sdk.MarkerRefusedError],
      [-32009, "Gas price below current base fee", sdk.MarkerRefusedError],
      [-32000, "Wrong chainId", sdk.InvalidTransactionError],
      [-32002, "Invalid signature", sdk.InvalidTransactionError],
      [-32601, "Method not found", sdk.MethodDisabledError],
      [-32604, "Method not enabled", sdk.MethodDisabledError],
      [-32602, "Invalid filter params", sdk.InvalidParamsError],
      [-32008, "Initial sync is still in progress", sdk.NodeSyncingError],
      [-39001, "Unknown block", sdk.BlockNotFoundError],
      [-40100, "Unauthorized", sdk.UnauthorizedError],
      [-32005, "Requested range exceeds maximum RPC range limit", sdk.LimitExceededError],
      [-32603, "Internal error", sdk.RpcError],
    ]) {
      answer = new Refusal(code, message);
      await assert.rejects(call(node.url), exact(kind));
    }
  });
});

test("a reverted call is decoded", async () => {
  const reverted = (data, message = "Execution reverted") => ({ priv_call: () => { throw new Refusal(-32000, message, data); }, eth_chainId: "0x1" });
  const request = { privacyGroupId: GROUP, to: TO, data: "0x00" };
  for (const [data, check] of [
    [errorString("no way"), (error) => error.revert.reason === "no way" && error.revertData === errorString("no way")],
    [`0x4e487b71${word(17).slice(2)}`, (error) => error.revert.kind === "panic" && error.revert.code === 17n],
    ["0x01020304", (error) => error.revert === undefined && error.revertData === "0x01020304"],
    [`0x08c379a0${"ff".repeat(64)}`, (error) => error.revert === undefined],
  ]) {
    await withNode(reverted(data), async (node) => {
      await assert.rejects(sdk.createPrivacyClient({ url: node.url }).call(request), (error) => error instanceof sdk.CallRevertedError && check(error));
    });
  }
});

test("answers of a wrong shape are invalid responses, never results", async () => {
  const client = (url) => sdk.createPrivacyClient({ url, enclaveKey: ALICE, signer: sdk.privateKeySigner(KEY), nonces: sdk.memoryNonces(), polling: { interval: 1, timeout: 2000 } });
  const hash = hashOf(9);
  const request = { privacyGroupId: GROUP, to: TO, data: "0x00" };
  const junk = [null, 1, true, "", "0x", "0xzz", "x", [], {}, [null], [{}], "0x1", `0x${"1".repeat(63)}`];
  const numbers = { eth_chainId: "0x539", priv_getTransactionCount: "0x0", eth_gasPrice: "0x0", eth_getTransactionCount: "0x0" };
  const cases = [
    ["eth_chainId", (it) => it.sendTransaction(request), ["0x1", `0x${"1".repeat(63)}`]],
    ["priv_getTransactionCount", (it) => it.sendTransaction(request), ["0x1", `0x${"1".repeat(63)}`]],
    ["eea_sendRawTransaction", (it) => it.sendTransaction(request), []],
    ["priv_distributeRawTransaction", (it) => it.distributeTransaction(request), []],
    ["priv_call", (it) => it.groups.isLocked({ privacyGroupId: GROUP }), [null, "0x"]],
    ["priv_call", (it) => it.groups.owner({ privacyGroupId: GROUP }), [null, "0x"]],
    ["priv_call", (it) => it.groups.participants({ privacyGroupId: GROUP }), [null, "0x"]],
    ["priv_getCode", (it) => it.getCode({ privacyGroupId: GROUP, address: TO }), [null, "0x"]],
    ["priv_getLogs", (it) => it.getLogs({ privacyGroupId: GROUP }), []],
    ["priv_debugGetStateRoot", (it) => it.getStateRoot({ privacyGroupId: GROUP }), []],
    ["priv_getTransactionReceipt", (it) => it.getReceipt(hash), [null]],
    ["priv_getPrivateTransaction", (it) => it.getTransaction(hash), [null]],
    ["privx_findFlexiblePrivacyGroup", (it) => it.groups.find([ALICE]), []],
    ["eth_getTransactionReceipt", (it) => it.waitForReceipt(hash), [null]],
    ["eth_sendRawTransaction", (it) => it.sendMarker(word(1)), []],
  ];
  for (const [method, use, fine] of cases) {
    for (const answer of junk) {
      if (fine.includes(answer)) continue;
      if (Array.isArray(answer) && answer.length === 0 && ["priv_getLogs", "privx_findFlexiblePrivacyGroup"].includes(method)) continue;
      const handlers = { ...numbers, [method]: answer };
      await withNode(handlers, async (node) => {
        await assert.rejects(use(client(node.url)), (error) => {
          const typed = error instanceof sdk.InvalidResponseError || error instanceof sdk.DecodeError;
          assert.ok(typed, `${method} ${JSON.stringify(answer)}: ${error.stack}`);
          return true;
        });
      });
    }
  }
});

test("receipts and logs are checked field by field", async () => {
  const hash = hashOf(9);
  const good = receipt(hash, { logs: [log(7)] });
  const wrong = [
    { status: "0x3" }, { status: undefined }, { status: 1 }, { commitmentHash: hashOf(10) }, { commitmentHash: undefined },
    { blockNumber: 7 }, { blockNumber: undefined }, { blockHash: "0x" }, { transactionIndex: "0x1ffffffffff" }, { from: "0x12" }, { from: 1 },
    { to: {} }, { logs: null }, { logs: {} }, { logs: [null] }, { logs: [{}] }, { logs: [log(7, 0, { topics: ["0x00"] })] },
    { logs: [log(7, 0, { topics: "0x" })] }, { logs: [log(7, 0, { data: "0x0" })] }, { logs: [log(7, 0, { address: "0x" })] },
    { logs: [log(7, 0, { logIndex: 0 })] }, { logsBloom: "0x" }, { output: "0x1" }, { revertReason: 5 }, { privacyGroupId: "AAAA" },
    { privacyGroupId: 7 }, { privateFrom: "!" }, { reason: 1 }, { decidedBy: "0x" }, { contractAddress: "x" }, { privateFor: "x" },
  ];
  let answer = good;
  await withNode({ priv_getTransactionReceipt: () => answer, eth_chainId: "0x1" }, async (node) => {
    const client = sdk.createPrivacyClient({ url: node.url });
    const read = await client.getReceipt(hash);
    assert.equal(read.status, "success");
    assert.equal(read.blockNumber, 7n);
    assert.equal(read.logs[0].data, word(7));
    assert.equal(read.revertReason, undefined);
    for (const change of wrong) {
      answer = { ...good, ...change };
      await assert.rejects(client.getReceipt(hash), sdk.InvalidResponseError, JSON.stringify(change));
    }
  });
});

test("hostile arguments are refused before anything is sent", async () => {
  const node = await startNode({});
  try {
    const client = sdk.createPrivacyClient({ url: node.url, enclaveKey: ALICE, signer: sdk.privateKeySigner(KEY), chainId: 1337 });
    const good = { privacyGroupId: GROUP, to: TO, data: "0x00" };
    const group31 = Buffer.alloc(31).toString("base64");
    const junk = [undefined, null, 1, "x", "0x", [], () => {}, Symbol("x")];
    const runs = [
      ...junk.map((it) => () => client.sendTransaction(it)),
      ...[{ nonce: 2 ** 53 }, { nonce: -1 }, { nonce: "0" }, { to: "0x12" }, { data: "xyz" }, { gas: 1.5 }, { gasPrice: "1" }, { value: 1n }, { value: "0x1" }, { privacyGroupId: group31 },
        { privacyGroupId: undefined }, { privateFor: [ALICE] }, { privateFrom: "A" }, { signal: {} }, { to: undefined, data: undefined }]
        .map((change) => () => client.sendTransaction({ ...good, ...change })),
      ...junk.map((it) => () => client.sendRawTransaction(it)),
      ...junk.map((it) => () => client.distributeTransaction(it)),
      ...junk.map((it) => () => client.distributeRawTransaction(it)),
      ...junk.map((it) => () => client.sendMarker(it, { gasPrice: 0n, nonce: 0n })),
      ...junk.map((it) => () => client.waitForReceipt(it)),
      ...["x", null, 1].map((it) => () => client.waitForReceipt(hashOf(1), it)),
      ...[{ timeout: -1 }, { interval: "1" }, { retries: NaN }, { signal: 1 }].map((it) => () => client.waitForReceipt(hashOf(1), it)),
      ...junk.map((it) => () => client.getReceipt(it)),
      ...junk.map((it) => () => client.getTransaction(it)),
      ...junk.map((it) => () => client.getTransactionCount(it)),
      ...junk.map((it) => () => client.call(it)),
      ...[{ to: "0x" }, { data: 1 }, { from: "x" }, { blockTag: "newest" }, { blockTag: -1 }, { blockTag: 2 ** 53 }, { privacyGroupId: group31 }].map((change) => () => client.call({ ...good, ...change })),
      ...junk.map((it) => () => client.getCode(it)),
      ...junk.map((it) => () => client.getLogs(it)),
      ...[{ address: "0x" }, { address: [1] }, { topics: "0x" }, { topics: ["0x12"] }, { topics: [[1]] }, { fromBlock: "x" }, { blockHash: "0x" }, { blockHash: hashOf(1), fromBlock: 1 }]
        .map((change) => () => client.getLogs({ privacyGroupId: GROUP, ...change })),
      ...junk.map((it) => () => client.getStateRoot(it)),
      ...junk.map((it) => async () => { for await (const _ of client.watchLogs(it)) break; }),
      ...[{ toBlock: 1 }, { blockHash: hashOf(1) }, { fromBlock: "x" }].map((it) => async () => client.watchLogs({ privacyGroupId: GROUP, ...it })),
      ...[{ interval: -1 }, { reorgDepth: "x" }, { signal: 1 }].map((it) => async () => client.watchLogs({ privacyGroupId: GROUP }, it)),
      ...junk.flatMap((it) => ["create", "add", "remove", "lock", "unlock", "isLocked", "participants", "owner", "transferOwnership", "acceptOwnership"].map((name) => async () => client.groups[name](it))),
      ...junk.map((it) => async () => client.groups.prepareCreate(it)),
      ...junk.filter((it) => !Array.isArray(it)).map((it) => () => client.groups.find(it)),
      () => client.groups.find(["AAAA"]),
      async () => client.groups.add({ privacyGroupId: GROUP, participants: [] }),
      async () => client.groups.add({ privacyGroupId: GROUP, participants: ["A"] }),
      async () => client.groups.remove({ privacyGroupId: group31, participant: ALICE }),
      async () => client.groups.transferOwnership({ privacyGroupId: GROUP, newOwner: "0x12" }),
    ];
    for (const run of runs) {
      await assert.rejects(async () => run(), (error) => {
        assert.ok(error instanceof sdk.InvalidInputError || error instanceof sdk.DecodeError, `${run}: ${error.stack}`);
        return true;
      });
    }
    assert.deepEqual(node.requests, []);
    for (const options of [undefined, null, {}, { url: 1 }, { url: "x" }, { url: node.url, transport: node.url }, { url: node.url, chainId: 0 }, { url: node.url, chainId: -1n },
      { url: node.url, enclaveKey: 5 }, { url: node.url, groupAbi: "x" }, { url: node.url, polling: { interval: "x" } }, { url: node.url, requestTimeout: 0 }]) {
      assert.throws(() => sdk.createPrivacyClient(options), sdk.InvalidInputError);
    }
    for (const signer of [1, null, "0x", { address: ADDRESS }]) {
      assert.throws(() => sdk.createPrivacyClient({ url: node.url, signer }), sdk.UnsupportedAccountError);
    }
    assert.throws(() => sdk.createPrivacyClient({ url: node.url, signer: { address: "0x1", signDigest() {} } }), sdk.InvalidInputError);
    const reader = sdk.createPrivacyClient({ url: node.url, chainId: 1 });
    await assert.rejects(reader.sendTransaction(good), sdk.MissingOptionError);
    await assert.rejects(reader.getTransactionCount({ privacyGroupId: GROUP }), sdk.MissingOptionError);
  } finally {
    await node.stop();
  }
});
