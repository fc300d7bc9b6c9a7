import { fileURLToPath } from "node:url";
import { defineConfig } from "tsdown";

const common = {
  format: ["esm", "cjs"] as const,
  outDir: "dist",
  target: "es2022",
  platform: "neutral" as const,
  clean: false,
  // Resolved by whoever imports the package, by its conditions.
  external: ["#core"],
  fixedExtension: false,
  hash: false,
};

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig([
  {
    ...common,
    format: ["esm", "cjs"],
    dts: true,
    // One build: what the entries share is in common chunks, and so exists once.
    entry: {
      index: "src/index.ts",
      viem: "src/viem.ts",
      ethers: "src/ethers.ts",
      compat: "src/compat/index.ts",
      inspect: "src/inspect.ts",
    },
  },
  {
    ...common,
    format: ["esm", "cjs"],
    dts: true,
    // By itself, so that it can be beside `slim` as well: a common chunk would bring the default core.
    // Errors of all copies know each other.
    entry: { ws: "src/ws.ts" },
  },
  {
    ...common,
    format: ["esm", "cjs"],
    dts: true,
    entry: { slim: "src/slim.ts" },
    plugins: [
      {
        // The loader without bytes instead of the one that embeds them.
        name: "slim-core",
        resolveId(source: string) {
          return source.endsWith("wasm/index.js") ? here("src/wasm/slim.ts") : undefined;
        },
      },
    ],
  },
]);
