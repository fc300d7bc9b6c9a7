// A private transaction in pure JavaScript: noble's curve and hashes, and the RLP by hand.
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";

const header = (length, offset) => {
  if (length < 56) return Uint8Array.of(offset + length);
  const size = hexToBytes(even(length.toString(16)));
  return concatBytes(Uint8Array.of(offset + 55 + size.length), size);
};
const even = (hex) => (hex.length % 2 ? `0${hex}` : hex);
const string = (bytes) =>
  bytes.length === 1 && bytes[0] < 128 ? bytes : concatBytes(header(bytes.length, 128), bytes);
const list = (items) => {
  const body = concatBytes(...items);
  return concatBytes(header(body.length, 192), body);
};
const number = (value) => (value === 0n ? new Uint8Array() : hexToBytes(even(value.toString(16))));
const base64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const RESTRICTED = new TextEncoder().encode("restricted");

const items = (tx, middle) => [
  string(number(tx.nonce)),
  string(number(tx.gasPrice)),
  string(number(tx.gas)),
  string(hexToBytes(tx.to.slice(2))),
  string(number(0n)),
  string(hexToBytes(tx.data.slice(2))),
  ...middle.map(string),
  string(base64(tx.privateFrom)),
  string(base64(tx.privacyGroupId)),
  string(RESTRICTED),
];

export function sign(tx, key) {
  const empty = new Uint8Array();
  const hash = keccak_256(list(items(tx, [number(tx.chainId), empty, empty])));
  const signature = secp256k1.sign(hash, key, { prehash: false, format: "recovered" });
  const v = tx.chainId * 2n + 35n + BigInt(signature[0]);
  const part = (from) => number(BigInt(`0x${bytesToHex(signature.subarray(from, from + 32))}`));
  return `0x${bytesToHex(list(items(tx, [number(v), part(1), part(33)])))}`;
}

/** Takes a transaction of short fields apart, and recovers who signed it. */
export function recover(raw) {
  const bytes = hexToBytes(raw.slice(2));
  const fields = [];
  let at = bytes[0] < 248 ? 1 : 1 + bytes[0] - 247;
  while (at < bytes.length) {
    const first = bytes[at];
    const length = first < 128 ? 0 : first < 192 ? first - 128 : first - 192;
    if (length > 55) throw new Error("a long field");
    fields.push(bytes.subarray(at, at + 1 + length));
    at += 1 + length;
  }
  const [v, r, s] = fields.slice(6, 9).map((field) => BigInt(`0x${bytesToHex(field.subarray(1))}`));
  const chainId = (v - 35n) / 2n;
  const empty = new Uint8Array();
  const middle = [number(chainId), empty, empty].map(string);
  const hash = keccak_256(list([...fields.slice(0, 6), ...middle, ...fields.slice(9)]));
  const signature = new secp256k1.Signature(r, s, Number((v - 35n) % 2n));
  const point = signature.recoverPublicKey(hash).toBytes(false);
  return `0x${bytesToHex(keccak_256(point.subarray(1)).subarray(12))}`;
}

export function groupId(members) {
  const hash = (key) => key.reduce((sum, byte) => (31 * sum + ((byte << 24) >> 24)) | 0, 1);
  const keys = [...new Set(members)].map(base64).map((key) => [hash(key), key]);
  keys.sort((left, right) => left[0] - right[0]);
  const id = keccak_256(list(keys.map(([, key]) => string(key))));
  return btoa(String.fromCharCode(...id));
}
