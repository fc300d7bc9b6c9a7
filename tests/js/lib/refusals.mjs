// What is refused before anything is published, by both methods that send: numbers and texts of
// the protocol specification, 1.6, 3.4 and 5 (texts of Besu 25.5.0), and our word in the data.

import assert from "node:assert/strict";
import { test } from "node:test";

import { keccak256, numberToHex, stringToHex, toHex, toRlp } from "viem";
import { sign } from "viem/accounts";

import { EventEmitter, MANAGEMENT, management } from "./contracts.mjs";
import { randomGroup } from "./network.mjs";

const SEND = "eea_sendRawTransaction";
const DISTRIBUTE = "priv_distributeRawTransaction";

const ENCLAVE_FAILED = [-50100, "Error communicating with enclave"];
const UNDECODABLE = [-50100, "Unable to decode the private signed raw transaction"];
const NO_GROUP = [-50100, "Flexible Privacy group does not exist."];
const NO_GROUP_ID = [-50100, "Private transactions to flexible privacy groups must use privacyGroupId"];
const INTRINSIC_GAS = [
  -50100,
  "Privacy Marker Transaction failed due to intrinsic gas exceeding the limit. Gas limit used from the Private Transaction.",
];

/** x = 5 is on no point of secp256k1, so that a signature with this r recovers nobody. */
const NO_POINT = 5n;
/** More than any chain's block has. */
const TOO_MUCH_GAS = 2n ** 40n;

const scalar = (value) => (BigInt(value) === 0n ? "0x" : numberToHex(BigInt(value)));
const base64 = (key) => toHex(Buffer.from(key, "base64"));

/**
 * A private transaction signed item by item, so that any of them can be wrong: `after` changes the
 * 12 items (protocol, 1.1) once they are signed.
 */
async function raw(transaction, { account, chainId, after = (items) => items }) {
  const { nonce = 0, gasPrice = 1000, gas = 3_000_000, to = "0x", value = 0, data = "0x" } = transaction;
  const { privateFrom, privateFor, group, restriction = "restricted" } = transaction;
  const call = [scalar(nonce), scalar(gasPrice), scalar(gas), to, scalar(value), data];
  const recipients = privateFor ? privateFor.map(base64) : base64(group);
  const privacy = [base64(privateFrom), recipients, stringToHex(restriction)];
  const hash = keccak256(toRlp([...call, scalar(chainId), "0x", "0x", ...privacy]));
  const { r, s, yParity } = await sign({ hash, privateKey: account.privateKey });
  const v = 35n + 2n * BigInt(chainId) + BigInt(yParity);
  return toRlp(after([...call, scalar(v), scalar(r), scalar(s), ...privacy]));
}

/** Another value for the item at an index. */
const replaced = (index, value) => (items) => items.with(index, value);

