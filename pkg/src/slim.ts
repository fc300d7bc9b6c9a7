/**
 * The default entry's surface without the bytes of the core: `init` must be given them once.
 *
 * The bundler puts `wasm/slim.ts` in the place of `wasm/index.ts` here.
 *
 * @packageDocumentation
 */

export * from "./exports.js";
export { init, isReady, ready } from "./wasm/index.js";
