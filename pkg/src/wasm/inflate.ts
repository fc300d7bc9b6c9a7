/**
 * Raw DEFLATE (RFC 1951), decoded at once. The platform's own decoder is asynchronous only, and a
 * page would download a third more without it: text of bytes that are not compressed yet does not
 * compress well. The input is the package's own, so it is not judged.
 */
export function inflate(input: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const output = new Uint8Array(size);
  let at = 0;
  let place = 0;
  let held = 0;
  let count = 0;

  const bits = (wanted: number): number => {
    while (count < wanted) {
      held |= (input[at++] ?? 0) << count;
      count += 8;
    }
    const value = held & ((1 << wanted) - 1);
    held >>>= wanted;
    count -= wanted;
    return value;
  };

  /** A symbol of a canonical Huffman code, bit by bit through the counts of its lengths. */
  const symbol = ({ counts, symbols }: Code): number => {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; ; length++) {
      if (count === 0) {
        held = input[at++] ?? 0;
        count = 8;
      }
      code |= held & 1;
      held >>>= 1;
      count--;
      const here = counts[length] ?? 0;
      if (code - here < first) {
        return symbols[index + (code - first)] ?? 0;
      }
      index += here;
      first = (first + here) << 1;
      code <<= 1;
    }
  };

  for (let last = 0; last === 0; ) {
    last = bits(1);
    const type = bits(2);
    if (type === 0) {
      count = held = 0;
      const length = (input[at] ?? 0) | ((input[at + 1] ?? 0) << 8);
      output.set(input.subarray(at + 4, at + 4 + length), place);
      at += 4 + length;
      place += length;
      continue;
    }
    const [literals, distances] = type === 1 ? fixedCodes() : dynamicCodes(bits, symbol);
    for (let value = symbol(literals); value !== 256; value = symbol(literals)) {
      if (value < 256) {
        output[place++] = value;
        continue;
      }
      let length = (LENGTHS[value - 257] ?? 0) + bits(LENGTH_BITS[value - 257] ?? 0);
      const code = symbol(distances);
      const distance = (DISTANCES[code] ?? 0) + bits(code < 4 ? 0 : (code >> 1) - 1);
      for (; length > 0; length--, place++) {
        output[place] = output[place - distance] ?? 0;
      }
    }
  }
  return output;
}

interface Code {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

const LENGTH_BITS = Array.from({ length: 29 }, (_, code) => (code < 8 || code === 28 ? 0 : (code >> 2) - 1));
const LENGTHS = LENGTH_BITS.map((_, code) =>
  code === 28 ? 258 : LENGTH_BITS.slice(0, code).reduce((sum, extra) => sum + (1 << extra), 3),
);
const DISTANCES = Array.from({ length: 30 }, (_, code) =>
  code < 4 ? code + 1 : ((2 + (code & 1)) << ((code >> 1) - 1)) + 1,
);
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

function codeOf(lengths: number[]): Code {
  const counts = new Uint16Array(16);
  for (const length of lengths) {
    if (length > 0) {
      counts[length] = (counts[length] ?? 0) + 1;
    }
  }
  const next = new Uint16Array(16);
  for (let length = 1; length < 15; length++) {
    next[length + 1] = (next[length] ?? 0) + (counts[length] ?? 0);
  }
  const symbols = new Uint16Array(lengths.length);
  lengths.forEach((length, symbol) => {
    if (length > 0) {
      const place = next[length] ?? 0;
      symbols[place] = symbol;
      next[length] = place + 1;
    }
  });
  return { counts, symbols };
}

function fixedCodes(): [Code, Code] {
  const lengths = Array.from({ length: 288 }, (_, value) =>
    value < 144 ? 8 : value < 256 ? 9 : value < 280 ? 7 : 8,
  );
  return [codeOf(lengths), codeOf(Array.from({ length: 30 }, () => 5))];
}

function dynamicCodes(bits: (wanted: number) => number, symbol: (code: Code) => number): [Code, Code] {
  const literals = bits(5) + 257;
  const distances = bits(5) + 1;
  const lengths = Array.from({ length: 19 }, () => 0);
  for (let count = bits(4) + 4, index = 0; index < count; index++) {
    lengths[ORDER[index] ?? 0] = bits(3);
  }
  const code = codeOf(lengths);
  const all: number[] = [];
  while (all.length < literals + distances) {
    const value = symbol(code);
    if (value < 16) {
      all.push(value);
      continue;
    }
    const repeated = value === 16 ? (all[all.length - 1] ?? 0) : 0;
    const times = value === 16 ? 3 + bits(2) : value === 17 ? 3 + bits(3) : 11 + bits(7);
    for (let time = 0; time < times; time++) {
      all.push(repeated);
    }
  }
  return [codeOf(all.slice(0, literals)), codeOf(all.slice(literals))];
}
