/**
 * The bytes of the protocol: typed functions over the WebAssembly core, which does all encoding.
 * Synchronous; no I/O. Formats: `spec/sdk.md` 1.3.
 */

import {
  core as loaded,
  ready,
  type Core,
  type CoreMarker,
  type CoreTransaction,
} from "./wasm/index.js";
import { DecodeError, InvalidInputError, NotInitializedError, SignatureError } from "./errors.js";
import {
  kindOf,
  toAddress,
  toArray,
  toBigInt,
  toChainId,
  toHash,
  toHex,
  toObject,
  toOptions,
  toQuantity,
  toUint64,
} from "./input.js";
import type {
  Address,
  Audience,
  DecodedRevert,
  EnclaveKey,
  GroupAbi,
  GroupId,
  Hash,
  Hex,
  PayloadKey,
  PrivateTransaction,
  Quantity,
  Signature,
  SignedPrivateTransaction,
} from "./types.js";

/** Gas limit when none is given: what web3js-quorum uses. */
export const DEFAULT_GAS = 3_000_000n;

/**
 * Where a group's membership is managed, in its own private state.
 *
 * @example
 * await client.call({ privacyGroupId, to: MANAGEMENT_ADDRESS, data: "0x78b90337" });
 */
export const MANAGEMENT_ADDRESS: Address = "0x000000000000000000000000000000000000007c";

/**
 * Where markers go, on the public chain.
 *
 * @example
 * const { to } = await provider.getTransaction(hash); // MARKER_ADDRESS
 */
export const MARKER_ADDRESS: Address = "0x000000000000000000000000000000000000007d";

/**
 * Calls the core, and makes its errors ours.
 *
 * @internal
 */
export function withCore<T>(use: (core: Core) => T): T {
  try {
    return use(loaded());
  } catch (error) {
    throw coreError(error);
  }
}

/**
 * Waits for the core, where it can load itself.
 *
 * @internal
 */
export async function coreReady(): Promise<void> {
  try {
    await ready();
  } catch (error) {
    throw coreError(error);
  }
}

function coreError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, code, hint } = error as Error & { code?: unknown; hint?: unknown };
  if (typeof code !== "string") return error;
  const options = { code, hint: typeof hint === "string" ? hint : undefined, cause: error };
  switch (name) {
    case "InvalidInputError":
      return error instanceof InvalidInputError ? error : new InvalidInputError(message, options);
    case "DecodeError":
      return error instanceof DecodeError ? error : new DecodeError(message, options);
    case "SignError":
    case "SignatureError":
      return error instanceof SignatureError ? error : new SignatureError(message, options);
    default:
      return code === "NOT_INITIALIZED" || code === "INIT_FAILED" ? new NotInitializedError(message, options) : error;
  }
}

/**
 * Reads an enclave key: 32 or 91 bytes, or their base64.
 *
 * @throws {InvalidInputError} it is none.
 *
 * @example
 * const alice = enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=");
 */
export function enclaveKey(value: string | Uint8Array): EnclaveKey {
  return withCore((core) => core.enclaveKey(value)) as EnclaveKey;
}

/**
 * The bytes of an enclave key.
 *
 * @example
 * enclaveKeyBytes(alice).length; // 32
 */
export function enclaveKeyBytes(key: EnclaveKey): Uint8Array {
  return withCore((core) => core.enclaveKeyBytes(key));
}

/**
 * Reads a group id: exactly 32 bytes, or their base64.
 *
 * @throws {InvalidInputError} it is none.
 *
 * @example
 * const group = groupId("DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w=");
 */
export function groupId(value: string | Uint8Array): GroupId {
  return withCore((core) => core.groupId(value)) as GroupId;
}

/**
 * The bytes of a group id.
 *
 * @example
 * groupIdBytes(group).length; // 32
 */
export function groupIdBytes(id: GroupId): Uint8Array {
  return withCore((core) => core.groupIdBytes(id));
}

/**
 * Draws a fresh group id: 32 random bytes.
 *
 * @example
 * const { receipt } = await client.groups.create({ privacyGroupId: randomGroupId(), participants });
 */
export function randomGroupId(): GroupId {
  return withCore((core) => core.randomGroupId()) as GroupId;
}

/**
 * The id of the legacy (EEA) group of these members, in any order.
 *
 * @example
 * const id = legacyGroupId([alice, bob]);
 */
