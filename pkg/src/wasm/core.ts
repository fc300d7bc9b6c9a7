/**
 * The functions of {@link Core} over the generated glue. Only text and bytes cross: objects are
 * taken apart here, one field a line, and put together again. What a value means is judged by the
 * core, its JavaScript type here; both throw a {@link CoreError}.
 */
import * as glue from "../../wasm/core.js";
import type {
  Core,
  CoreMarker,
  CoreSignature,
  CoreSignedTransaction,
  CoreTransaction,
} from "./types.js";

/** What stands for a missing field. */
const MISSING = "-";
/** Longest text that crosses: 8 MiB of hex, more than any node takes. */
const TEXT_MAX = 1 << 24;
/** Most elements of a list. */
const ELEMENTS_MAX = 10_000;

const TRANSACTION = [
  "nonce",
  "gasPrice",
  "gasLimit",
  "to",
  "value",
  "data",
  "chainId",
  "privateFrom",
  "privacyGroupId",
  "restriction",
  "privateFor",
] as const;
const SIGNED = [...TRANSACTION, "v", "r", "s", "hash", "from"] as const;
const MARKER = ["nonce", "gasPrice", "gasLimit", "to", "value", "data", "chainId"] as const;

function invalid(code: string, message: string, hint: string): Error {
  return Object.assign(new Error(message), { name: "InvalidInputError", code, hint });
}

/** A string that can cross by itself. */
export function text(name: string, value: unknown): string {
  if (value === undefined || value === null) {
    throw invalid("MISSING", `${name} is missing`, "undefined and null count as missing");
  }
  if (typeof value !== "string") {
    throw invalid(
      "NOT_A_STRING",
      `${name} must be a string`,
      "numbers and bytes are passed as 0x-prefixed hex, keys and group ids as base64",
    );
  }
  if (value.length > TEXT_MAX) {
    throw tooLong(name);
  }
  return value;
}

/** A string that can cross as one line of a record, or as one element of a list. */
function line(name: string, value: unknown, separator = "\n"): string {
  if (value === undefined || value === null) {
    return MISSING;
  }
  const given = text(name, value);
  if (given === "" || given === MISSING || given.includes(separator)) {
    throw invalid("INVALID_TEXT", `${name} holds a text that means nothing`, "see its type");
  }
  return given;
}

function list(name: string, value: unknown): string {
  if (value === undefined || value === null) {
    return MISSING;
  }
  if (!Array.isArray(value)) {
    throw invalid("NOT_AN_ARRAY", `${name} must be an array`, "pass an array of strings");
  }
  if (value.length > ELEMENTS_MAX) {
    throw tooLong(name);
  }
  // Not `map`, which leaves holes out.
  const elements = Array.from(value, (element) => text(name, element));
  return elements.map((element) => line(name, line(name, element), ",")).join(",");
}

export function requiredList(name: string, value: unknown): string {
  return value === undefined || value === null ? text(name, value) : list(name, value);
}

function tooLong(name: string): Error {
  return invalid("TOO_LONG", `${name} is too long`, "no node takes as much");
}

function record(name: string, value: unknown, fields: readonly string[]): string {
  if (value === undefined || value === null) {
    throw invalid("MISSING", `${name} is missing`, "undefined and null count as missing");
  }
  if (typeof value !== "object") {
    throw invalid("NOT_AN_OBJECT", `${name} must be an object`, "pass a plain object");
  }
  let lines = "";
  for (const field of fields) {
    const given = (value as Record<string, unknown>)[field];
    lines += (lines && "\n") + (field === "privateFor" ? list(field, given) : line(field, given));
  }
  return text(name, lines);
}

const transaction = (tx: CoreTransaction) => record("the transaction", tx, TRANSACTION);
const marker = (given: CoreMarker) => record("the marker transaction", given, MARKER);

function signature(given: CoreSignature): string {
  const parity: unknown = (given as CoreSignature | undefined)?.yParity;
  const lines = record("the signature", given, ["r", "s"]);
  return `${lines}\n${parity === 0 || parity === 1 ? parity : parity == null ? MISSING : "x"}`;
}

/** Whether this is a `Uint8Array`, of any realm: frames and test runners have their own. */
function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Uint8Array]";
}

/** Bytes or text, each to its own function. */
export function either(
  name: string,
  value: unknown,
  fromText: (text: string) => string,
  fromBytes: (bytes: Uint8Array) => string,
): string {
  if (!isBytes(value)) {
    return fromText(text(name, value));
  }
  // The longest that anything takes is an enclave key of 91 bytes.
  return fromBytes(copyOf(name, value, 91));
}

/** A copy that nothing else can change or lie about. */
function copyOf(name: string, bytes: Uint8Array, lengthMax: number): Uint8Array {
  let copy: Uint8Array;
  try {
    copy = Uint8Array.prototype.slice.call(bytes, 0, lengthMax + 1);
  } catch {
    throw invalid("NOT_BYTES", `${name} must be a Uint8Array`, "its buffer is gone");
  }
  if (copy.length > lengthMax) {
    throw tooLong(name);
  }
  return copy;
}

