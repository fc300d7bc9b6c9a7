/**
 * Which nonce comes next. A node counts only what is mined, so an account that sends faster than
 * blocks come needs somebody who remembers.
 *
 * Sends of one account in one group go one after another: the node publishes markers in the order
 * in which the transactions reach it, and a nonce that overtakes another is invalid.
 *
 * The next nonce is the first one from the node's count on that is not open: sent, and not counted
 * yet. A private transaction that fails leaves its nonce unused, and then all that were sent after
 * it are invalid. So when the nonce that the node counts next is open, and what was sent with it is
 * known to have failed, or does not come to be counted for long, everything open is given up.
 */

import { NonceTooLowError, throwIfAborted } from "./errors.js";
import { toOptions } from "./input.js";
import { orAborted } from "./wait.js";
import type { Address, Hash } from "./types.js";

/**
 * Whose nonces.
 *
 * @example
 * const key: NonceKey = { address: signer.address, group: privacyGroupId, chainId: 1337n };
 */
export interface NonceKey {
  readonly address: Address;
  /** A group id, or `"public"` for transactions on the public chain. */
  readonly group: string;
  readonly chainId: bigint;
}

/**
 * One send.
 *
 * @example
 * await nonces.use(key, { read: async () => 0n, send: (nonce) => sendWith(nonce) });
 */
export interface NonceUse<T> {
  /** The caller's own nonce; it wins, also when it is 0. */
  readonly explicit?: bigint | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The next nonce as the node counts it. */
  read(): Promise<bigint>;
  /**
   * Sends with this nonce. A rejection gives the nonce back. A text that it resolves to, such as
   * the marker's hash, is what {@link Nonces.failed} knows it by.
   */
  send(nonce: bigint): Promise<T>;
  /** Whether what was sent is known to have failed, so that its nonce is unused. */
  failed?(sent: T): Promise<boolean>;
}

/**
 * Hands out nonces. One of these must be shared by everything in a program that sends for the same
 * account; by default all clients share one.
 *
 * @example
 * const nonces = memoryNonces();
 * const client = createPrivacyClient({ url, signer, enclaveKey, nonces });
 */
export interface Nonces {
  /** Sends with the next nonce, after all earlier sends of the same key. */
  use<T>(key: NonceKey, use: NonceUse<T>): Promise<T>;
  /**
   * Tells that what was sent with this marker has failed, so that its nonce is unused. Markers that
   * are not open are no matter: receipts may be read long afterwards.
   */
  failed?(key: NonceKey, marker: Hash): void;
  /** Forgets the key's nonces, also those of sends in flight, so that the node is asked again. */
  forget(key: NonceKey): void;
}

/** How long an answer of the node is relied on, between sends that follow each other. */
const FRESH_MS = 1000;
/** How long what was sent counts although the node does not come to count it. */
const EXPIRY_MS = 300_000;
/** How many nonces of the caller's own are remembered, since the node may never be asked then. */
const OPEN_MAX = 10_000;

/** What was sent and is not counted yet. */
interface Open {
  readonly sent: unknown;
  readonly at: number;
  failed: () => Promise<boolean>;
}

interface Queue {
  /** Where the search for the next nonce begins; undefined: ask the node. */
  next: bigint | undefined;
  /** What the node counted last, since when, and when it was asked. */
  counted: bigint;
  countedAt: number;
  readAt: number;
  /** When it was used last. */
  usedAt: number;
  /** By nonce. Another map when all is given up, so that a send still running adds nothing to it. */
  open: Map<bigint, Open>;
  tail: Promise<unknown>;
  waiting: number;
}

/**
 * Nonces remembered in memory. `expiry`: how long, in ms, a send counts that the node does not come
 * to count; 300,000 when absent.
 *
 * @example
 * const client = createPrivacyClient({ url, signer, enclaveKey, nonces: memoryNonces() });
 */
export function memoryNonces(
  options: { readonly expiry?: number | undefined } = {},
): Required<Nonces> {
  return new MemoryNonces(toOptions(options, "options").expiry ?? EXPIRY_MS);
}

const SHARED = Symbol.for("@coterie/sdk/nonces/1");

/**
 * What clients share unless told otherwise: one in a program, however many copies of this module
 * it has loaded.
 *
 * @internal
 */
export function sharedNonces(): Required<Nonces> {
  const everywhere = globalThis as { [SHARED]?: Required<Nonces> };
  return (everywhere[SHARED] ??= memoryNonces());
}

