// The codec against the vectors of web3js-quorum and Besu, and against what callers get wrong.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as sdk from "@coterie/sdk";

import { ADDRESS, ALICE, BOB, CAROL, GROUP, KEY, TO, errorString, word } from "./lib/data.mjs";

const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/sdk.json", import.meta.url), "utf8"));

/** The fields of a vector as this SDK takes them. */
function transaction({ nonce, gasPrice, gasLimit, to, data, chainId, ...rest }) {
  const number = (value) => (value === "0x" || value === undefined ? 0n : BigInt(value));
  return {
    nonce: number(nonce),
    gasPrice: number(gasPrice),
    gas: number(gasLimit),
    to: to === "0x" || to === undefined ? undefined : to,
    data: data ?? "0x",
    chainId: chainId === undefined ? undefined : BigInt(chainId),
    privateFrom: rest.privateFrom,
    privacyGroupId: rest.privacyGroupId,
    privateFor: rest.privateFor,
    restriction: rest.restriction,
  };
}

test("signed transactions are those of web3js-quorum", () => {
  for (const vector of vectors.signedPrivateTxs) {
    const tx = transaction(vector.fields);
    assert.equal(sdk.serializePrivateTransaction(tx), vector.signingPreimage, vector.name);
    const raw = sdk.signPrivateTransaction(tx, `0x${vector.privateKey}`);
    const want = vector.raw ?? vector.rlp ?? vector.serialized;
    assert.equal(raw, want, vector.name);
    const parsed = sdk.parsePrivateTransaction(raw);
    assert.equal(parsed.nonce, tx.nonce);
    assert.equal(parsed.to?.toLowerCase() ?? undefined, tx.to?.toLowerCase());
    assert.equal(parsed.from, sdk.accountAddress(`0x${vector.privateKey}`));
    assert.equal(sdk.recoverPrivateTransactionSigner(raw), parsed.from);
    assert.equal(sdk.privateTransactionHash(raw), parsed.hash);
    // What was decoded encodes to the same bytes.
    const { r, s, v, from, hash, ...fields } = parsed;
    const yParity = tx.chainId === undefined ? Number(v) - 27 : Number(v - 35n - 2n * tx.chainId);
    assert.equal(sdk.serializePrivateTransaction(fields, { r, s, yParity }), raw, vector.name);
  }
});

test("a signature with a high s is sent with the low one", () => {
  const tx = { nonce: 1n, chainId: 1337n, privateFrom: ALICE, privacyGroupId: GROUP, to: TO };
  const raw = sdk.signPrivateTransaction(tx, KEY);
  const { r, s, v } = sdk.parsePrivateTransaction(raw);
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const high = `0x${(order - BigInt(s)).toString(16).padStart(64, "0")}`;
  const yParity = Number(v - 35n - 2n * 1337n);
  assert.equal(sdk.serializePrivateTransaction(tx, { r, s: high, yParity: 1 - yParity }), raw);
  assert.equal(sdk.serializePrivateTransaction(tx, { r, s, v: BigInt(27 + yParity) }), raw);
});

test("members and reverts are read", () => {
  const data = sdk.addParticipantsData([ALICE, BOB]);
  assert.match(data, /^0x965a25ef/);
  assert.match(sdk.addParticipantsData([ALICE], "bytes32"), /^0xb4926e25/);
  assert.match(sdk.removeParticipantData(CAROL), /^0x1f52a8ee/);
  assert.deepEqual(sdk.decodeParticipants(`0x${data.slice(10)}`), [ALICE, BOB]);
  assert.deepEqual(sdk.decodeRevert(errorString("no way")), { kind: "error", reason: "no way" });
  const panic = sdk.decodeRevert(`0x4e487b71${word(17).slice(2)}`);
  assert.equal(panic.kind, "panic");
  assert.equal(panic.code, 17n);
  assert.equal(sdk.decodeRevert("0x01020304"), undefined);
  assert.equal(sdk.decodeRevert("0x"), undefined);
});

test("ids and addresses", () => {
  assert.equal(sdk.groupId(sdk.groupIdBytes(GROUP)), GROUP);
  assert.equal(sdk.enclaveKey(sdk.enclaveKeyBytes(ALICE)), ALICE);
  assert.equal(sdk.legacyGroupId([BOB, ALICE]), "HvuYiHoyL31rZ5OYRzSYMGGRV+V8KS4LMuHRfmfDWzg=");
  assert.equal(sdk.legacyGroupId([ALICE, BOB, ALICE]), sdk.legacyGroupId([BOB, ALICE]));
  const id = "DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w=";
  assert.equal(sdk.privateContractAddress(ADDRESS, 0, id).toLowerCase(), TO);
  assert.notEqual(sdk.randomGroupId(), sdk.randomGroupId());
  assert.equal(sdk.groupIdBytes(sdk.randomGroupId()).length, 32);
});

