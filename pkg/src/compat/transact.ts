// What web3js-quorum composes: sign and send, and wait for a receipt.

import {
  accountAddress,
  coreReady,
  legacyGroupId,
  serializePrivateTransaction,
  signPrivateTransaction,
} from "../codec.js";
import { InvalidInputError, InvalidResponseError, ReceiptTimeoutError, isTransient, lost } from "../errors.js";
import { toArray, toCount, toObject } from "../input.js";
import { sharedNonces } from "../nonces.js";
import { pause } from "../wait.js";
import type { Address, EnclaveKey, GroupId, Hash, Hex } from "../types.js";
import type { Connection } from "./connection.js";
import { count, quantity } from "./format.js";
import type Web3Quorum from "./index.js";

const GAS_LIMIT = 3_000_000n;

/** The private key, which web3 writes with 0x and web3js-quorum without. */
export function privateKey(value: unknown): Hex | Uint8Array {
  if (value instanceof Uint8Array && value.length === 32) return value;
  const digits = typeof value === "string" ? value.replace(/^0x/i, "") : "";
  if (!/^[0-9a-f]{64}$/i.test(digits)) {
    throw new InvalidInputError("privateKey must be 64 hex digits, with or without 0x, or 32 bytes");
  }
  return `0x${digits}`;
}

