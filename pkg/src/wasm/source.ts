/**
 * Compiles the core from whatever a caller of `init` has.
 */
import { initError } from "./instance.js";
import type { CoreSource } from "./types.js";

/** Compiles without blocking. */
export async function compile(source: CoreSource | undefined): Promise<WebAssembly.Module> {
  let given: unknown = await source;
  try {
    if (given instanceof WebAssembly.Module) {
      return given;
    }
    if (typeof given === "string" || given instanceof URL) {
      given = await fetch(given);
    }
    if (isResponse(given)) {
      if (!given.ok) {
        throw new Error(`the server answered ${given.status}`);
      }
      given = await given.arrayBuffer();
    }
    return await WebAssembly.compile(given as BufferSource);
  } catch (cause) {
    throw initError(
      "INIT_FAILED",
      "the core could not be loaded",
      "init takes a Response, the bytes, a WebAssembly.Module or the URL of @coterie/sdk/core.wasm",
      cause,
    );
  }
}

function isResponse(value: unknown): value is Response {
  return typeof value === "object" && value !== null && "arrayBuffer" in value && "ok" in value;
}
