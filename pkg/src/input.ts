/**
 * Checks of what callers pass in, before it reaches the core. Only shapes that the core does not
 * see (numbers, options) are judged here; keys, ids and bytes are judged by the core.
 */

import { InvalidInputError } from "./errors.js";
import type { Address, BlockTag, Hash, Hex, Quantity } from "./types.js";

const HEX = /^0x(?:[0-9a-fA-F]{2})*$/;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const HASH = /^0x[0-9a-fA-F]{64}$/;
const QUANTITY = /^0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)$/;
const TAGS: readonly unknown[] = ["latest", "earliest", "pending", "finalized", "safe"];

/** What a value is, for messages; never the value itself, which may be a secret. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function refuse(what: string, expected: string, value: unknown): never {
  throw new InvalidInputError(`${what} must be ${expected}, not ${describe(value)}`);
}

function describe(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "string") return `a string of ${value.length} characters`;
  return kindOf(value);
}

/** A number of the protocol as a `bigint`. */
export function toBigInt(value: unknown, what: string, max: bigint = 2n ** 256n - 1n): bigint {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) {
      refuse(what, "a bigint, or a number that is a safe integer", value);
    }
    value = BigInt(value);
  }
  if (typeof value !== "bigint") refuse(what, "a bigint, or a number that is a safe integer", value);
  if (value < 0n || value > max) refuse(what, `between 0 and ${max}`, value);
  return value;
}

/** A nonce, gas or chain id. */
export function toUint64(value: unknown, what: string): bigint {
  return toBigInt(value, what, 2n ** 64n - 1n);
}

/** A number of the protocol as the core and nodes take it. */
export function toQuantity(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

/** A chain id; 0 is none. */
export function toChainId(value: unknown): bigint {
  const id = toUint64(value, "chainId");
  if (id === 0n) refuse("chainId", "1 or more", value);
  return id;
}

/** Milliseconds, or another count that is not of the protocol. */
export function toCount(value: unknown, what: string, min = 0): number {
  if (typeof value !== "number" || Number.isNaN(value) || value < min) {
    refuse(what, `a number from ${min} up`, value);
  }
  return value;
}

/** An object with options. */
export function toObject<T>(value: T, what: string): T & object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    refuse(what, "an object", value);
  }
  return value;
}

/**
 * The names of all options that functions of the SDK take, and last of what they give: a group that
 * was found, or a transaction that was parsed, may be passed on as it is.
 */
const OPTIONS =
  "url transport headers requestTimeout responseBytesMax fetch enclaveKey signer groupAbi polling" +
  " nonces chainId privacyGroupId privateFor privateFrom to data nonce gas gasPrice value restriction" +
  " signal interval timeout retries onProgress from blockTag address topics fromBlock toBlock blockHash" +
  " reorgDepth onError participants participant skipExistsCheck newOwner exact markerSigner expiry" +
  " receipt members type name description hash v r s";

/** Whether an option has this name. */
export function isOption(name: string, names = OPTIONS): boolean {
  return ` ${names} `.includes(` ${name} `);
}

/**
 * An object with options, all of them known: one that is misspelt would be ignored. `names` are
 * those that there are.
 */
export function toOptions<T>(value: T, what: string, names = OPTIONS): T & object {
  const it = toObject(value, what);
  for (const name of Object.keys(it)) {
    if (isOption(name, names)) continue;
    const instead = name === "gasLimit" ? "; it is called gas" : "";
    throw new InvalidInputError(`${what}: there is no option ${name}${instead}`);
  }
  return it;
}

/** A list. */
export function toArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) refuse(what, "an array", value);
  return value as readonly unknown[];
}

/** Bytes in hex. */
export function toHex(value: unknown, what: string): Hex {
  if (typeof value !== "string" || !HEX.test(value)) {
    refuse(what, "0x and two hex digits a byte", value);
  }
  return value.toLowerCase() as Hex;
}

/** An address, lower case. Its checksum is not judged: old clients send any case. */
export function toAddress(value: unknown, what: string): Address {
  if (typeof value !== "string" || !ADDRESS.test(value)) {
    refuse(what, "an address: 0x and 40 hex digits", value);
  }
  return value.toLowerCase() as Address;
}

/** A hash, lower case. */
export function toHash(value: unknown, what: string): Hash {
  if (typeof value !== "string" || !HASH.test(value)) {
    refuse(what, "a hash: 0x and 64 hex digits", value);
  }
  return value.toLowerCase() as Hash;
}

/** A block as nodes take it. */
export function toBlock(value: BlockTag | undefined, what = "blockTag"): string {
  if (value === undefined) return "latest";
  if (TAGS.includes(value)) return value as string;
  if (typeof value === "string") {
    if (!QUANTITY.test(value)) refuse(what, "a number or a tag such as \"latest\"", value);
    return (value as string).toLowerCase();
  }
  return toQuantity(toUint64(value, what));
}

/** An `AbortSignal`, or nothing. */
export function toSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const signal = value as AbortSignal | null;
  if (typeof signal !== "object" || signal === null || typeof signal.addEventListener !== "function") {
    refuse("signal", "an AbortSignal", value);
  }
  return signal;
}

/** Headers of a request. */
export function toHeaders(value: Readonly<Record<string, string>> | undefined): Headers {
  try {
    return new Headers(value);
  } catch {
    // The platform's error shows the value, which may be a token.
    throw new InvalidInputError("headers must be names and values that HTTP allows");
  }
}

/** A number that is given or has a default. */
export function toOptional(value: Quantity | undefined, what: string, otherwise: bigint): bigint {
  return value === undefined ? otherwise : toBigInt(value, what);
}
