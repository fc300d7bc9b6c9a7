/** Waiting, and ceasing to wait. */

import { AbortError } from "./errors.js";

/** The longest that a timer can be: with more it fires at once. */
export const TIMER_MS_MAX = 0x7fffffff;

/**
 * Ends after `ms`, or rejects at once when the signal is aborted. `begun` is given what ends it
 * earlier.
 */
export function pause(
  ms: number,
  signal?: AbortSignal,
  begun?: (end: () => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortError(signal.reason));
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(new AbortError(signal?.reason));
    };
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, TIMER_MS_MAX));
    begun?.(end);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The promise's outcome, or an AbortError as soon as the signal is aborted. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(new AbortError(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** A time limit joined with the caller's signal. */
export class Deadline {
  expired = false;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #outer: AbortSignal | undefined;
  readonly #onAbort = () => this.#controller.abort(this.#outer?.reason);

  constructor(outer: AbortSignal | undefined, timeoutMs: number) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.expired = true;
      this.#controller.abort();
    }, Math.min(timeoutMs, TIMER_MS_MAX));
    if (outer?.aborted) this.#onAbort();
    else outer?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The promise's outcome, unless time is up first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(this.signal.reason);
      if (this.signal.aborted) stop();
      else this.signal.addEventListener("abort", stop, { once: true });
      promise.then(resolve, reject);
    });
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }
}

/** A generator that heeds its signal, and so ends at once when it is left, also while it waits. */
export function endable<T>(
  outer: AbortSignal | undefined,
  make: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(outer?.reason);
  const generator = (async function* () {
    if (outer?.aborted) onAbort();
    outer?.addEventListener("abort", onAbort, { once: true });
    try {
      yield* make(controller.signal);
    } finally {
      outer?.removeEventListener("abort", onAbort);
    }
  })();
  const end = generator.return.bind(generator);
  // Otherwise it would be heard only after the next value.
  generator.return = (value) => {
    controller.abort();
    return end(value);
  };
  return generator;
}
