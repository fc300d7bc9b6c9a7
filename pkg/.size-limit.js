// What a page downloads at most: everything an entry exports, bundled, minified, gzip.
// How the sizes come about is in bench/README.md.
export default [
  { name: "@coterie/sdk", path: "dist/index.js", import: "*", gzip: true, limit: "70 kB" },
  { name: "@coterie/sdk/ws", path: "dist/ws.js", import: "*", gzip: true, limit: "5 kB" },
  {
    name: "@coterie/sdk/slim with core.wasm",
    path: ["dist/slim.js", "dist/core.wasm"],
    modifyEsbuildConfig: (config) => ({ ...config, loader: { ...config.loader, ".wasm": "copy" } }),
    gzip: true,
    limit: "72.5 kB",
  },
];
