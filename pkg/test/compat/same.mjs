// Two runs on two networks differ in what depends on time and chance: hashes of blocks and markers,
// and ids that are random. Each such value gets a name by the order in which values first come up,
// so that what is equal within a run still must be. Everything else stays, state roots and
// signatures among it.

const VARIES = new Set(["blockHash", "transactionHash", "commitmentHash", "privacyGroupId", "id"]);

/** The same results with names instead of the values that differ between runs. */
export function named(results, fixed) {
  const names = new Map(fixed.map((value) => [value, value]));
  const walk = (value, key) => {
    if (typeof value === "string" && VARIES.has(key)) {
      if (!names.has(value)) names.set(value, `<${key} ${names.size}>`);
      return names.get(value);
    }
    if (Array.isArray(value)) return value.map((it) => walk(it));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, walk(it, name)]));
    }
    return value;
  };
  return walk(results);
}
