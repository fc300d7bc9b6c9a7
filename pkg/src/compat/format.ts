// The forms that web3 1.x gives to parameters and results. What it leaves as the node sent it stays.

import { InvalidInputError } from "../errors.js";
import { checksumAddress, keccak256 } from "./hash.js";
import type Web3Quorum from "./index.js";

const BLOCK_TAGS = new Set(["latest", "pending", "earliest", "safe", "finalized"]);
const HEX = /^-?0x[0-9a-f]*$/i;

/** A whole number as callers of web3 write one: number, bigint, BN, hex with 0x, or decimal. */
export function quantity(value: unknown, name: string): bigint {
  const number = wholeNumber(value);
  if (number === undefined || number < 0n) {
    throw new InvalidInputError(`${name} is not a whole number: ${shown(value)}`, {
      code: "INVALID_NUMBER",
      hint: "Give a number below 2^53, a bigint, a decimal string, or hex with 0x.",
    });
  }
  return number;
}

function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === "string") {
    // `0x` alone is how web3 writes an empty quantity.
    if (value === "0x") return 0n;
    return /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? BigInt(value) : undefined;
  }
  // BN, which web3 1.x hands out.
  if (typeof value === "object" && value !== null && "toArrayLike" in value) {
    const text = (value as { toString(base: number): string }).toString(10);
    return /^[0-9]+$/.test(text) ? BigInt(text) : undefined;
  }
  return undefined;
}

/** For a message: never a long string, which may be a secret. */
function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "string" && value.length <= 20 ? JSON.stringify(value) : typeof value;
}

/** The block parameter of `priv.call`: a tag, hex, or a number, which becomes hex. */
export function blockParameter(value: unknown, otherwise: unknown): unknown {
  const block = value ?? otherwise ?? "latest";
  if (typeof block === "string") {
    if (BLOCK_TAGS.has(block)) return block;
    if (block === "genesis") return "0x0";
    if (HEX.test(block)) return block.toLowerCase();
  }
  return `0x${quantity(block, "the block").toString(16)}`;
}

/** A count as a number; what is not a count stays. */
export function count(result: unknown): unknown {
  return typeof result === "string" ? Number.parseInt(result, 16) : result;
}

/** Logs with numbers, a checksummed address and web3's `id`. */
export function formatLogs(result: unknown): unknown {
  return Array.isArray(result) ? result.map((log) => formatLog(log as Record<string, unknown>)) : result;
}

/** One log of the node, as web3 1.x gives it. The node's own object is not changed. */
export function formatLog(log: Record<string, unknown>): Web3Quorum.FormattedLog {
  const { blockHash, transactionHash, logIndex, address } = log;
  const hashes = [blockHash, transactionHash, logIndex];
  const id = hashes.every((it): it is string => typeof it === "string")
    ? `log_${keccak256(hashes.map((it) => it.replace("0x", "")).join("")).slice(0, 8)}`
    : (log["id"] ?? null);
  const formatted: Record<string, unknown> = { ...log, id };
  for (const name of ["blockNumber", "transactionIndex", "logIndex"]) {
    const value = log[name];
    if (typeof value === "string") formatted[name] = Number(value);
  }
  if (typeof address === "string") formatted["address"] = checksumAddress(address);
  return formatted as unknown as Web3Quorum.FormattedLog;
}
