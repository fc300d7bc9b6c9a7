// Keccak-256 of what is only shown: web3 gives logs an `id` and a checksummed address, and both are
// made of this hash. Nothing here is signed or sent. FIPS 202's permutation, padded by 0x01 as
// Ethereum does.

const LANES = 25;
const RATE_BYTES = 136;
const ROUNDS = 24;
const MASK = (1n << 64n) - 1n;

const rotated = (lane: bigint, by: bigint): bigint => ((lane << by) | (lane >> (64n - by))) & MASK;

// Rotations, target lanes and round constants follow from their definitions.
const STEPS = (() => {
  const steps: { lane: number; by: bigint }[] = [];
  let [x, y] = [1, 0];
  for (let t = 0; t < 24; t++) {
    steps.push({ lane: x + 5 * y, by: BigInt((((t + 1) * (t + 2)) / 2) % 64) });
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  return steps;
})();
const CONSTANTS = (() => {
  let register = 1;
  const bit = () => {
    const out = register & 1;
    register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1;
    return out;
  };
  return Array.from({ length: ROUNDS }, () => {
    let constant = 0n;
    for (let j = 0; j < 7; j++) if (bit()) constant |= 1n << BigInt((1 << j) - 1);
    return constant;
  });
})();

function permute(state: bigint[]): void {
  const at = (lane: number): bigint => state[lane] ?? 0n;
  for (const constant of CONSTANTS) {
    const parity = Array.from({ length: 5 }, (_, x) => at(x) ^ at(x + 5) ^ at(x + 10) ^ at(x + 15) ^ at(x + 20));
    for (let lane = 0; lane < LANES; lane++) {
      const [left, right] = [parity[(lane + 4) % 5] ?? 0n, parity[(lane + 1) % 5] ?? 0n];
      state[lane] = at(lane) ^ left ^ rotated(right, 1n);
    }
    let moved = at(1);
    for (let t = 0; t < STEPS.length; t++) {
      const to = STEPS[(t + 1) % STEPS.length]?.lane ?? 0;
      const kept = at(to);
      state[to] = rotated(moved, STEPS[t]?.by ?? 0n);
      moved = kept;
    }
    for (let y = 0; y < LANES; y += 5) {
      const row = state.slice(y, y + 5);
      for (let x = 0; x < 5; x++) {
        const [here, next, after] = [row[x] ?? 0n, row[(x + 1) % 5] ?? 0n, row[(x + 2) % 5] ?? 0n];
        state[y + x] = here ^ (~next & MASK & after);
      }
    }
    state[0] = at(0) ^ constant;
  }
}

/** Keccak-256 as 64 hex digits without 0x. */
export function keccak256(bytes: Uint8Array): string {
  const padded = new Uint8Array((Math.floor(bytes.length / RATE_BYTES) + 1) * RATE_BYTES);
  padded.set(bytes);
  padded[bytes.length] = 0x01;
  padded[padded.length - 1] = (padded[padded.length - 1] ?? 0) | 0x80;
  const view = new DataView(padded.buffer);
  const state = Array.from({ length: LANES }, () => 0n);
  for (let block = 0; block < padded.length; block += RATE_BYTES) {
    for (let lane = 0; lane < RATE_BYTES / 8; lane++) {
      state[lane] = (state[lane] ?? 0n) ^ view.getBigUint64(block + lane * 8, true);
    }
    permute(state);
  }
  const digest = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane++) digest.setBigUint64(lane * 8, state[lane] ?? 0n, true);
  return Array.from(new Uint8Array(digest.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The address in the spelling of EIP-55; what is no address stays as it is. */
export function checksumAddress(address: string): string {
  if (!/^0x[0-9a-f]{40}$/i.test(address)) return address;
  const digits = address.slice(2).toLowerCase();
  const hash = keccak256(new TextEncoder().encode(digits));
  const spelled = Array.from(digits, (digit, i) => (hash.charCodeAt(i) >= "8".charCodeAt(0) ? digit.toUpperCase() : digit));
  return `0x${spelled.join("")}`;
}
