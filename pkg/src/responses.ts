/**
 * What a node answers, checked: every field that the SDK gives on has the form that its type says.
 */

import { InvalidResponseError } from "./errors.js";
import type {
  Address,
  EnclaveKey,
  GroupId,
  Hash,
  Hex,
  PrivacyGroup,
  PrivateLog,
  PrivateReceipt,
} from "./types.js";

type Fields = Record<string, unknown>;

const DATA = /^0x(?:[0-9a-fA-F]{2})*$/;
const QUANTITY = /^0x[0-9a-fA-F]{1,64}$/;
/** 32 bytes, or 91. @internal */
export const KEY = /^(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{122}==)$/;

/** @internal */
export function fail(what: string, expected: string): never {
  throw new InvalidResponseError(`the node's answer is invalid: ${what} is not ${expected}`);
}

function pattern(form: RegExp, expected: string) {
  return (value: unknown, what: string): string => {
    if (typeof value !== "string" || !form.test(value)) fail(what, expected);
    return value;
  };
}

const data = pattern(DATA, "bytes in hex");
const quantity = pattern(QUANTITY, "a quantity in hex");
const hash32 = pattern(/^0x[0-9a-fA-F]{64}$/, "a hash");
const address20 = pattern(/^0x[0-9a-fA-F]{40}$/, "an address");
const bloom = pattern(/^0x[0-9a-fA-F]{512}$/, "a bloom filter");
/** @internal */
export const key = pattern(KEY, "an enclave key in base64");
const id32 = pattern(/^[A-Za-z0-9+/]{43}=$/, "a group id of 32 bytes in base64");
/** @internal */
export const text = pattern(/^[^]*$/, "a text");

export const toDataResult = (value: unknown, what: string): Hex => data(value, what) as Hex;
export const toHashResult = (value: unknown, what: string): Hash => hash32(value, what) as Hash;
export const toAddressResult = (value: unknown, what: string): Address =>
  address20(value, what) as Address;

/** A number as nodes write it. */
export function toNumberResult(value: unknown, what: string): bigint {
  return BigInt(quantity(value, what));
}

/** A number that fits a `number`: an index. @internal */
export function index(value: unknown, what: string): number {
  const number = toNumberResult(value, what);
  if (number > 0xffffffffn) fail(what, "an index");
  return Number(number);
}

/** @internal */
export function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(what, "an object");
  return value as Fields;
}

/** @internal */
export function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) fail(what, "a list");
  return value as unknown[];
}

/** `read` for what is there; null is as good as absent. @internal */
export function optional<T>(value: unknown, what: string, read: (it: unknown, what: string) => T) {
  return value === undefined || value === null ? undefined : read(value, what);
}

/** @internal */
export function keys(value: unknown, what: string): EnclaveKey[] {
  return list(value, what).map((each) => key(each, what) as EnclaveKey);
}

/** @internal */
export function group(value: unknown, what: string): GroupId {
  return id32(value, what) as GroupId;
}

/** A log of a receipt or a search. */
export function toLog(value: unknown, what = "a log"): PrivateLog {
  const it = fields(value, what);
  return {
    address: toAddressResult(it["address"], `${what}'s address`),
    topics: list(it["topics"], `${what}'s topics`).map((topic) =>
      toHashResult(topic, `${what}'s topic`),
    ),
    data: toDataResult(it["data"], `${what}'s data`),
    blockHash: toHashResult(it["blockHash"], `${what}'s blockHash`),
    blockNumber: toNumberResult(it["blockNumber"], `${what}'s blockNumber`),
    transactionHash: toHashResult(it["transactionHash"], `${what}'s transactionHash`),
    transactionIndex: index(it["transactionIndex"], `${what}'s transactionIndex`),
    logIndex: index(it["logIndex"], `${what}'s logIndex`),
    removed: it["removed"] === true,
  };
}

/** The answer of `priv_getLogs`. */
export function toLogs(value: unknown): PrivateLog[] {
  return list(value, "the answer").map((log) => toLog(log));
}

const STATUS: Readonly<Record<string, PrivateReceipt["status"]>> = {
  "0x0": "reverted",
  "0x1": "success",
  "0x2": "invalid",
};