/** Calls with a copy of a private key, which is overwritten afterwards. */
function withKey(privateKey: unknown, use: (key: Uint8Array) => string): string {
  const name = "the private key";
  if (!isBytes(privateKey)) {
    const missing = privateKey === undefined || privateKey === null;
    throw missing
      ? invalid("MISSING", `${name} is missing`, "pass its 32 bytes")
      : invalid("NOT_BYTES", `${name} must be a Uint8Array`, "pass its 32 bytes");
  }
  const key = copyOf(name, privateKey, 32);
  try {
    return use(key);
  } finally {
    key.fill(0);
  }
}

function entropy(length: number): Uint8Array {
  const { crypto } = globalThis as { crypto?: Crypto };
  if (crypto?.getRandomValues === undefined) {
    throw invalid(
      "NO_ENTROPY",
      "a group id cannot be drawn: the platform gives no random numbers",
      "crypto.getRandomValues is needed; pass a group id of your own instead",
    );
  }
  return crypto.getRandomValues(new Uint8Array(length));
}

function fields(names: readonly string[], lines: string): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  const values = lines.split("\n");
  names.forEach((name, index) => {
    const value = values[index];
    if (value !== undefined && value !== MISSING) {
      out[name] = name === "privateFor" ? elements(value) : value;
    }
  });
  return out;
}

export function elements(joined: string): string[] {
  return joined === "" ? [] : joined.split(",");
}

/** The first `count` lines, and the rest as it is. */
export function head(lines: string, count: number): string[] {
  const parts = lines.split("\n");
  return [...parts.slice(0, count), parts.slice(count).join("\n")];
}

/** The core's functions, once the module is instantiated. */
export const functions: Core = {
  enclaveKey: (value) => either("the enclave key", value, glue.enclaveKey, glue.enclaveKeyFromBytes),
  enclaveKeyBytes: (key) => glue.enclaveKeyBytes(text("the enclave key", key)),
  groupId: (value) => either("the group id", value, glue.groupId, glue.groupIdFromBytes),
  groupIdBytes: (id) => glue.groupIdBytes(text("the group id", id)),
  randomGroupId: () => glue.groupIdFromBytes(entropy(32)),
  legacyGroupId: (members) => glue.legacyGroupId(requiredList("members", members)),
  contractAddress: (sender, nonce, group) =>
    glue.contractAddress(text("sender", sender), text("nonce", nonce), functions.groupId(group)),
  accountAddress: (privateKey) => withKey(privateKey, glue.accountAddress),

  encodeForSigning: (tx) => glue.encodeForSigning(transaction(tx)),
  signatureHash: (tx) => glue.signatureHash(transaction(tx)),
  sign: (tx, privateKey) => {
    const lines = transaction(tx);
    return withKey(privateKey, (key) => glue.sign(lines, key));
  },
  serialize: (tx, given) => glue.serialize(transaction(tx), signature(given)),
  decode: (raw) => fields(SIGNED, glue.decode(text("raw", raw))) as unknown as CoreSignedTransaction,
  recoverSigner: (raw) => glue.recoverSigner(text("raw", raw)),
  transactionHash: (raw) => glue.transactionHash(text("raw", raw)),
  keccak256: (data) => glue.keccak256(text("data", data)),
  recoverAddress: (hash, given) => glue.recoverAddress(text("hash", hash), signature(given)),

  markerSignatureHash: (given) => glue.markerSignatureHash(marker(given)),
  serializeMarker: (given, signed) => glue.serializeMarker(marker(given), signature(signed)),
  signMarker: (given, privateKey) => {
    const lines = marker(given);
    return withKey(privateKey, (key) => glue.signMarker(lines, key));
  },

  addParticipantsCalldata: (members, abi) =>
    glue.addParticipantsCalldata(requiredList("members", members), text("abi", abi)),
  removeParticipantCalldata: (member, abi) =>
    glue.removeParticipantCalldata(text("member", member), text("abi", abi)),
  lockCalldata: () => glue.calldata("lock"),
  unlockCalldata: () => glue.calldata("unlock"),
  participantsCalldata: () => glue.calldata("getParticipants"),
  canExecuteCalldata: () => glue.calldata("canExecute"),
  ownerCalldata: () => glue.calldata("owner"),
  acceptOwnershipCalldata: () => glue.calldata("acceptOwnership"),
  transferOwnershipCalldata: (owner) => glue.transferOwnershipCalldata(text("newOwner", owner)),
  decodeParticipants: (output, abi) =>
    elements(glue.decodeParticipants(text("output", output), text("abi", abi))),
  decodeRevert: (output) => {
    const [kind, code = "", reason = ""] = head(glue.decodeRevert(text("output", output)), 2);
    if (kind === "panic") {
      return { kind, code, reason };
    }
    return kind === "error" ? { kind, reason } : undefined;
  },
};
