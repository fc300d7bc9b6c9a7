// The part of Node's EventEmitter that subscriptions had, without Node: browsers and workers have
// no `events` module.

/** What may be called when an event comes. */
export type Listener = (...values: never[]) => void;

type AnyListener = (...values: unknown[]) => void;

/**
 * Listeners by event name. Unlike Node's emitter, an `error` that nobody listens to is not thrown.
 *
 * @example
 * ```ts
 * const emitter = new Emitter();
 * emitter.on("data", (log: { data: string }) => show(log.data));
 * ```
 */
export class Emitter {
  #listeners = new Map<string, { listener: AnyListener; once: boolean }[]>();

  /** Calls `listener` for every event of this name. */
  on(event: string, listener: Listener): this {
    return this.#add(event, listener, false);
  }

  /** The same as `on`. */
  addListener(event: string, listener: Listener): this {
    return this.on(event, listener);
  }

  /** Calls `listener` for the next event of this name only. */
  once(event: string, listener: Listener): this {
    return this.#add(event, listener, true);
  }

  /** Takes a listener off again. */
  off(event: string, listener: Listener): this {
    const all = this.#listeners.get(event) ?? [];
    const at = all.findIndex((entry) => entry.listener === listener);
    if (at >= 0) this.#listeners.set(event, [...all.slice(0, at), ...all.slice(at + 1)]);
    return this;
  }

  /** The same as `off`. */
  removeListener(event: string, listener: Listener): this {
    return this.off(event, listener);
  }

  /** Takes all listeners off, or those of one event. */
  removeAllListeners(event?: string): this {
    if (event === undefined) this.#listeners.clear();
    else this.#listeners.delete(event);
    return this;
  }

  /** How many listen to this event. */
  listenerCount(event: string): number {
    return this.#listeners.get(event)?.length ?? 0;
  }

  /** Calls the listeners of this event; tells whether there was one. */
  emit(event: string, ...values: unknown[]): boolean {
    const all = this.#listeners.get(event) ?? [];
    for (const { listener, once } of all) {
      if (once) this.off(event, listener);
      listener(...values);
    }
    return all.length > 0;
  }

  #add(event: string, listener: Listener, once: boolean): this {
    const all = this.#listeners.get(event) ?? [];
    this.#listeners.set(event, [...all, { listener: listener as AnyListener, once }]);
    return this;
  }
}
