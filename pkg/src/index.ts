/**
 * The default entry: the client and the codec, with the WebAssembly core inside. It needs no
 * initialisation.
 *
 * @packageDocumentation
 */

export * from "./exports.js";
export { init, isReady, ready } from "./wasm/index.js";
