// `cargo xtask bench sdk`: sizes, Node, Chromium, side by side in one run, with the targets.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const rounds = process.argv[2] ?? "9";
let missed = 0;

function line(what, figure, target, good) {
  const verdict = target === undefined ? "" : `  target ${target}${good ? "" : "  MISSED"}`;
  missed += target !== undefined && !good ? 1 : 0;
  console.log(`${what.padEnd(52)}${figure.padStart(12)}${verdict}`);
}

async function download(entry, core) {
  const { outputFiles } = await build({
    stdin: { contents: `export * from "../dist/${entry}.js"`, resolveDir: at(".") },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    alias: { "#core": at("../dist/core.js") },
    write: false,
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  return core ? size + gzipSync(readFileSync(at(`../dist/${core}`)), { level: 9 }).length : size;
}

const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const run = (file) => JSON.parse(execFileSync(process.execPath, [at(file), rounds], { encoding: "utf8" }));
const firstCall = () => {
  const times = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    times.push(Number(execFileSync(process.execPath, [at("first.mjs")], { encoding: "utf8" })));
  }
  return times.sort((left, right) => left - right)[times.length >> 1];
};

function figures(where, measured, targets) {
  for (const [kind, bySubject] of Object.entries(measured)) {
    for (const [subject, time] of Object.entries(bySubject)) {
      const ratio = time / bySubject.ours;
      const target = kind === "sign" ? targets[subject] : undefined;
      const times = subject === "ours" ? "" : `  ${ratio.toFixed(2)}x ours`;
      line(
        `${where}, ${kind}: ${subject}`,
        `${time.toFixed(1)} us`,
        target === undefined ? undefined : `${target}x, is${times}`,
        ratio >= target,
      );
      if (target === undefined && times !== "") console.log(`${"".padEnd(52)}${times.trim().padStart(12)}`);
    }
  }
}

console.log("What a page downloads: bundled, minified, gzip\n");
const standard = await download("index");
line("@coterie/sdk", kb(standard), "70 kB", standard <= 70_000);
const slim = await download("slim", "core.wasm");
line("@coterie/sdk/slim with core.wasm", kb(slim), "45 kB", slim <= 45_000);

console.log("\nMedians of microseconds a call; the subjects take turns\n");
const node = run("node.mjs");
figures("Node", node, { "web3js-quorum, addon": 1, "web3js-quorum, no addon": 7 });
const first = firstCall();
line("Node, first call after import", `${first.toFixed(1)} ms`, "30 ms", first <= 30);
const { first: firstInChromium, ...chromium } = run("browser.mjs");
figures("Chromium", chromium, { "web3js-quorum": 6, noble: 1.8 });
line("Chromium, first call after import", `${firstInChromium.toFixed(1)} ms`, "30 ms", firstInChromium <= 30);
console.log(`\n${missed} targets missed`);
