// The measurements in Chromium, bundled as a page gets them. Prints one JSON object.
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const rounds = Number(process.argv[2] ?? 7);
const executablePath = process.env.COTERIE_CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) {
  throw new Error("Chromium is missing: install it, or name its executable in COTERIE_CHROMIUM");
}

/** What a Node built-in is in a bundle for pages: nothing, or the package that stands for it. */
const builtins = {
  name: "builtins",
  setup(bundle) {
    bundle.onResolve({ filter: /^(node:)?buffer$/ }, () => ({ path: at("node_modules/buffer/index.js") }));
    bundle.onResolve({ filter: /^(node:)?assert$/ }, () => ({ path: "assert", namespace: "stub" }));
    bundle.onResolve({ filter: /^(crypto|stream|util)$/ }, ({ path }) => ({ path, namespace: "stub" }));
    bundle.onLoad({ filter: /.*/, namespace: "stub" }, ({ path }) => ({
      contents:
        path === "assert"
          ? "module.exports = (value) => { if (!value) throw new Error('assertion'); };"
          : "module.exports = {};",
    }));
  },
};

async function bundle(name, contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: at("."), sourcefile: `${name}.mjs` },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    define: { global: "globalThis", "process.env.NODE_ENV": '"production"' },
    inject: [at("shim.mjs")],
    // The bundle finds the core by the package's own import map, as an installed one does.
    alias: { "#core": at("../dist/core.js") },
    plugins: [builtins],
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

const files = {
  "/bench.js": await bundle(
    "bench",
    `import * as sdk from "../dist/index.js";
     import PrivateTransaction from "web3js-quorum/src/privateTransaction";
     import Utils from "web3js-quorum/src/utils";
     import { Buffer } from "buffer";
     import * as library from "./noble.mjs";
     import { cases, check, measure, noble, ours, quorum } from "./cases.mjs";
     const web3 = { utils: {} };
     Utils(web3);
     globalThis.run = (vectors, options) => {
       const work = cases(vectors);
       const subjects = {
         ours: ours(sdk, work),
         "web3js-quorum": quorum({ PrivateTransaction, utils: web3.utils, Buffer }, work),
         noble: noble(library, work),
       };
       check(subjects, work);
       return measure(subjects, options);
     };`,
  ),
  "/first.js": await bundle(
    "first",
    `import { accountAddress, signPrivateTransaction } from "../dist/index.js";
     globalThis.first = (tx, key) => {
       const start = performance.now();
       signPrivateTransaction({ ...tx, nonce: 0n, gasPrice: 0n, gas: 3000000n, chainId: 1337n }, Uint8Array.from(key));
       return performance.now() - start;
     };`,
  ),
};

const server = createServer((request, response) => {
  const file = files[request.url];
  response.writeHead(200, { "content-type": file ? "text/javascript" : "text/html" });
  response.end(file ?? `<!doctype html><script type="module" src="${request.url}.js"></script>`);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const vectors = JSON.parse(readFileSync(at("../../tests/vectors/sdk.json"), "utf8"));
const { signedPrivateTxs, legacyGroupIds } = vectors;
const { fields, privateKey } = signedPrivateTxs[0];
const { to, data, privateFrom, privacyGroupId } = fields;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const first = [];
  for (let round = 0; round < rounds; round += 1) {
    // A new process every time, or the compiled code may be kept.
    const fresh = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    try {
      const page = await fresh.newPage();
      await page.goto(`${origin}/first`);
      await page.waitForFunction(() => globalThis.first);
      first.push(
        await page.evaluate(([tx, key]) => globalThis.first(tx, key), [
          { to, data, privateFrom, privacyGroupId },
          [...Buffer.from(privateKey, "hex")],
        ]),
      );
    } finally {
      await fresh.close();
    }
  }
  const page = await browser.newPage();
  await page.goto(`${origin}/bench`);
  await page.waitForFunction(() => globalThis.run);
  const figures = await page.evaluate(
    ([given, options]) => globalThis.run(given, options),
    [{ signedPrivateTxs: signedPrivateTxs.slice(0, 8), legacyGroupIds }, { rounds, slice: 150 }],
  );
  first.sort((left, right) => left - right);
  console.log(JSON.stringify({ ...figures, first: first[first.length >> 1] }));
} finally {
  await browser.close();
  server.close();
}