export function legacyGroupId(members: readonly EnclaveKey[]): GroupId {
  const list = toArray(members, "members") as EnclaveKey[];
  return withCore((core) => core.legacyGroupId([...list])) as GroupId;
}

/**
 * Where a contract that `sender` creates in a group with this nonce will be. Not where a public
 * contract would be.
 *
 * @example
 * const address = privateContractAddress(sender, 1n, privacyGroupId);
 */
export function privateContractAddress(sender: Address, nonce: Quantity, group: GroupId): Address {
  const from = toAddress(sender, "sender");
  const number = toQuantity(toUint64(nonce, "nonce"));
  return withCore((core) => core.contractAddress(from, number, core.groupId(group))) as Address;
}

/**
 * A private transaction as bytes: signed when a signature is given, else what is to be hashed and
 * signed. The shape of viem's serializers.
 *
 * @throws {InvalidInputError} a field is wrong.
 *
 * @example
 * const raw = await account.signTransaction(transaction, { serializer: serializePrivateTransaction });
 */
export function serializePrivateTransaction(
  transaction: PrivateTransaction,
  signature?: Signature,
): Hex {
  const tx = toTx(transaction);
  if (signature === undefined) return withCore((core) => core.encodeForSigning(tx)) as Hex;
  const normal = toSignature(signature);
  return withCore((core) => core.serialize(tx, normal)) as Hex;
}

/**
 * The hash that an account signs.
 *
 * @example
 * const hash = privateTransactionSignatureHash({ ...request, nonce: 0n, chainId: 1337n, privateFrom });
 */
export function privateTransactionSignatureHash(transaction: PrivateTransaction): Hash {
  const tx = toTx(transaction);
  return withCore((core) => core.signatureHash(tx)) as Hash;
}

/**
 * Signs a private transaction with a private key: 32 bytes, or their hex.
 *
 * @example
 * const raw = signPrivateTransaction({ nonce: 0n, chainId: 1337n, privateFrom, privacyGroupId, to }, key);
 * await client.sendRawTransaction(raw);
 */
export function signPrivateTransaction(
  transaction: PrivateTransaction,
  privateKey: Hex | Uint8Array,
): Hex {
  const tx = toTx(transaction);
  const key = toPrivateKey(privateKey);
  try {
    return withCore((core) => core.sign(tx, key)) as Hex;
  } finally {
    key.fill(0);
  }
}

/**
 * Decodes a signed private transaction.
 *
 * @throws {DecodeError} the bytes are none.
 *
 * @example
 * const { from, privacyGroupId, nonce } = parsePrivateTransaction(raw);
 */
export function parsePrivateTransaction(raw: Hex): SignedPrivateTransaction {
  const bytes = toHex(raw, "raw");
  const it = withCore((core) => core.decode(bytes));
  const audience =
    it.privacyGroupId === undefined
      ? { privateFor: (it.privateFor ?? []) as EnclaveKey[] }
      : { privacyGroupId: it.privacyGroupId as GroupId };
  return {
    ...audience,
    nonce: BigInt(it.nonce),
    gasPrice: BigInt(it.gasPrice ?? 0),
    gas: BigInt(it.gasLimit),
    to: (it.to ?? null) as Address | null,
    data: (it.data ?? "0x") as Hex,
    value: BigInt(it.value ?? 0),
    chainId: it.chainId === undefined ? undefined : BigInt(it.chainId),
    privateFrom: it.privateFrom as EnclaveKey,
    restriction: it.restriction ?? "restricted",
    v: BigInt(it.v),
    r: it.r as Hex,
    s: it.s as Hex,
    hash: it.hash as Hash,
    from: it.from as Address | undefined,
  };
}

/**
 * Who signed a private transaction.
 *
 * @throws {SignatureError} the signature recovers nobody.
 *
 * @example
 * const sender = recoverPrivateTransactionSigner(raw);
 */
export function recoverPrivateTransactionSigner(raw: Hex): Address {
  const bytes = toHex(raw, "raw");
  return withCore((core) => core.recoverSigner(bytes)) as Address;
}

/**
 * keccak256 of a signed private transaction. Nodes know it by its marker's hash instead.
 *
 * @example
 * const hash = privateTransactionHash(raw);
 */
export function privateTransactionHash(raw: Hex): Hash {
  const bytes = toHex(raw, "raw");
  return withCore((core) => core.transactionHash(bytes)) as Hash;
}

/**
 * The address of a private key: 32 bytes, or their hex.
 *
 * @example
 * const sender = accountAddress("0x8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63");
 */
