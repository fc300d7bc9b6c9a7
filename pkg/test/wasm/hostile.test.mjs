// Whatever is passed to a function, it returns or throws an error with a code; it never traps, and
// it works afterwards.
import assert from "node:assert/strict";
import { runInNewContext } from "node:vm";
import { test } from "node:test";
import { bytes, cores, transaction, vectors } from "./core.mjs";

const NAMES = ["InvalidInputError", "DecodeError", "SignError", "SignatureError"];
const { privateKey } = vectors.accounts.node1;
const good = transaction(vectors.signedPrivateTxs[0].fields);
const raw = vectors.signedPrivateTxs[0].raw;
const key = bytes(privateKey);
const group = good.privacyGroupId;
const signature = { r: "0x1", s: "0x1", yParity: 0 };
const marker = { nonce: "0x0", gasPrice: "0x0", gasLimit: "0x5a88", to: good.to, data: `0x${"01".repeat(32)}` };

/** Valid arguments of every function. */
const CALLS = {
  enclaveKey: [good.privateFrom],
  enclaveKeyBytes: [good.privateFrom],
  groupId: [group],
  groupIdBytes: [group],
  payloadKey: [group],
  randomGroupId: [],
  legacyGroupId: [[good.privateFrom]],
  contractAddress: [good.to, "0x0", group],
  accountAddress: [key],
  encodeForSigning: [good],
  signatureHash: [good],
  sign: [good, key],
  serialize: [good, signature],
  decode: [raw],
  recoverSigner: [raw],
  transactionHash: [raw],
  keccak256: [raw],
  recoverAddress: [`0x${"11".repeat(32)}`, signature],
  markerSignatureHash: [marker],
  serializeMarker: [marker, signature],
  signMarker: [marker, key],
  addParticipantsCalldata: [[good.privateFrom], "bytes"],
  removeParticipantCalldata: [good.privateFrom, "bytes32"],
  lockCalldata: [],
  unlockCalldata: [],
  participantsCalldata: [],
  canExecuteCalldata: [],
  versionCalldata: [],
  ownerCalldata: [],
  acceptOwnershipCalldata: [],
  transferOwnershipCalldata: [good.to],
  upgradeToCalldata: [good.to],
  decodeParticipants: [`0x${"20".padStart(64, "0")}${"0".repeat(64)}`, "auto"],
  decodeManagementCall: ["0xf83d08ba"],
  decodeManagementEvent: [[`0x${"11".repeat(32)}`], "0x"],
  decodeRevert: ["0x"],
};

const thrower = () => {
  throw new Error("a getter that throws");
};
const detached = new Uint8Array(32);
structuredClone(detached.buffer, { transfer: [detached.buffer] });

/** Wrong in every way that JavaScript has. */
const HOSTILE = [
  undefined,
  null,
  true,
  0,
  -1,
  NaN,
  5,
  2 ** 53,
  5n,
  "",
  "-",
  "\n",
  ",",
  "0x",
  "0X00",
  "0x0",
  "0x00",
  "0xg0",
  "0x123",
  `0x${"f".repeat(65)}`,
  `0x${"f".repeat(1001)}`,
  "abc",
  "not base64!",
  "AAAA",
  Buffer.alloc(31).toString("base64"),
  `${group}\n`,
  `${group}=`,
  group.slice(0, -1),
  group.replace(/..$/, "8="),
  "\ud800",
  "é".repeat(44),
  "0x\u0661",
  "x".repeat((1 << 24) + 1),
  Symbol("s"),
  () => {},
  {},
  [],
  [undefined],
  [[good.privateFrom]],
  [good.privateFrom, 5],
  [""],
  ["-"],
  [`${good.privateFrom},${good.privateFrom}`],
  new Array(10_001).fill(good.privateFrom),
  new Array(2 ** 32 - 1),
  new Uint8Array(0),
  new Uint8Array(31),
  new Uint8Array(32),
  new Uint8Array(33),
  new Uint8Array(1 << 20),
  new Uint8Array(32).fill(255),
  new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 })),
  new Uint16Array(32),
  new Float64Array(4),
  new DataView(new ArrayBuffer(32)),
  new ArrayBuffer(32),
  detached,
  new Date(),
  new Map([["nonce", "0x0"]]),
  Object.create(null),
  Object.defineProperty(new Uint8Array(32), "length", { value: 2 ** 31 }),
  Object.defineProperty({}, "nonce", { get: thrower, enumerable: true }),
  new Proxy({}, { get: thrower }),
  new Proxy([], { get: thrower }),
  new Proxy([], { get: (target, name) => (name === "length" ? 2 ** 31 : "x") }),
  new String("0x00"),
  { toString: thrower, valueOf: thrower },
  { [Symbol.toStringTag]: "Uint8Array", length: 32 },
];

