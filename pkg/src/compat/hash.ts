// What is only shown: web3 gives logs an `id` and a checksummed address, both made of Keccak-256.

import { withCore } from "../codec.js";

/** Keccak-256 of a text, as 64 hex digits without 0x. */
export function keccak256(text: string): string {
  const digits = Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0"));
  return withCore((core) => core.keccak256(`0x${digits.join("")}`)).slice(2);
}

/** The address in the spelling of EIP-55; what is no address stays as it is. */
export function checksumAddress(address: string): string {
  if (!/^0x[0-9a-f]{40}$/i.test(address)) return address;
  const digits = address.slice(2).toLowerCase();
  const hash = keccak256(digits);
  const spelled = Array.from(digits, (digit, i) => (hash.charCodeAt(i) >= "8".charCodeAt(0) ? digit.toUpperCase() : digit));
  return `0x${spelled.join("")}`;
}
