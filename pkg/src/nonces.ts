/**
 * Which nonce comes next. A node counts only what is mined, so an account that sends faster than
 * blocks come needs somebody who remembers.
 *
 * Sends of one account in one group go one after another: the node publishes markers in the order
 * in which the transactions reach it, and a nonce that overtakes another is invalid.
 *
 * A private transaction that fails leaves its nonce unused, and then all that were sent after it
 * are invalid. So what is remembered is given up when a receipt says that a transaction had no
 * effect, whether the caller waited for it or the queue looked itself, and when the node does not
 * come to count it for long.
 */

import { NonceTooLowError, throwIfAborted } from "./errors.js";
import type { Address } from "./types.js";

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
  /** Sends with this nonce. A rejection gives the nonce back. */
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
  /** Forgets the key's nonces, so that the node is asked again. */
  forget(key: NonceKey): void;
}

/** How long an answer of the node is relied on, between sends that follow each other. */
const FRESH_MS = 1000;
/** How long what was sent counts although the node does not show it. */
const EXPIRY_MS = 300_000;
/** Of how many sends it is remembered how to ask what became of them. */
const OPEN_MAX = 10_000;

interface Queue {
  /** After what was sent last; undefined: ask the node. */
  next: bigint | undefined;
  /** When the node was asked last. */
  readAt: number;
  sentAt: number;
  /** What was sent and not counted yet: whether it is known to have failed. */
  readonly open: Map<bigint, () => Promise<boolean>>;
  tail: Promise<unknown>;
  waiting: number;
}

/**
 * Nonces remembered in memory.
 *
 * @example
 * const client = createPrivacyClient({ url, signer, enclaveKey, nonces: memoryNonces() });
 */
export function memoryNonces(options: { readonly expiry?: number | undefined } = {}): Nonces {
  return new MemoryNonces(options.expiry ?? EXPIRY_MS);
}

/** What clients share unless told otherwise. */
let shared: Nonces | undefined;

/** @internal */
export function sharedNonces(): Nonces {
  return (shared ??= memoryNonces());
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
    return turn;
  }

  forget(key: NonceKey): void {
    const queue = this.#queues.get(idOf(key));
    queue?.open.clear();
    if (queue) queue.next = undefined;
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
      return this.#sendWith(queue, use, fresh);
    }
  }

  async #next(queue: Queue, use: NonceUse<unknown>): Promise<bigint> {
    const now = Date.now();
    if (queue.next !== undefined && now - queue.readAt < FRESH_MS) return queue.next;
    const counted = await use.read();
    queue.readAt = now;
    for (const nonce of queue.open.keys()) if (nonce < counted) queue.open.delete(nonce);
    // Read again: it may have been forgotten meanwhile.
    if (queue.next === undefined || queue.next <= counted) return counted;
    const failed = now - queue.sentAt >= this.#expiryMs || (await queue.open.get(counted)?.());
    if (failed) {
      queue.open.clear();
      queue.next = undefined;
    }
    return queue.next ?? counted;
  }

  async #sendWith<T>(queue: Queue, use: NonceUse<T>, nonce: bigint): Promise<T> {
    const before = queue.next;
    try {
      const result = await use.send(nonce);
      // One's own nonce out of turn, below or above, says nothing about the next one.
      const inTurn = use.explicit === undefined || before === undefined || before === nonce;
      queue.next = inTurn ? nonce + 1n : before;
      queue.sentAt = Date.now();
      if (use.failed && queue.open.size < OPEN_MAX) {
        queue.open.set(nonce, () => use.failed!(result));
      }
      return result;
    } catch (error) {
      // Refused, or nobody knows: with the same nonce again at most one of the two has an effect.
      // Earlier sends may not be mined yet, so what is known of them stays.
      if (use.explicit === undefined && before !== undefined) queue.next = nonce;
      throw error;
    }
  }

  #queue(id: string): Queue {
    let queue = this.#queues.get(id);
    if (!queue) {
      queue = { next: undefined, readAt: 0, sentAt: 0, open: new Map(), tail: Promise.resolve(), waiting: 0 };
      this.#queues.set(id, queue);
    }
    return queue;
  }

  /** Drops what says nothing any more, so that a server does not remember every group for ever. */
  #prune(id: string, queue: Queue): void {
    if (queue.waiting === 0 && queue.next === undefined) this.#queues.delete(id);
    if (this.#queues.size < 1000) return;
    const now = Date.now();
    for (const [other, it] of this.#queues) {
      if (it.waiting === 0 && now - it.sentAt >= this.#expiryMs) this.#queues.delete(other);
    }
  }
}

function idOf({ address, group, chainId }: NonceKey): string {
  return `${chainId}/${address.toLowerCase()}/${group}`;
}