class MemoryNonces implements Nonces {
  readonly #queues = new Map<string, Queue>();
  readonly #expiryMs: number;

  constructor(expiryMs: number) {
    this.#expiryMs = expiryMs;
  }

  use<T>(key: NonceKey, use: NonceUse<T>): Promise<T> {
    const id = idOf(key);
    const queue = this.#queue(id);
    queue.waiting += 1;
    const turn = queue.tail.then(async () => {
      try {
        throwIfAborted(use.signal);
        return await this.#send(queue, use);
      } finally {
        queue.waiting -= 1;
        this.#prune(id, queue);
      }
    });
    queue.tail = turn.catch(() => {});
    return orAborted(turn, use.signal);
  }

  failed(key: NonceKey, marker: Hash): void {
    const queue = this.#queues.get(idOf(key));
    if (!queue) return;
    // What that means, the node's count tells: another may have used the nonce.
    queue.readAt = 0;
    for (const open of queue.open.values()) {
      if (String(open.sent).toLowerCase() === marker.toLowerCase()) open.failed = async () => true;
    }
  }

  forget(key: NonceKey): void {
    const queue = this.#queues.get(idOf(key));
    if (queue) giveUp(queue);
  }

  async #send<T>(queue: Queue, use: NonceUse<T>): Promise<T> {
    if (use.explicit !== undefined) return this.#sendWith(queue, use, use.explicit);
    const nonce = await this.#next(queue, use);
    throwIfAborted(use.signal);
    try {
      return await this.#sendWith(queue, use, nonce);
    } catch (error) {
      if (!(error instanceof NonceTooLowError)) throw error;
      // Somebody else has sent for this account.
      const fresh = await use.read();
      if (fresh <= nonce) throw error;
      queue.next = fresh;
      return this.#sendWith(queue, use, fresh);
    }
  }

  async #next(queue: Queue, use: NonceUse<unknown>): Promise<bigint> {
    const now = Date.now();
    if (queue.next === undefined || now - queue.readAt >= FRESH_MS) {
      // Before the answer: what is told meanwhile asks again.
      queue.readAt = now;
      const counted = await use.read().catch((error: unknown) => {
        queue.readAt = 0;
        throw error;
      });
      // The chain was reset: nothing of what was sent is on it.
      if (counted < queue.counted) giveUp(queue);
      if (counted !== queue.counted) Object.assign(queue, { counted, countedAt: now });
      for (const nonce of queue.open.keys()) if (nonce < counted) queue.open.delete(nonce);
      const lowest = queue.open.get(counted);
      if (lowest) {
        const since = Math.max(lowest.at, queue.countedAt);
        if (now - since >= this.#expiryMs || (await lowest.failed())) giveUp(queue);
      }
      queue.next = counted;
    }
    while (queue.open.has(queue.next)) queue.next += 1n;
    return queue.next;
  }

  async #sendWith<T>(queue: Queue, use: NonceUse<T>, nonce: bigint): Promise<T> {
    const { open } = queue;
    // Refused, or nobody knows: with the same nonce again at most one of the two has an effect.
    const sent = await use.send(nonce);
    queue.usedAt = Date.now();
    if (use.explicit === undefined || open.size < OPEN_MAX) {
      // What cannot be told has not failed yet.
      const failed = async () => (await use.failed?.(sent).catch(() => false)) ?? false;
      open.set(nonce, { sent, at: queue.usedAt, failed });
    }
    return sent;
  }

  #queue(id: string): Queue {
    let queue = this.#queues.get(id);
    if (!queue) {
      queue = {
        next: undefined,
        counted: 0n,
        countedAt: 0,
        readAt: 0,
        usedAt: 0,
        open: new Map(),
        tail: Promise.resolve(),
        waiting: 0,
      };
      this.#queues.set(id, queue);
    }
    return queue;
  }

  /** Drops what says nothing any more, so that a server does not remember every group for ever. */
  #prune(id: string, queue: Queue): void {
    if (queue.waiting === 0 && queue.open.size === 0) this.#queues.delete(id);
    if (this.#queues.size < 1000) return;
    const now = Date.now();
    for (const [other, it] of this.#queues) {
      if (it.waiting === 0 && now - it.usedAt >= this.#expiryMs) this.#queues.delete(other);
    }
  }
}

function giveUp(queue: Queue): void {
  queue.open = new Map();
  queue.next = undefined;
}

function idOf({ address, group, chainId }: NonceKey): string {
  return `${chainId}/${address.toLowerCase()}/${group}`;
}
