// Every name that an entry exports is documented, with an example.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const src = new URL("../../src/", import.meta.url);
const text = (name) => readFileSync(new URL(name, src), "utf8");

/** Names that leave the package. */
function exported() {
  const names = new Set();
  for (const file of ["exports.ts", "index.ts", "viem.ts", "ethers.ts", "ws.ts"]) {
    for (const [, list] of text(file).matchAll(/export (?:type )?\{([^}]*)\}/g)) {
      for (const name of list.split(",")) if (name.trim()) names.add(name.trim().replace(/^type /, ""));
    }
    for (const [, name] of text(file).matchAll(/^export (?:async )?(?:interface|type|function|class|const) (\w+)/gm)) names.add(name);
  }
  for (const [, name] of text("types.ts").matchAll(/^export (?:interface|type) (\w+)/gm)) names.add(name);
  return names;
}

test("every export has a doc comment with an example", () => {
  const documented = new Set();
  for (const file of readdirSync(src).filter((name) => name.endsWith(".ts"))) {
    const pattern = /\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport (?:async )?(?:interface|type|function|class|const) (\w+)/g;
    for (const [, comment, name] of text(file).matchAll(pattern)) {
      if (comment.includes("@example")) documented.add(name);
    }
  }
  const loaders = new Set(["init", "isReady", "ready"]);
  const missing = [...exported()].filter((name) => !documented.has(name) && !loaders.has(name));
  assert.deepEqual(missing, []);
});