function attempt(what, call) {
  try {
    return call();
  } catch (error) {
    assert.ok(error instanceof Error, `${what}: not an Error`);
    assert.ok(!(error instanceof WebAssembly.RuntimeError), `${what}: ${error.stack}`);
    if (!NAMES.includes(error.name)) {
      assert.equal(error.message, "a getter that throws", `${what}: ${error.stack}`);
    } else {
      assert.match(error.code, /^[A-Z0-9_]+$/, what);
      assert.ok(error.message.length > 5 && error.hint.length > 5, what);
    }
    return error;
  }
}

for (const [name, core] of await cores()) {
  test(`${name}: every function has its arguments here`, () => {
    assert.deepEqual(Object.keys(CALLS).sort(), Object.keys(core).sort());
    for (const [method, args] of Object.entries(CALLS)) {
      assert.notEqual(core[method](...args), null, method);
    }
  });

  test(`${name}: a wrong argument is a typed error`, () => {
    for (const [method, args] of Object.entries(CALLS)) {
      args.forEach((_, position) => {
        for (const [index, wrong] of HOSTILE.entries()) {
          const given = args.with ? args.with(position, wrong) : Object.assign([...args], { [position]: wrong });
          attempt(`${method}(${position}: #${index})`, () => core[method](...given));
        }
      });
      attempt(`${method}()`, () => core[method]());
    }
    assert.equal(core.sign(good, key), raw);
  });

  test(`${name}: a wrong field is a typed error`, () => {
    const records = { encodeForSigning: good, signatureHash: good, markerSignatureHash: marker };
    for (const [method, record] of Object.entries(records)) {
      for (const field of [...Object.keys(record), "privateFor", "chainId", "value"]) {
        for (const [index, wrong] of HOSTILE.entries()) {
          attempt(`${method}.${field} #${index}`, () => core[method]({ ...record, [field]: wrong }));
        }
      }
    }
    for (const field of ["r", "s", "yParity"]) {
      for (const [index, wrong] of HOSTILE.entries()) {
        attempt(`signature.${field} #${index}`, () => core.serialize(good, { ...signature, [field]: wrong }));
      }
    }
  });

  const code = (call) => attempt("code", call)?.code;

  test(`${name}: what is wrong has a code of its own`, () => {
    const sign = (change) => code(() => core.sign({ ...good, ...change }, key));
    assert.equal(sign({ nonce: 5 }), "NOT_A_STRING");
    assert.equal(sign({ nonce: undefined }), "MISSING");
    assert.equal(sign({ nonce: "0x10000000000000000" }), "INVALID_NUMBER");
    assert.equal(sign({ nonce: "0x00" }), "INVALID_NUMBER");
    assert.equal(sign({ nonce: "9007199254740993" }), "INVALID_NUMBER");
    assert.equal(sign({ chainId: "0x0" }), "ZERO_CHAIN_ID");
    assert.equal(sign({ to: "0x7c" }), "INVALID_ADDRESS");
    assert.equal(sign({ data: "6057361d" }), "INVALID_HEX");
    assert.equal(sign({ privateFrom: `0x${"00".repeat(32)}` }), "INVALID_ENCLAVE_KEY");
    assert.equal(sign({ privacyGroupId: Buffer.alloc(31).toString("base64") }), "INVALID_GROUP_ID");
    assert.equal(sign({ privateFor: [good.privateFrom] }), "INVALID_RECIPIENTS");
    assert.equal(sign({ privacyGroupId: undefined }), "INVALID_RECIPIENTS");
    assert.equal(sign({ restriction: "public" }), "INVALID_RESTRICTION");
    assert.equal(code(() => core.sign(good, key.subarray(1))), "INVALID_PRIVATE_KEY");
    assert.equal(code(() => core.sign(good, privateKey)), "NOT_BYTES");
    assert.equal(code(() => core.sign(good, new Uint8Array(32))), "INVALID_PRIVATE_KEY");
    assert.equal(code(() => core.serialize(good, { ...signature, s: `0x${"f".repeat(64)}` })), "SIGNATURE_RANGE");
    assert.equal(code(() => core.serialize(good, { ...signature, s: `0x7${"f".repeat(63)}` })), "SIGNATURE_HIGH_S");
    assert.equal(code(() => core.serialize(good, { ...signature, yParity: 27 })), "INVALID_PARITY");
    assert.equal(code(() => core.recoverAddress(`0x${"11".repeat(32)}`, { ...signature, r: "0x5" })), "INVALID_SIGNATURE");
    assert.equal(code(() => core.markerSignatureHash({ ...marker, data: "0x01" })), "INVALID_MARKER");
    const ec = Buffer.alloc(91, 1).toString("base64");
    assert.equal(code(() => core.addParticipantsCalldata([ec], "bytes32")), "ENCLAVE_KEY_TOO_LONG");
    assert.equal(code(() => core.addParticipantsCalldata([ec], "words")), "INVALID_ABI");
    assert.equal(code(() => core.decodeParticipants("0x", "auto")), "MEMBERS_ABI");
    assert.equal(code(() => core.decodeManagementCall("0x12345678")), "MANAGEMENT_CALL");
    assert.equal(code(() => core.decode("0xc0")), "TRANSACTION_RLP");
  });

  test(`${name}: numbers keep all their bits`, () => {
    const decoded = core.decode(
      core.sign({ ...good, nonce: "0xffffffffffffffff", chainId: "0xffffffffffffffff" }, key),
    );
    assert.equal(decoded.nonce, "0xffffffffffffffff");
    assert.equal(decoded.chainId, "0xffffffffffffffff");
    assert.equal(core.decode(core.sign({ ...good, nonce: "0x20000000000001" }, key)).nonce, "0x20000000000001");
  });

  test(`${name}: bytes may come from another realm`, () => {
    const foreign = runInNewContext(`Uint8Array.from([${key}])`);
    assert.equal(core.sign(good, foreign), raw);
    assert.equal(core.groupId(runInNewContext("new Uint8Array(32)")), `${"A".repeat(43)}=`);
  });

  test(`${name}: damaged transactions are refused or decoded, never a trap`, () => {
    const damaged = bytes(raw);
    let seed = 1;
    const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 2000; round += 1) {
      const copy = damaged.slice(0, damaged.length - random(3));
      for (let changes = random(4); changes >= 0; changes -= 1) copy[random(copy.length)] = random(256);
      const text = `0x${Buffer.from(copy).toString("hex")}`;
      attempt("decode", () => core.decode(text));
      attempt("call", () => core.decodeManagementCall(`0x965a25ef${text.slice(2)}`));
      attempt("members", () => core.decodeParticipants(text, "auto"));
      attempt("revert", () => core.decodeRevert(`0x08c379a0${text.slice(2)}`));
    }
    assert.equal(core.sign(good, key), raw);
  });
}