/** Registers the scenarios; `network` is asked when they run. */
export function refusalScenarios(network) {
  /** A network, and what asks one of its nodes for something that it must refuse. */
  const cast = () => {
    const { members, accounts, chain } = network();
    const [a, b, c] = members;
    const [alice, bob] = accounts;

    /** Sends through both methods; `want` has an answer for each, or one for both. */
    const refuses = async (node, params, want) => {
      for (const method of [SEND, DISTRIBUTE]) {
        const [code, message, word] = want[method] ?? want;
        const height = await chain.height();
        const error = await node.rpcError(method, ...params);
        const got = { code: error.code, message: error.message, word: error.data?.code };
        assert.deepEqual(got, { code, message, word }, method);
        assert.equal(await chain.height(), height, `${method} has published something`);
      }
    };

    /** Distributes what only the other method refuses; nothing is published by that either. */
    const distributes = async (node, params) => {
      const height = await chain.height();
      assert.match(await node.rpc(DISTRIBUTE, ...params), /^0x[0-9a-f]{64}$/);
      assert.equal(await chain.height(), height);
    };
    return { a, b, c, alice, bob, chain, refuses, distributes };
  };

  /** A group of A and B, and a transaction in it of alice through A that is in order. */
  const existing = async () => {
    const { a, b, alice, chain, ...rest } = cast();
    const group = randomGroup();
    const created = await a.create(group, alice, [a, b]);
    await b.receipt(created.commitmentHash);
    const base = { nonce: 1, privateFrom: a.enclaveKey, group, data: EventEmitter.creation() };
    const by = { account: alice, chainId: chain.chainId };
    return { a, b, alice, chain, group, base, by, ...rest };
  };

  const both = ([code, message], word) => [code, message, word];

  test("a sent transaction that is no transaction is refused", async () => {
    const { a, base, by, refuses } = await existing();
    const invalid = [-32602, "Invalid transaction params (missing or incorrect)", "INVALID_PARAMS"];
    for (const params of [[], [null], [12], [{ raw: "0x" }]]) await refuses(a, params, invalid);

    const cases = {
      "no hex": "0x12zz",
      "an odd digit": "0x123",
      nothing: "0x",
      "no list": "0x83010203",
      "a short list": await raw(base, { ...by, after: (items) => items.slice(0, 11) }),
      "a long list": await raw(base, { ...by, after: (items) => [...items, "0x"] }),
      "bytes after it": `${await raw(base, by)}00`,
      "a nonce with a leading zero": await raw(base, { ...by, after: replaced(0, "0x0001") }),
      "a short address": await raw(base, { ...by, after: replaced(3, "0x1234") }),
      "a short group id": await raw(base, { ...by, after: replaced(10, `0x${"11".repeat(31)}`) }),
      "a short key": await raw(base, { ...by, after: replaced(9, `0x${"11".repeat(31)}`) }),
      "r of zero": await raw(base, { ...by, after: replaced(7, "0x") }),
      "s beyond the curve": await raw(base, { ...by, after: replaced(8, `0x${"ff".repeat(32)}`) }),
    };
    for (const transaction of Object.values(cases)) {
      await refuses(a, [transaction], both(UNDECODABLE, "UNDECODABLE"));
    }
  });

  test("a sent transaction with a wrong v or signature is refused", async () => {
    const { a, base, by, refuses } = await existing();
    for (const v of [0, 26, 29, 35, 36]) {
      const wrong = await raw(base, { ...by, after: replaced(6, scalar(v)) });
      await refuses(a, [wrong], both(ENCLAVE_FAILED, "INVALID_V"));
    }
    const nobody = await raw(base, { ...by, after: replaced(7, scalar(NO_POINT)) });
    await refuses(a, [nobody], [-32002, "Invalid signature", "INVALID_SIGNATURE"]);
  });

  test("a sent transaction with value, for another chain or with a used nonce is refused", async () => {
    const { a, base, by, refuses } = await existing();
    const valuable = await raw({ ...base, value: 1 }, by);
    await refuses(a, [valuable], [-32603, "Internal error", "VALUE_NOT_ZERO"]);
    const foreign = await raw(base, { ...by, chainId: by.chainId + 1 });
    await refuses(a, [foreign], [-32000, "Wrong chainId", "WRONG_CHAIN_ID"]);
    const used = await raw({ ...base, nonce: 0 }, by);
    await refuses(a, [used], [-32001, "Nonce too low", "NONCE_TOO_LOW"]);
  });

  test("of several faults the first in Besu's order is told", async () => {
    const { a, base, by, refuses } = await existing();
    const all = await raw({ ...base, value: 1, nonce: 0, restriction: "unrestricted" }, { ...by, chainId: 1 });
    await refuses(a, [all], {
      [SEND]: [-50100, "Unsupported private transaction type", "UNSUPPORTED_RESTRICTION"],
      [DISTRIBUTE]: [-32603, "Internal error", "VALUE_NOT_ZERO"],
    });
    const chainAndNonce = await raw({ ...base, nonce: 0 }, { ...by, chainId: 1 });
    await refuses(a, [chainAndNonce], [-32000, "Wrong chainId", "WRONG_CHAIN_ID"]);
  });

  test("only restricted transactions are sent, and any are distributed", async () => {
    const { a, chain, base, by, distributes } = await existing();
    for (const restriction of ["unrestricted", "Restricted", ""]) {
      const transaction = await raw({ ...base, restriction }, by);
      const height = await chain.height();
      const error = await a.rpcError(SEND, transaction);
      assert.equal(error.code, -50100);
      assert.equal(error.message, "Unsupported private transaction type");
      assert.equal(error.data.code, "UNSUPPORTED_RESTRICTION");
      assert.equal(await chain.height(), height);
    }
    await distributes(a, [await raw({ ...base, restriction: "unrestricted" }, by)]);
  });

  test("a sent transaction that names no group is refused", async () => {
    const { a, b, base, by, refuses } = await existing();
    const to = await raw({ ...base, nonce: 0, privateFor: [b.enclaveKey] }, by);
    await refuses(a, [to], both(NO_GROUP_ID, "MISSING_GROUP_ID"));
    const toNobody = await raw({ ...base, nonce: 0, privateFor: [] }, by);
    await refuses(a, [toNobody], both(NO_GROUP_ID, "MISSING_GROUP_ID"));
  });

  test("gas that does not pay for the marker is refused where the node makes the marker", async () => {
    const { a, chain, base, by, distributes } = await existing();
    const sent = async (transaction, code, message, word) => {
      const height = await chain.height();
      const error = await a.rpcError(SEND, await raw(transaction, by));
      assert.deepEqual([error.code, error.message, error.data.code], [code, message, word]);
      assert.equal(await chain.height(), height);
    };
    for (const gas of [0, 21_000, 21_511]) {
      await sent({ ...base, gas }, ...INTRINSIC_GAS, "MARKER_INTRINSIC_GAS");
    }
    const block = "Transaction gas limit exceeds block gas limit";
    await sent({ ...base, gas: TOO_MUCH_GAS }, -32005, block, "MARKER_EXCEEDS_BLOCK_GAS");
    await sent({ ...base, gasPrice: 2n ** 128n }, -32603, "Internal error", "MARKER_REFUSED");
    await distributes(a, [await raw({ ...base, gas: 0 }, by)]);
    // The key that signs markers has lost no nonce.
    await a.succeed({ group: base.group, account: by.account, data: EventEmitter.creation() });
  });

  test("a node refuses to send for a key that is not its own", async () => {
    const { a, b, base, by, refuses } = await existing();
    const mismatch = [-50100, "Private from does not match enclave public key", "PRIVATE_FROM_MISMATCH"];
    const member = await raw({ ...base, privateFrom: b.enclaveKey }, by);
    await refuses(a, [member], { [SEND]: both(ENCLAVE_FAILED, "NOT_OUR_KEY"), [DISTRIBUTE]: mismatch });
    const stranger = await raw({ ...base, privateFrom: Buffer.alloc(32, 9).toString("base64") }, by);
    await refuses(a, [stranger], { [SEND]: both(NO_GROUP, "GROUP_UNKNOWN"), [DISTRIBUTE]: mismatch });
    // Nor does it ask others in that key's name whether they know the group.
    const data = management.addParticipants([a.enclaveKey, b.enclaveKey]);
    const creation = { privateFrom: b.enclaveKey, group: randomGroup(), to: MANAGEMENT, data };
    const created = await raw(creation, by);
    await refuses(a, [created], { [SEND]: both(ENCLAVE_FAILED, "NOT_OUR_KEY"), [DISTRIBUTE]: mismatch });
  });

  test("nobody but a member sends to a group", async () => {
    const { a, b, c, alice, bob, group, chain, base, refuses } = await existing();
    const unknown = both(NO_GROUP, "GROUP_UNKNOWN");
    const by = { account: bob, chainId: chain.chainId };
    const stranger = { ...base, nonce: 0, privateFrom: c.enclaveKey };
    await refuses(c, [await raw(stranger, by)], unknown);
    // Nor does the caller who adds others but not itself.
    const addition = { ...stranger, to: MANAGEMENT, data: management.addParticipants([b.enclaveKey]) };
    await refuses(c, [await raw(addition, by)], unknown);

    const removed = await a.remove(group, alice, b);
    await b.receipt(removed.commitmentHash);
    await refuses(b, [await raw({ ...base, nonce: 0, privateFrom: b.enclaveKey }, by)], unknown);
  });

  test("a group is not created with members that it cannot have", async () => {
    const { a, alice, chain, refuses } = cast();
    const by = { account: alice, chainId: chain.chainId };
    const creation = (keys) => ({
      privateFrom: a.enclaveKey,
      group: randomGroup(),
      to: MANAGEMENT,
      data: management.addParticipants(keys),
    });
    const key = (bytes) => Buffer.from(bytes).toString("base64");
    const numbered = (number) => key([...Buffer.alloc(30, 7), number >> 8, number & 255]);

    const crowd = [a.enclaveKey, ...Array.from({ length: 256 }, (_, number) => numbered(number))];
    const tooMany = [-50100, "Too many members for a privacy group.", "TOO_MANY_MEMBERS"];
    await refuses(a, [await raw(creation(crowd), by)], tooMany);

    const invalid = both(UNDECODABLE, "INVALID_MEMBERS");
    const short = creation([a.enclaveKey, key(Buffer.alloc(31, 7))]);
    await refuses(a, [await raw(short, by)], invalid);
    const cut = creation([a.enclaveKey]);
    await refuses(a, [await raw({ ...cut, data: cut.data.slice(0, -64) }, by)], invalid);

    const nowhere = creation([a.enclaveKey, numbered(1)]);
    await refuses(a, [await raw(nowhere, by)], [-50200, "Recipient not found for key:", "RECIPIENT_UNKNOWN"]);
  });

  test("a group that exists is not created again", async () => {
    const { a, b, base, by, refuses } = await existing();
    const again = {
      ...base,
      to: MANAGEMENT,
      data: management.addParticipants([a.enclaveKey, b.enclaveKey]),
    };
    const exists = [-50100, "Flexible Privacy group already exists.", "GROUP_EXISTS"];
    await refuses(a, [await raw(again, by)], exists);
  });
}
