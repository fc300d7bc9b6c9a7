// The examples with the packed SDK: the programs, and the page in a real browser, on a development
// network.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "vite";

import { startDev } from "../../../tests/js/lib/network.mjs";
import { launch, open, serveFiles } from "./browser.mjs";
import { describe } from "./describe.mjs";
import { execute, installPacked } from "./project.mjs";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));

let project;
let network;
let ready;
before(async () => {
  [{ project }, network] = await Promise.all([installPacked(), startDev()]);
  cpSync(examples, join(project, "examples"), { recursive: true, filter: (path) => !path.includes("node_modules") });
  ready = join(project, "ready.json");
  writeFileSync(ready, JSON.stringify(describe(network)));
});
after(() => network?.stop());

/** What each program prints, with what differs from run to run left open. */
const EXPECTED = {
  "simple-group.mjs": [/^creating group \S{44}$/, /^created in block \d+ by 0x/, /^B is in a group of 2$/],
  "add-and-remove.mjs": [
    /^members: A, B$/,
    /^ {2}lock is done$/,
    /^ {2}add is done$/,
    /^members, as C sees them: A, B, C$/,
    /^members: A, B$/,
  ],
  "erc20-viem.mjs": [/^token 0x\S{40}, known to A and B only$/, /^A has 750$/, /^B has 250: success, 1 event$/],
  "erc20-ethers.mjs": [/^token 0x\S{40}, known to A and B only$/, /^A has 750$/, /^B has 250: status 1, 1 event$/],
};

for (const [program, expected] of Object.entries(EXPECTED)) {
  test(`${program} does what it says`, async () => {
    const output = await execute(process.execPath, [program, ready], { cwd: join(project, "examples") });
    const lines = output.trimEnd().split("\n");
    assert.equal(lines.length, expected.length, output);
    expected.forEach((pattern, at) => assert.match(lines[at], pattern));
  });
}

test("no example is left out", () => {
  const programs = readdirSync(examples).filter((file) => file.endsWith(".mjs") && file !== "network.mjs");
  assert.deepEqual(programs.sort(), Object.keys(EXPECTED).sort());
});

test("the examples' contracts are those that the tests compile", () => {
  const parse = (path) => JSON.parse(readFileSync(path, "utf8"));
  const compiled = parse(new URL("../../../tests/contracts/artifacts.json", import.meta.url)).contracts;
  for (const [name, { abi, bytecode }] of Object.entries(parse(join(examples, "contracts.json")))) {
    assert.deepEqual({ abi, bytecode }, { abi: compiled[name].abi, bytecode: compiled[name].bytecode }, name);
  }
});

test("in the page a group is made and a contract is called by clicking", async () => {
  const out = join(project, "page");
  await build({ root: join(project, "examples/page"), logLevel: "error", build: { outDir: out, emptyOutDir: true } });
  const server = await serveFiles(out);
  const browser = await launch();
  try {
    const { page, problems } = await open(browser, server.url);
    await page.setViewportSize({ width: 900, height: 700 });
    const value = (id) => page.locator(`#${id}`).evaluate((element) => element.value);
    const click = async (id) => {
      await page.locator(`#${id}:enabled`).click();
      // The button is disabled for as long as its step runs.
      await page.locator(`#${id}:enabled`).waitFor();
      assert.equal(await page.locator("#status").textContent(), "Done.", id);
    };
    await page.locator("#ready").fill(readFileSync(ready, "utf8"));
    for (const id of ["connect", "create", "deploy"]) await click(id);
    const group = await value("group");
    assert.equal(Buffer.from(group, "base64").length, 32);
    const address = await value("contract");
    assert.match(address, /^0x[0-9a-fA-F]{40}$/);
    await page.locator("#number").fill("1234");
    await click("store");
    assert.match(await value("stored"), /^in block \d+$/);
    await click("read");
    assert.equal(await value("value"), "1234, the same on both nodes");
    assert.deepEqual(problems, []);
    await page.screenshot({ path: screenshotPath() });

    // What the page says is so, and the third member knows nothing of it.
    const [a, b, c] = network.members;
    for (const member of [a, b]) assert.equal(BigInt(await member.call(group, address, "0x3fa4f245")), 1234n);
    assert.equal(await c.call(group, address, "0x3fa4f245"), "0x");
  } finally {
    await browser.close();
    await server.stop();
  }
});

test("the page says what went wrong", async () => {
  const out = join(project, "page");
  const server = await serveFiles(out);
  const browser = await launch();
  try {
    const { page } = await open(browser, server.url);
    const unreachable = describe(network);
    for (const member of unreachable.members) member.rpc = "http://127.0.0.1:1";
    await page.locator("#ready").fill(JSON.stringify(unreachable));
    await page.locator("#connect").click();
    await page.locator("#create:enabled").click();
    await page.locator("#status.failed").waitFor();
    assert.match(await page.locator("#status").textContent(), /the node cannot be reached|failed/i);
  } finally {
    await browser.close();
    await server.stop();
  }
});

/** Kept for whoever wants to look, in cargo's directory, which is not committed. */
function screenshotPath() {
  const directory = fileURLToPath(new URL("../../../target/sdk", import.meta.url));
  mkdirSync(directory, { recursive: true });
  return join(directory, "page.png");
}
