/**
 * The one instance of the Rust core in a program.
 */
import { initSync } from "../../wasm/core.js";
import { functions } from "./core.js";
import type { Core } from "./types.js";

let loaded: Core | undefined;

/** The core, when it is loaded. */
export function current(): Core | undefined {
  return loaded;
}

/** Makes an instance of the compiled core, the first time; later calls change nothing. */
export function instantiate(module: WebAssembly.Module): Core {
  if (loaded === undefined) {
    initSync({ module });
    loaded = functions;
  }
  return loaded;
}

/** An error that says what to do before the core can be used. */
export function initError(code: string, message: string, hint: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { name: "InitError", code, hint });
}