export function accountAddress(privateKey: Hex | Uint8Array): Address {
  const key = toPrivateKey(privateKey);
  try {
    return withCore((core) => core.accountAddress(key)) as Address;
  } finally {
    key.fill(0);
  }
}

/**
 * Call data that adds members to a group, for its management contract.
 *
 * @example
 * await client.sendTransaction({ privacyGroupId, to: MANAGEMENT_ADDRESS, data: addParticipantsData([carol]) });
 */
export function addParticipantsData(
  members: readonly EnclaveKey[],
  abi: GroupAbi = "bytes",
): Hex {
  const list = toArray(members, "members") as EnclaveKey[];
  return withCore((core) => core.addParticipantsCalldata([...list], toGroupAbi(abi))) as Hex;
}

/**
 * Call data that removes a member from a group, for its management contract.
 *
 * @example
 * await client.sendTransaction({ privacyGroupId, to: MANAGEMENT_ADDRESS, data: removeParticipantData(carol) });
 */
export function removeParticipantData(member: EnclaveKey, abi: GroupAbi = "bytes"): Hex {
  return withCore((core) => core.removeParticipantCalldata(member, toGroupAbi(abi))) as Hex;
}

/**
 * The members in an answer of `getParticipants()` or `members()`, in either ABI.
 *
 * @throws {DecodeError} it is no such answer.
 *
 * @example
 * const members = decodeParticipants(await client.call({ privacyGroupId, to: MANAGEMENT_ADDRESS, data: "0x5aa68ac0" }));
 */
export function decodeParticipants(output: Hex, abi: GroupAbi | "auto" = "auto"): EnclaveKey[] {
  const bytes = toHex(output, "output");
  const which = abi === "auto" ? abi : toGroupAbi(abi);
  return withCore((core) => core.decodeParticipants(bytes, which)) as EnclaveKey[];
}

/**
 * What `Error(string)` or `Panic(uint256)` says; undefined for other bytes.
 *
 * @example
 * decodeRevert(receipt.revertReason)?.reason;
 */
export function decodeRevert(output: Hex): DecodedRevert | undefined {
  const bytes = toHex(output, "output");
  const it = withCore((core) => core.decodeRevert(bytes));
  if (it === undefined || it === null) return undefined;
  return it.kind === "panic" ? { ...it, code: BigInt(it.code) } : it;
}

/**
 * A public transaction that marks a payload.
 *
 * @example
 * const marker: MarkerTransaction = { nonce: 0n, gasPrice: 0n, gas: 30_000n, data: payloadKey, chainId: 1337n };
 */
export interface MarkerTransaction {
  readonly nonce: Quantity;
  readonly gasPrice: Quantity;
  readonly gas: Quantity;
  readonly to?: Address | undefined;
  readonly data: PayloadKey;
  readonly chainId?: Quantity | undefined;
}

/**
 * Signs a marker with a private key: 32 bytes, or their hex.
 *
 * @example
 * const raw = signMarkerTransaction({ nonce, gasPrice: 0n, gas: 30_000n, data: payloadKey, chainId }, key);
 */
export function signMarkerTransaction(
  transaction: MarkerTransaction,
  privateKey: Hex | Uint8Array,
): Hex {
  const pub = toPub(transaction);
  const key = toPrivateKey(privateKey);
  try {
    return withCore((core) => core.signMarker(pub, key)) as Hex;
  } finally {
    key.fill(0);
  }
}

/**
 * A marker transaction for the core.
 *
 * @internal
 */
export function toPub(transaction: MarkerTransaction): CoreMarker {
  const it = toOptions(transaction, "transaction");
  const data = toHex(it.data, "payload key");
  if (data.length !== 66 && data.length !== 130) {
    throw new InvalidInputError("a payload key has 32 bytes (or 64 bytes, as Besu answers some)");
  }
  return {
    nonce: toQuantity(toUint64(it.nonce, "nonce")),
    gasPrice: toQuantity(toBigInt(it.gasPrice, "gasPrice")),
    gasLimit: toQuantity(toUint64(it.gas, "gas")),
    to: toAddress(it.to ?? MARKER_ADDRESS, "to"),
    data,
    chainId: it.chainId === undefined ? undefined : toQuantity(toChainId(it.chainId)),
  };
}

/**
 * A private transaction for the core.
 *
 * @internal
 */