const NOTHING = [undefined, null, true, 1, 1n, Symbol("x"), {}, [], () => {}, new Date(), NaN];

/** Whatever is passed, it is one of our errors that is thrown. */
function refuses(what, run) {
  try {
    const result = run();
    assert.fail(`${what} gave ${String(result)}`);
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    const typed =
      error instanceof sdk.InvalidInputError ||
      error instanceof sdk.DecodeError ||
      error instanceof sdk.SignatureError;
    assert.ok(typed, `${what} threw ${error?.stack}`);
    assert.match(error.code, /^[A-Z_0-9]+$/);
  }
}

test("hostile keys and ids are typed errors", () => {
  const bytes = (length) => Buffer.alloc(length, 7).toString("base64");
  const wrong = [
    ...NOTHING, "", "x", "AAAA", bytes(31), bytes(33), `${bytes(32)}=`, bytes(32).slice(0, -1),
    bytes(32).replace("=", ""), `0x${"07".repeat(32)}`, ` ${bytes(32)}`, `${bytes(32)}\n`, "ü".repeat(44),
    bytes(32).replaceAll("B", "-"), new Uint8Array(31), new Uint8Array(0), new Uint8Array(33), "A".repeat(1e6),
  ];
  for (const value of wrong) {
    refuses(`enclaveKey(${typeof value})`, () => sdk.enclaveKey(value));
    refuses(`groupId(${typeof value})`, () => sdk.groupId(value));
    refuses("enclaveKeyBytes", () => sdk.enclaveKeyBytes(value));
    refuses("groupIdBytes", () => sdk.groupIdBytes(value));
    refuses("legacyGroupId", () => sdk.legacyGroupId([ALICE, value]));
    refuses("addParticipantsData", () => sdk.addParticipantsData([value]));
    refuses("removeParticipantData", () => sdk.removeParticipantData(value));
    refuses("privateContractAddress", () => sdk.privateContractAddress(ADDRESS, 0n, value));
  }
  for (const value of NOTHING.filter((it) => !Array.isArray(it))) {
    refuses("legacyGroupId", () => sdk.legacyGroupId(value));
    refuses("addParticipantsData", () => sdk.addParticipantsData(value));
  }
  refuses("abi", () => sdk.addParticipantsData([ALICE], "bytes33"));
});

test("hostile transactions are typed errors", () => {
  const good = { nonce: 1n, chainId: 1337n, privateFrom: ALICE, privacyGroupId: GROUP, to: TO, data: "0x00" };
  const signature = { r: word(1), s: word(1), yParity: 0 };
  sdk.serializePrivateTransaction(good);
  sdk.serializePrivateTransaction(good, signature);
  const with_ = (change) => ({ ...good, ...change });
  const wrong = [
    ...NOTHING,
    ...[-1, -1n, 2 ** 53, 1.5, NaN, Infinity, "1", "0x1", null, 2n ** 64n, {}, true].map((nonce) => with_({ nonce })),
    ...[0, 0n, -1n, 2 ** 53, "1337", null, {}, 2n ** 64n].map((chainId) => with_({ chainId })),
    ...[-1n, 2 ** 53, "0x0", 2n ** 64n].map((gas) => with_({ gas })),
    ...[-1n, 2 ** 60, "0x0", 2n ** 256n].map((gasPrice) => with_({ gasPrice })),
    ...[-1n, "1", 2n ** 256n].map((value) => with_({ value })),
    ...["0x", "0x1", TO.slice(0, -1), `${TO}0`, TO.slice(2), 1, {}, "vitalik.eth"].map((to) => with_({ to })),
    ...["0x0", "00", "0xzz", 1, {}, new Uint8Array(2)].map((data) => with_({ data })),
    ...[undefined, null, "", "AAAA", 1].map((privateFrom) => with_({ privateFrom })),
    with_({ privacyGroupId: undefined }),
    with_({ privacyGroupId: Buffer.alloc(31).toString("base64") }),
    with_({ privateFor: [BOB] }),
    with_({ privacyGroupId: undefined, privateFor: [] }),
    with_({ privacyGroupId: undefined, privateFor: BOB }),
    with_({ privacyGroupId: undefined, privateFor: ["AAAA"] }),
    with_({ restriction: "open" }),
    with_({ restriction: 1 }),
  ];
  for (const tx of wrong) {
    refuses("serializePrivateTransaction", () => sdk.serializePrivateTransaction(tx));
    refuses("privateTransactionSignatureHash", () => sdk.privateTransactionSignatureHash(tx));
    refuses("signPrivateTransaction", () => sdk.signPrivateTransaction(tx, KEY));
  }
  for (const change of [
    { r: "0x00" }, { s: "0x0" }, { r: 1n }, { r: `0x${"ff".repeat(32)}` }, { s: `0x${"ff".repeat(33)}` },
    { yParity: 2 }, { yParity: -1 }, { yParity: 0.5 }, { yParity: undefined }, { yParity: undefined, v: 29n },
    { yParity: undefined, v: 2709n }, { r: undefined }, { yParity: undefined, v: "27" },
  ]) {
    refuses("signature", () => sdk.serializePrivateTransaction(good, { ...signature, ...change }));
  }
  for (const bad of [null, 1, "0x", []]) refuses("signature", () => sdk.serializePrivateTransaction(good, bad));
});

