/**
 * Who signs. A signer holds a key, or asks something that does; what a foreign signer answers is
 * checked before it is sent.
 */

import {
  accountAddress,
  parsePrivateTransaction,
  privateTransactionSignatureHash,
  recoverAddress,
  serializePrivateTransaction,
  signMarkerTransaction,
  signPrivateTransaction,
  toPrivateKey,
  toPub,
  toSignature,
  withCore,
  type MarkerTransaction,
} from "./codec.js";
import { SignatureError, UnsupportedAccountError } from "./errors.js";
import { kindOf, toAddress, toHex } from "./input.js";
import type { Address, Hash, Hex, PrivateTransaction, Signature } from "./types.js";

/**
 * Signs hashes: hardware, a key service, a wallet of ethers.
 *
 * @example
 * const signer: DigestSigner = {
 *   address: wallet.address as Hex,
 *   signDigest: async (hash) => wallet.signingKey.sign(hash) as Signature,
 * };
 */
export interface DigestSigner {
  readonly address: Address;
  signDigest(hash: Hash): Promise<Signature> | Signature;
}

/**
 * Signs private transactions as a whole.
 *
 * @example
 * const signer: TransactionSigner = {
 *   address: account.address,
 *   signPrivateTransaction: (transaction) =>
 *     account.signTransaction(transaction, { serializer: serializePrivateTransaction }),
 * };
 */
export interface TransactionSigner {
  readonly address: Address;
  /** The signed transaction. */
  signPrivateTransaction(transaction: PrivateTransaction): Promise<Hex> | Hex;
  /** The signed marker; needed for `sendMarker` only. */
  signMarkerTransaction?(transaction: MarkerTransaction): Promise<Hex> | Hex;
}

/**
 * An account that signs private transactions.
 *
 * @example
 * const client = createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(key) });
 */
export type Signer = DigestSigner | TransactionSigner;

/** Signers that this module made: their answers need no check. */
const OWN = new WeakSet<object>();

/**
 * A signer that holds a private key: 32 bytes, or their hex.
 *
 * @example
 * const signer = privateKeySigner(key);
 */
export function privateKeySigner(privateKey: Hex | Uint8Array): TransactionSigner &
  Required<Pick<TransactionSigner, "signMarkerTransaction">> {
  const key = toPrivateKey(privateKey);
  const signer = Object.freeze({
    address: accountAddress(key),
    signPrivateTransaction: (transaction: PrivateTransaction) =>
      signPrivateTransaction(transaction, key),
    signMarkerTransaction: (transaction: MarkerTransaction) =>
      signMarkerTransaction(transaction, key),
  });
  OWN.add(signer);
  return signer;
}

/**
 * Refuses early what can never sign.
 *
 * @internal
 */
export function toSigner(value: unknown): Signer {
  const it = value as Partial<DigestSigner & TransactionSigner> | null;
  if (typeof it !== "object" || it === null) {
    throw new UnsupportedAccountError(`a signer is an object, not ${kindOf(value)}`);
  }
  toAddress(it.address, "signer.address");
  if (typeof it.signDigest !== "function" && typeof it.signPrivateTransaction !== "function") {
    throw new UnsupportedAccountError(
      `the account ${it.address} cannot sign private transactions: it has neither signDigest nor signPrivateTransaction`,
    );
  }
  return it as Signer;
}

/**
 * Signs, and checks that the right account signed the right transaction.
 *
 * @internal
 */
export async function signWith(signer: Signer, transaction: PrivateTransaction): Promise<Hex> {
  if (!canSignWhole(signer)) {
    const hash = privateTransactionSignatureHash(transaction);
    const signature = toSignature(await signer.signDigest(hash));
    expectSigner(signer, recoverAddress(hash, signature));
    return serializePrivateTransaction(transaction, signature);
  }
  const raw = toHex(await signer.signPrivateTransaction(transaction), "the signed transaction");
  if (OWN.has(signer)) return raw;
  const signed = parsePrivateTransaction(raw);
  expectSigner(signer, signed.from);
  // Not another transaction either: what is signed again by hash must be the same.
  const { v: _v, r: _r, s: _s, hash: _hash, from: _from, ...fields } = signed;
  const unsigned = fields as unknown as PrivateTransaction;
  if (serializePrivateTransaction(unsigned) !== serializePrivateTransaction(transaction)) {
    throw new SignatureError("the signer has signed another transaction than it was given");
  }
  return raw;
}

/**
 * Signs a marker.
 *
 * @internal
 */
export async function signMarkerWith(signer: Signer, transaction: MarkerTransaction): Promise<Hex> {
  const { signMarkerTransaction, signDigest } = signer as Partial<DigestSigner & TransactionSigner>;
  const pub = toPub(transaction);
  const hash = withCore((core) => core.markerSignatureHash(pub)) as Hash;
  if (typeof signMarkerTransaction === "function") {
    const answer = await signMarkerTransaction.call(signer, transaction);
    const raw = toHex(answer, "the signed marker");
    if (OWN.has(signer)) return raw;
    const signature = toSignature(markerSignature(raw));
    expectSigner(signer, recoverAddress(hash, signature));
    if (raw === withCore((core) => core.serializeMarker(pub, signature))) return raw;
    throw new SignatureError("the signer has signed another marker than it was given");
  }
  if (typeof signDigest !== "function") {
    throw new UnsupportedAccountError(
      `the signer of ${signer.address} has neither signMarkerTransaction nor signDigest`,
    );
  }
  const signature = toSignature(await signDigest.call(signer, hash));
  expectSigner(signer, recoverAddress(hash, signature));
  return withCore((core) => core.serializeMarker(pub, signature)) as Hex;
}

function canSignWhole(signer: Signer): signer is TransactionSigner {
  return typeof (signer as Partial<TransactionSigner>).signPrivateTransaction === "function";
}

/** The signature in a signed legacy transaction: the last three items of an RLP list. */
function markerSignature(raw: Hex): Signature {
  let at = 2;
  const number = (bytes: number) => Number.parseInt(raw.slice(at, (at += 2 * bytes)), 16);
  const length = (first: number) => (first > 55 ? number(first - 55) : first);
  length(number(1) - 0xc0);
  const items: string[] = [];
  while (at < raw.length && items.length < 9) {
    const start = at;
    const first = number(1);
    if (first < 0x80) at = start;
    const size = first < 0x80 ? 1 : length(first - 0x80);
    items.push(raw.slice(at, (at += 2 * size)));
  }
  const [v = "", r = "", s = ""] = items.slice(6);
  if (!/^[0-9a-f]{1,16}$/.test(v)) throw new SignatureError("the signed marker is no legacy transaction");
  const parity = BigInt(`0x${v}`);
  const yParity = Number((parity < 35n ? parity - 27n : parity - 35n) % 2n);
  return { r: `0x${r.padStart(64, "0")}`, s: `0x${s.padStart(64, "0")}`, yParity };
}

function expectSigner(signer: Signer, found: Address | undefined): void {
  if (found?.toLowerCase() === signer.address.toLowerCase()) return;
  throw new SignatureError(
    `the signature is not by ${signer.address}${found ? `, but by ${found}` : ""}`,
    { hint: "The account may have signed something else, such as a prefixed message." },
  );
}