export function toTx(transaction: PrivateTransaction): CoreTransaction {
  const it = toOptions(transaction, "transaction");
  const audience = toAudience(it);
  const restriction = it.restriction ?? "restricted";
  if (restriction !== "restricted" && restriction !== "unrestricted") {
    throw new InvalidInputError('restriction must be "restricted" or "unrestricted"');
  }
  return {
    ...audience,
    nonce: toQuantity(toUint64(it.nonce, "nonce")),
    gasPrice: toQuantity(toBigInt(it.gasPrice ?? 0n, "gasPrice")),
    gasLimit: toQuantity(toUint64(it.gas ?? DEFAULT_GAS, "gas")),
    to: it.to === undefined || it.to === null ? undefined : toAddress(it.to, "to"),
    value: toQuantity(toBigInt(it.value ?? 0n, "value")),
    data: toHex(it.data ?? "0x", "data"),
    chainId: it.chainId === undefined ? undefined : toQuantity(toChainId(it.chainId)),
    privateFrom: enclaveKey(it.privateFrom),
    restriction,
  };
}

/**
 * The audience, checked: exactly one of the two.
 *
 * @internal
 */
export function toAudience(value: Audience): Audience {
  const { privacyGroupId, privateFor } = value;
  if ((privacyGroupId === undefined) === (privateFor === undefined)) {
    throw new InvalidInputError("exactly one of privacyGroupId and privateFor is expected");
  }
  if (privateFor === undefined) return { privacyGroupId: groupId(privacyGroupId!) };
  const keys = toArray(privateFor, "privateFor").map((key) => enclaveKey(key as string));
  if (keys.length === 0) throw new InvalidInputError("privateFor must have a key");
  return { privateFor: keys };
}

/** Half of secp256k1's order: signatures with a larger s are malleable (EIP-2). */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/**
 * A signature for the core, from the forms that signers answer: parity or `v`, and s may be high,
 * as hardware answers it.
 *
 * @internal
 */
export function toSignature(signature: Signature): { r: Hex; s: Hex; yParity: 0 | 1 } {
  const it = toObject(signature, "signature");
  const scalar = (value: unknown, what: string): bigint => {
    if (typeof value !== "string" || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) {
      throw new InvalidInputError(`signature.${what} must be up to 32 bytes in hex`);
    }
    const number = BigInt(value);
    if (number === 0n || number >= ORDER) {
      throw new SignatureError(`signature.${what} is out of range`);
    }
    return number;
  };
  let parity: number;
  if (it.yParity !== undefined) {
    parity = Number(it.yParity);
  } else {
    if (typeof it.v !== "bigint" && typeof it.v !== "number") {
      throw new InvalidInputError(`signature needs yParity or v, and v is ${kindOf(it.v)}`);
    }
    const v = Number(it.v);
    parity = v >= 27 ? v - 27 : v;
  }
  if (parity !== 0 && parity !== 1) {
    throw new SignatureError("signature.yParity must be 0 or 1 (v: 0, 1, 27 or 28)");
  }
  const r = scalar(it.r, "r");
  let s = scalar(it.s, "s");
  if (s > ORDER / 2n) {
    s = ORDER - s;
    parity = 1 - parity;
  }
  const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, "0")}`;
  return { r: word(r), s: word(s), yParity: parity === 1 ? 1 : 0 };
}

/**
 * The bytes of a private key, in a copy that the caller wipes.
 *
 * @internal
 */
export function toPrivateKey(value: Hex | Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) {
    if (value.length !== 32) throw new InvalidInputError("a private key has 32 bytes");
    return Uint8Array.from(value);
  }
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(value)) {
    throw new InvalidInputError("a private key must be 32 bytes, or 0x and 64 hex digits");
  }
  const bytes = new Uint8Array(32);
  for (let at = 0; at < 32; at++) bytes[at] = Number.parseInt(value.slice(2 + 2 * at, 4 + 2 * at), 16);
  return bytes;
}

/** @internal */
export function toGroupAbi(abi: GroupAbi): GroupAbi {
  if (abi !== "bytes" && abi !== "bytes32") {
    throw new InvalidInputError('groupAbi must be "bytes" or "bytes32"');
  }
  return abi;
}

/**
 * The account that signed a hash.
 *
 * @internal
 */
export function recoverAddress(hash: Hash, signature: Signature): Address {
  const digest = toHash(hash, "hash");
  const normal = toSignature(signature);
  return withCore((core) => core.recoverAddress(digest, normal)) as Address;
}
