// The package as users get it: packed, installed without a network, and tried in every kind of
// project and runtime. In each the vectors pass that concern bytes.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, open, serveFiles } from "./browser.mjs";
import { bundleWorker, bundlers } from "./bundles.mjs";
import { execute, installPacked, tool } from "./project.mjs";

let archive;
let project;
let browser;
before(async () => {
  ({ archive, project } = await installPacked(["viem", "ethers", "web3", "ws", "@types/ws"]));
});
after(() => browser?.close());

const passes = (output, names) => {
  for (const name of names) assert.match(output, new RegExp(`${name}: \\d+ vectors passed`));
};
const ENTRIES = ["default entry", "slim entry"];

test("Node imports it", async () => {
  passes(await execute(process.execPath, ["esm.mjs"], { cwd: project }), ENTRIES);
});

test("Node requires it", async () => {
  passes(await execute(process.execPath, ["cjs.cjs"], { cwd: project }), ENTRIES);
});

test("Bun imports and requires it", async () => {
  passes(await execute(tool("bun"), ["esm.mjs"], { cwd: project }), ENTRIES);
  passes(await execute(tool("bun"), ["cjs.cjs"], { cwd: project }), ENTRIES);
});

test("Deno imports it", async () => {
  const args = ["run", "--quiet", "--no-remote", "--node-modules-dir=manual", "--allow-read", "--allow-env", "--allow-net=127.0.0.1", "esm.mjs"];
  passes(await execute(tool("deno"), args, { cwd: project }), ENTRIES);
});

test("workerd runs it, which compiles no bytes", async () => {
  const config = await bundleWorker(project);
  passes(await execute(tool("workerd"), ["test", config], { cwd: project }), ["workerd"]);
});

test("TypeScript understands it, as modules, as CommonJS and for a bundler", async () => {
  const lib = ["es2022", "dom", "dom.iterable"];
  const common = { strict: true, noEmit: true, target: "es2022", lib, skipLibCheck: false, types: [], exactOptionalPropertyTypes: true };
  const kinds = {
    node16: { files: ["types.mts", "types.cts"], compilerOptions: { ...common, module: "node16", moduleResolution: "node16" } },
    // The types that viem itself depends on do not check in this resolution, nor those of Node.js,
    // which ws brings, where there are several of them.
    viem: { files: ["viem.mts", "viem.cts", "ws.mts"], compilerOptions: { ...common, module: "node16", moduleResolution: "node16", skipLibCheck: true } },
    // What TypeScript still takes when only CommonJS is asked for.
    node10: { files: ["types.cts"], compilerOptions: { ...common, module: "commonjs", moduleResolution: "node10" } },
    bundler: { files: ["types.mts", "viem.mts"], compilerOptions: { ...common, module: "esnext", moduleResolution: "bundler" } },
    // web3 1.x has types that do not check.
    web3: { files: ["web3.cts"], compilerOptions: { ...common, module: "node16", moduleResolution: "node16", esModuleInterop: true, skipLibCheck: true } },
  };
  const checks = Object.entries(kinds).map(([name, config]) => {
    const path = join(project, `tsconfig.${name}.json`);
    writeFileSync(path, JSON.stringify(config));
    return execute(tool("tsc"), ["--project", path], { cwd: project });
  });
  await Promise.all(checks);
});

for (const [name, bundle] of Object.entries(bundlers)) {
  test(`${name} bundles it for a page`, async () => {
    const out = join(project, "dist", name);
    mkdirSync(out, { recursive: true });
    await bundle(project, out);
    browser ??= await launch();
    const server = await serveFiles(out);
    try {
      const { page, problems } = await open(browser, server.url);
      const result = await page.waitForFunction(() => globalThis.result);
      passes(await result.jsonValue(), ["bundle"]);
      assert.deepEqual(problems, []);
    } finally {
      await server.stop();
    }
  });
}

test("the licence is in it, as it is for the whole project", () => {
  const packed = readFileSync(join(project, "node_modules/@coterie/sdk/LICENSE"), "utf8");
  assert.equal(packed, readFileSync(new URL("../../../LICENSE", import.meta.url), "utf8"));
});

test("publint finds nothing", async () => {
  const { publint } = await import("publint");
  const bytes = readFileSync(archive);
  const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages } = await publint({ pack: { tarball }, strict: true });
  assert.deepEqual(messages, []);
});

test("the types are right in every way to resolve them", async () => {
  // The one entry that is no JavaScript.
  const args = [archive, "--exclude-entrypoints", "core.wasm", "--format", "json"];
  const { problems } = JSON.parse(await execute(tool("attw"), args));
  assert.deepEqual(problems ?? {}, {});
});