function bytes(value: unknown, name: string): Hex | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (value instanceof Uint8Array) {
    return `0x${Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }
  if (typeof value === "string" && /^0x([0-9a-f]{2})*$/i.test(value)) return value as Hex;
  throw new InvalidInputError(`${name} must be hex with 0x`, {
    hint: "web3js-quorum took text without 0x for base64 when it looked like it.",
  });
}

/** Everything of the options but nonce and chain id, checked before anything is asked or sent. */
function checked(options: Web3Quorum.TransactionOptions) {
  toObject(options, "options");
  const { privacyGroupId, privateFor } = options;
  if (privacyGroupId && privateFor) {
    throw new InvalidInputError("privacyGroupId and privateFor are mutually exclusive");
  }
  if (!privacyGroupId && !privateFor) {
    throw new InvalidInputError("privacyGroupId or privateFor is expected", {
      hint: "web3js-quorum signed such a transaction for nobody.",
    });
  }
  if ("value" in options && options.value && quantity(options.value, "value") !== 0n) {
    throw new InvalidInputError("value must be 0: private transactions move no ether");
  }
  const key = privateKey(options.privateKey);
  const privateFrom = options.privateFrom as EnclaveKey;
  const group = privacyGroupId || legacyGroupId([privateFrom, ...(toArray(privateFor, "privateFor") as EnclaveKey[])]);
  const rest = {
    ...(privacyGroupId ? { privacyGroupId: privacyGroupId as GroupId } : { privateFor: privateFor as EnclaveKey[] }),
    privateFrom,
    to: bytes(options.to, "to") as Address | undefined,
    data: bytes(options.data, "data"),
    gas: options.gasLimit ? quantity(options.gasLimit, "gasLimit") : GAS_LIMIT,
    gasPrice: options.gasPrice ? quantity(options.gasPrice, "gasPrice") : 0n,
    restriction: (options.restriction || "restricted") as "restricted",
  };
  const nonce = (options.nonce ?? "") === "" ? undefined : quantity(options.nonce, "nonce");
  // With made-up numbers: whatever the core refuses is told before the node is asked.
  serializePrivateTransaction({ ...rest, nonce: nonce ?? 0n, chainId: 1n });
  return { key, group, nonce, rest, address: accountAddress(key).toLowerCase() as Address };
}

/** Signs and sends by `method`; gives what the node answers. */
export async function generateAndSend(
  connection: Connection,
  options: Web3Quorum.TransactionOptions,
  method: "eea_sendRawTransaction" | "priv_distributeRawTransaction",
): Promise<string> {
  await coreReady();
  const { key, group, nonce: given, rest, address } = checked(options);
  const chainId = await connection.chainId();
  const send = async (nonce: bigint): Promise<string> => {
    const raw = signPrivateTransaction({ ...rest, nonce, chainId }, key);
    const answer = await connection.request(method, [raw]).catch(lost(nonce));
    if (typeof answer !== "string") throw new InvalidResponseError(`${method} answered no hash`);
    return answer;
  };
  // One queue with the SDK's clients: two sends at a time do not get the same nonce.
  const nonces = sharedNonces();
  const account = { address, group, chainId };
  const read = () => nonceAtNode(connection, address, group);
  if (method === "eea_sendRawTransaction") {
    const failed = (marker: string) => hasFailed(connection, marker);
    return nonces.use(account, { explicit: given, read, send, failed });
  }
  // Whether a marker follows a distribution, nobody here comes to know. One that is abandoned must
  // not make invalid what is sent after it, so its nonce is given back and the node asked next time.
  const released = new Released();
  const release = async (nonce: bigint): Promise<never> => {
    released.key = await send(nonce);
    throw released;
  };
  await nonces.use(account, { explicit: given, read, send: release }).catch((error: unknown) => {
    if (error !== released) throw error;
  });
  nonces.failed(account, released.key as Hash);
  return released.key;
}

/** Gives a nonce back although something was sent with it. */
class Released extends Error {
  key = "";
}

/** Whether the transaction of this marker is known to have had no effect. */
async function hasFailed(connection: Connection, marker: string): Promise<boolean> {
  const receipt = (await connection.request("priv_getTransactionReceipt", [marker])) as Record<string, unknown> | null;
  return typeof receipt?.["status"] === "string" && receipt["status"] !== "0x1";
}

/** The next nonce as the node counts. */
async function nonceAtNode(connection: Connection, address: string, group: string): Promise<bigint> {
  const answer = await connection.request("priv_getTransactionCount", [address, group]);
  const nonce = count(answer);
  if (typeof nonce !== "number" || !Number.isSafeInteger(nonce)) {
    throw new InvalidResponseError("priv_getTransactionCount answered no number");
  }
  return BigInt(nonce);
}

/**
 * Polls until the marker is mined, then asks for the private receipt once: a node of a member has it
 * then, and one that is no party never will.
 */
export async function waitForTransactionReceipt(
  connection: Connection,
  hash: string,
  retries = 300,
  delay = 1000,
): Promise<Web3Quorum.PrivateTransactionReceipt | null> {
  toCount(retries, "retries");
  toCount(delay, "delay");
  for (let left = retries; ; left--) {
    let failure: unknown;
    try {
      const mined = (await connection.request("eth_getTransactionReceipt", [hash])) ?? undefined;
      if (mined !== undefined) break;
    } catch (error) {
      // What the node refuses, it will refuse again.
      if (!isTransient(error)) throw error;
      failure = error;
    }
    if (left <= 1) {
      const after = delay === 0 ? `${retries} attempts` : `${(retries * delay) / 1000}s`;
      const error = new ReceiptTimeoutError(hash as Hash, undefined, retries * delay, false, failure);
      error.message = `Timed out after ${after} waiting for transaction to be mined`;
      throw error;
    }
    await pause(delay);
  }
  const receipt = (await connection.request("priv_getTransactionReceipt", [hash])) as Web3Quorum.PrivateTransactionReceipt | null;
  if (receipt?.privacyGroupId && receipt.status !== "0x1") {
    // Its nonce may not have been used up: the node knows.
    const { from, privacyGroupId: group } = receipt;
    // Who cannot tell the chain has sent nothing, and the receipt is there all the same.
    const chainId = await connection.chainId().catch(() => undefined);
    if (chainId !== undefined) sharedNonces().failed({ address: from as Address, group, chainId }, hash as Hash);
  }
  return receipt;
}
