// Bundles the browser project with each bundler as its users would, with nothing configured for the
// SDK.

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import webpack from "webpack";

const PAGE = '<!doctype html><meta charset="utf-8"><title>vectors</title><script type="module" src="./browser.mjs"></script>\n';

/** Each puts a page into `out`. */
export const bundlers = {
  async vite(project, out) {
    const root = join(project, "vite");
    mkdirSync(root);
    writeFileSync(join(root, "index.html"), PAGE);
    for (const file of ["browser.mjs", "entries.mjs", "vectors.mjs", "sdk.json"]) cpSync(join(project, file), join(root, file));
    // The vectors make it large.
    await vite({ root, logLevel: "warn", build: { outDir: out, emptyOutDir: true, chunkSizeWarningLimit: 2000 } });
  },

  async webpack(project, out) {
    const stats = await promisify(webpack)({
      mode: "production",
      entry: join(project, "browser.mjs"),
      output: { path: out, filename: "browser.mjs" },
    });
    // The vectors make it large.
    const problems = stats.toJson({ errors: true, warnings: true });
    const warnings = problems.warnings.filter(({ message }) => !/size limit|performance/.test(message));
    if (problems.errors.length + warnings.length > 0) throw new Error(stats.toString());
    writeFileSync(join(out, "index.html"), PAGE);
  },

  async esbuild(project, out) {
    const { errors, warnings } = await esbuild({
      entryPoints: [join(project, "browser.mjs")],
      outfile: join(out, "browser.mjs"),
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      logLevel: "silent",
    });
    if (errors.length + warnings.length > 0) throw new Error(JSON.stringify([errors, warnings]));
    writeFileSync(join(out, "index.html"), PAGE);
  },
};

/** Bundles the worker as wrangler does, and writes workerd's configuration; gives its path. */
export async function bundleWorker(project) {
  const out = join(project, "workerd");
  const modules = [];
  const wasm = {
    name: "wasm-modules",
    setup(build) {
      build.onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
        const name = path.split("/").at(-1);
        modules.push({ name, from: join(resolveDir, path) });
        return { path: `./${name}`, external: true };
      });
    },
  };
  await esbuild({
    entryPoints: [join(project, "worker.mjs")],
    outfile: join(out, "worker.js"),
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    plugins: [wasm],
    logLevel: "silent",
  });
  if (modules.length === 0) throw new Error("the workerd condition imported no WebAssembly module");
  for (const { name, from } of modules) cpSync(from, join(out, name));
  const parts = [
    '(name = "worker.js", esModule = embed "worker.js")',
    ...new Set(modules.map(({ name }) => `(name = "${name}", wasm = embed "${name}")`)),
  ];
  const config = join(out, "config.capnp");
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);

const worker :Workerd.Worker = (
  modules = [${parts.join(", ")}],
  compatibilityDate = "2025-01-01",
);
`,
  );
  return config;
}
