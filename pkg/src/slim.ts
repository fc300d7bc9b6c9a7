/** The entry without bytes. */
export { core, init, isReady, ready } from "./wasm/index.js";
export type { Core } from "./wasm/index.js";