/** The answer of `priv_getTransactionReceipt`; null stays null. */
export function toReceipt(value: unknown, marker: Hash): PrivateReceipt | null {
  if (value === null) return null;
  const it = fields(value, "the receipt");
  const field = <T>(name: string, read: (value: unknown, what: string) => T): T =>
    read(it[name], `the receipt's ${name}`);
  const maybe = <T>(name: string, read: (value: unknown, what: string) => T): T | undefined =>
    optional(it[name], `the receipt's ${name}`, read);
  const status = STATUS[text(it["status"], "the receipt's status")];
  if (status === undefined) fail("the receipt's status", "0x0, 0x1 or 0x2");
  const transactionHash = maybe("commitmentHash", toHashResult) ?? field("transactionHash", toHashResult);
  if (transactionHash.toLowerCase() !== marker.toLowerCase()) {
    fail("the receipt", `that of ${marker}`);
  }
  return {
    status,
    transactionHash,
    blockHash: field("blockHash", toHashResult),
    blockNumber: field("blockNumber", toNumberResult),
    transactionIndex: field("transactionIndex", index),
    from: maybe("from", toAddressResult),
    to: maybe("to", toAddressResult) ?? null,
    contractAddress: maybe("contractAddress", toAddressResult) ?? null,
    privateFrom: maybe("privateFrom", key) as EnclaveKey | undefined,
    privacyGroupId: maybe("privacyGroupId", group),
    privateFor: maybe("privateFor", keys),
    output: maybe("output", toDataResult) ?? "0x",
    revertReason: maybe("revertReason", toDataResult),
    logs: list(it["logs"], "the receipt's logs").map((log) => toLog(log)),
    logsBloom: field("logsBloom", bloom) as Hex,
    reason: maybe("reason", text),
    decidedBy: maybe("decidedBy", toHashResult),
    outcome: maybe("outcome", text),
  };
}

/** The number of a mined marker's block; null when it is not mined. */
export function toMinedIn(value: unknown): bigint | null {
  if (value === null) return null;
  const it = fields(value, "the public receipt");
  return toNumberResult(it["blockNumber"], "the public receipt's blockNumber");
}

/**
 * A private transaction that is on the chain.
 *
 * @example
 * const transaction: MinedPrivateTransaction | null = await client.getTransaction(hash);
 */
export interface MinedPrivateTransaction {
  readonly from: Address | undefined;
  readonly to: Address | null;
  readonly nonce: bigint;
  readonly gas: bigint;
  readonly gasPrice: bigint;
  readonly value: bigint;
  readonly data: Hex;
  readonly v: bigint;
  readonly r: bigint;
  readonly s: bigint;
  readonly privateFrom: EnclaveKey;
  readonly privacyGroupId: GroupId | undefined;
  readonly privateFor: readonly EnclaveKey[] | undefined;
  readonly restriction: string;
}

/** The answer of `priv_getPrivateTransaction`; null stays null. */
export function toTransaction(value: unknown): MinedPrivateTransaction | null {
  if (value === null) return null;
  const it = fields(value, "the transaction");
  const field = <T>(name: string, read: (value: unknown, what: string) => T): T =>
    read(it[name], `the transaction's ${name}`);
  const maybe = <T>(name: string, read: (value: unknown, what: string) => T): T | undefined =>
    optional(it[name], `the transaction's ${name}`, read);
  return {
    from: maybe("from", toAddressResult),
    to: maybe("to", toAddressResult) ?? null,
    nonce: field("nonce", toNumberResult),
    gas: field("gas", toNumberResult),
    gasPrice: field("gasPrice", toNumberResult),
    value: field("value", toNumberResult),
    data: field("input", toDataResult),
    v: field("v", toNumberResult),
    r: field("r", toNumberResult),
    s: field("s", toNumberResult),
    privateFrom: field("privateFrom", key) as EnclaveKey,
    privacyGroupId: maybe("privacyGroupId", group),
    privateFor: maybe("privateFor", keys),
    restriction: field("restriction", text),
  };
}

/** The answer of `privx_findFlexiblePrivacyGroup`. */
export function toGroups(value: unknown): PrivacyGroup[] {
  return list(value, "the answer").map((each) => {
    const it = fields(each, "a group");
    return {
      privacyGroupId: group(it["privacyGroupId"], "a group's privacyGroupId"),
      members: keys(it["members"], "a group's members"),
      type: optional(it["type"], "a group's type", text) ?? "",
      name: optional(it["name"], "a group's name", text) ?? "",
      description: optional(it["description"], "a group's description", text) ?? "",
    };
  });
}

/** The answer of `priv_distributeRawTransaction`: 32 bytes, or 64. */
export function toPayloadKeyResult(value: unknown): Hex {
  const payload = toDataResult(value, "the payload key");
  if (payload.length !== 66 && payload.length !== 130) fail("the payload key", "32 or 64 bytes");
  return payload;
}
