/**
 * The Rust core of the slim entry: the caller brings its bytes. Takes the place of `index.ts` when
 * the slim entry is bundled.
 */
import { current, initError, instantiate } from "./instance.js";
import { compile } from "./source.js";
import type { Core, CoreSource } from "./types.js";

export type * from "./types.js";

/** The core; an error before {@link init}. */
export function core(): Core {
  const loaded = current();
  if (loaded === undefined) {
    throw notInitialized();
  }
  return loaded;
}

/** The core; an error before {@link init}. */
export async function ready(): Promise<Core> {
  return core();
}

/** Loads the core. Further calls change nothing. */
export async function init(source?: CoreSource): Promise<Core> {
  const loaded = current();
  if (loaded !== undefined) {
    return loaded;
  }
  if (source === undefined) {
    throw notInitialized();
  }
  return instantiate(await compile(source));
}

/** Whether the core is loaded. */
export function isReady(): boolean {
  return current() !== undefined;
}

function notInitialized(): Error {
  return initError(
    "NOT_INITIALIZED",
    "the core is not loaded",
    "call `await init(source)` once with the bytes or the URL of @coterie/sdk/core.wasm",
  );
}