test("hostile private keys are typed errors", () => {
  const tx = { nonce: 1n, chainId: 1337n, privateFrom: ALICE, privacyGroupId: GROUP, to: TO };
  const order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  for (const key of [...NOTHING, "", KEY.slice(2), KEY.slice(0, -1), `${KEY}00`, word(0), order, new Uint8Array(31), new Uint8Array(32)]) {
    refuses("signPrivateTransaction", () => sdk.signPrivateTransaction(tx, key));
    refuses("accountAddress", () => sdk.accountAddress(key));
    refuses("privateKeySigner", () => sdk.privateKeySigner(key));
    refuses("signMarkerTransaction", () =>
      sdk.signMarkerTransaction({ nonce: 0n, gasPrice: 0n, gas: 30000n, data: word(1), chainId: 1n }, key));
  }
  // The caller's bytes are left alone.
  const bytes = Uint8Array.from(Buffer.from(KEY.slice(2), "hex"));
  sdk.privateKeySigner(bytes);
  assert.equal(Buffer.from(bytes).toString("hex"), KEY.slice(2));
});

test("a message about a private key does not show it", () => {
  for (const key of [KEY.slice(2), `${KEY}00`]) {
    try {
      sdk.privateKeySigner(key);
      assert.fail();
    } catch (error) {
      assert.ok(!`${error.message}${error.stack}${JSON.stringify(error)}`.includes(KEY.slice(2, 40)));
    }
  }
});

test("hostile bytes are typed errors", () => {
  const raw = sdk.signPrivateTransaction({ nonce: 1n, privateFrom: ALICE, privacyGroupId: GROUP, to: TO }, KEY);
  const wrong = [
    ...NOTHING, "", "0x", "0x00", "0xc0", "0xzz", "0x1", raw.slice(0, -2), `${raw}00`, raw.slice(2),
    `0xff${"ff".repeat(1000)}`, `0xf8ff${raw.slice(6)}`, "0xbfffffffffffffffff", `0x${"f8".repeat(100000)}`,
  ];
  for (const value of wrong) {
    refuses("parsePrivateTransaction", () => sdk.parsePrivateTransaction(value));
    refuses("recoverPrivateTransactionSigner", () => sdk.recoverPrivateTransactionSigner(value));
    if (typeof value !== "string" || !/^0x([0-9a-f]{2})*$/.test(value)) {
      refuses("privateTransactionHash", () => sdk.privateTransactionHash(value));
      refuses("decodeRevert", () => sdk.decodeRevert(value));
    }
    refuses("decodeParticipants", () => sdk.decodeParticipants(value));
  }
  // Each byte wrong in turn: an error or another transaction, never a crash.
  for (let at = 2; at < raw.length; at += 2) {
    const changed = raw.slice(0, at) + (raw.slice(at, at + 2) === "ff" ? "00" : "ff") + raw.slice(at + 2);
    try {
      sdk.parsePrivateTransaction(changed);
    } catch (error) {
      assert.ok(error instanceof sdk.PrivacyError, `byte ${at}: ${error}`);
    }
  }
  // Words that claim to be long.
  const huge = `0x${word(32).slice(2)}${"f".repeat(64)}`;
  refuses("decodeParticipants", () => sdk.decodeParticipants(huge));
});
