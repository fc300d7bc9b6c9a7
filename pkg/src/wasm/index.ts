/**
 * The Rust core of the default entry: its bytes are inside, and it compiles itself on first use.
 *
 * `#core` is the packed core with its unpacker, or under the `workerd` condition a compiled module,
 * since workers compile no bytes.
 */
import embedded from "#core";
import { current, initError, instantiate } from "./instance.js";
import { compile } from "./source.js";
import type { Core, CoreSource } from "./types.js";
import { unpack } from "./unpack.js";

export type * from "./types.js";

/** The core, compiled now if it is not yet. */
export function core(): Core {
  return current() ?? instantiate(embedded instanceof WebAssembly.Module ? embedded : compileNow(embedded));
}

/** The core, compiled without blocking if it is not yet. */
export async function ready(): Promise<Core> {
  return current() ?? instantiate(await compile(embedded instanceof WebAssembly.Module ? embedded : unpack(embedded)));
}

/** The same as {@link ready} without a source; with one, the core is loaded from there. */
export async function init(source?: CoreSource): Promise<Core> {
  return current() ?? (source === undefined ? ready() : instantiate(await compile(source)));
}

/** Whether the core is loaded. */
export function isReady(): boolean {
  return current() !== undefined;
}

function compileNow(bytes: EmbeddedCore): WebAssembly.Module {
  try {
    return new WebAssembly.Module(unpack(bytes));
  } catch (cause) {
    throw initError(
      "NOT_INITIALIZED",
      "this platform does not compile the core synchronously",
      "call `await ready()` once before using synchronous functions",
      cause,
    );
  }
}
