/**
 * What a client knows: the node, who signs, in whose name. The functions that talk to a node take
 * it, so that the client, the viem actions and the ethers classes are three faces of one thing.
 */

import { coreReady, enclaveKey as readEnclaveKey, toGroupAbi } from "./codec.js";
import {
  InvalidInputError,
  InvalidTransactionError,
  MissingOptionError,
  PrivacyError,
} from "./errors.js";
import { toChainId, toOptions } from "./input.js";
import { sharedNonces, type Nonces } from "./nonces.js";
import { toPolling, type Polling } from "./receipts.js";
import { KEY, toNumberResult } from "./responses.js";
import { createRpc, type HttpOptions, type RequestOptions, type Rpc, type Transport } from "./rpc.js";
import { toSigner, type Signer } from "./signer.js";
import { orAborted } from "./wait.js";
import type { EnclaveKey, GroupAbi, GroupId, Hash, PayloadKey, Quantity } from "./types.js";

/**
 * What clients of any kind can be told.
 *
 * @example
 * const options: SessionOptions = { enclaveKey, signer, polling: { interval: 500 } };
 */
export interface SessionOptions {
  /** The node's key in whose name is sent: `privateFrom`. */
  readonly enclaveKey?: EnclaveKey | undefined;
  /** Who signs. Without it the client only reads. */
  readonly signer?: Signer | undefined;
  /** `"bytes32"` for nodes older than Besu 22.10; `"bytes"` when absent. */
  readonly groupAbi?: GroupAbi | undefined;
  /** How receipts are waited for. */
  readonly polling?: Polling | undefined;
  /** Who hands out nonces; by default all clients of a program share one queue per account. */
  readonly nonces?: Nonces | undefined;
  /** The public chain's id; asked for when absent, of a wallet each time. */
  readonly chainId?: Quantity | undefined;
}

/**
 * Options of {@link createPrivacyClient}: `url` or `transport`, and the rest.
 *
 * @example
 * const options: PrivacyClientOptions = { url: "http://127.0.0.1:20000", enclaveKey, signer };
 */
export interface PrivacyClientOptions extends SessionOptions, HttpOptions {
  /** The node's URL. */
  readonly url?: string | URL | undefined;
  /** Any provider instead. */
  readonly transport?: Transport | undefined;
}

/** @internal */
export class Session {
  readonly node: Rpc;
  readonly nonces: Nonces;
  readonly groupAbi: GroupAbi;
  readonly polling: ReturnType<typeof toPolling>;
  readonly #enclaveKey: EnclaveKey | undefined;
  readonly #signer: Signer | PrivacyError | undefined;
  readonly #ownChainId: bigint | undefined;
  #chainId: Promise<bigint> | undefined;
  /** Whether the chain's id was ever needed. */
  knowsChainId = false;
  /** Groups of what was sent last, for errors and for telling the queue of lost nonces. */
  readonly #sent = new Map<Hash, GroupId>();
  /** Markers of what was distributed. */
  readonly #marked = new Map<string, Hash>();

  /** `noSigner`: why there can be none, thrown by what needs one. */
  constructor(node: Rpc, options: SessionOptions, noSigner?: PrivacyError) {
    toOptions(options, "options");
    this.node = node;
    this.nonces = options.nonces ?? sharedNonces();
    this.polling = toPolling(options.polling);
    this.groupAbi = toGroupAbi(options.groupAbi ?? "bytes");
    // Without the core, which `slim` may not have yet.
    if (options.enclaveKey !== undefined && !KEY.test(options.enclaveKey)) {
      throw new InvalidInputError("enclaveKey must be 32 bytes in base64; see enclaveKey()");
    }
    this.#enclaveKey = options.enclaveKey;
    this.#signer = options.signer === undefined ? noSigner : toSigner(options.signer);
    if (options.chainId !== undefined) this.#ownChainId = toChainId(options.chainId);
  }

  /** Calls a method of the node. */
  async rpc(method: string, params: readonly unknown[], options?: RequestOptions) {
    // Reverts are read by the core, and errors must not depend on when it is there.
    await coreReady();
    try {
      return await orAborted(this.node.rpc(method, params, options), options?.signal);
    } catch (error) {
      const moved = error instanceof InvalidTransactionError && error.code === "WRONG_CHAIN_ID";
      if (moved) this.#chainId = undefined;
      throw error;
    }
  }

  get signer(): Signer {
    if (this.#signer instanceof PrivacyError) throw this.#signer;
    if (this.#signer) return this.#signer;
    throw new MissingOptionError("this needs a signer, and the client was made without one");
  }

  /** The key in whose name is sent. */
  enclaveKey(own?: EnclaveKey): EnclaveKey {
    const key = own ?? this.#enclaveKey;
    if (key !== undefined) return readEnclaveKey(key);
    throw new MissingOptionError("this needs an enclaveKey, and the client was made without one");
  }

  /** The public chain's id. */
  async chainId(signal?: AbortSignal): Promise<bigint> {
    this.knowsChainId = true;
    if (this.#ownChainId !== undefined) return this.#ownChainId;
    if (!this.#chainId || this.node.movable) {
      const asked = this.rpc("eth_chainId", []).then((id) =>
        toChainId(toNumberResult(id, "the chain id")),
      );
      this.#chainId = asked;
      // Not knowing it once must not mean never.
      asked.catch(() => (this.#chainId = undefined));
    }
    return orAborted(this.#chainId, signal);
  }

  /** Remembers which group a marker is of. */
  remember(hash: Hash, group: GroupId): void {
    keep(this.#sent, hash, group);
  }

  /** Remembers which marker was sent for a distributed payload. */
  mark(key: PayloadKey, hash: Hash): void {
    keep(this.#marked, key.toLowerCase(), hash);
  }

  /** The marker that this session sent for a distributed payload. */
  markerOf(key: PayloadKey): Hash | undefined {
    return this.#marked.get(key.toLowerCase());
  }

  /** The group of a marker sent by this session. */
  groupOf(hash: Hash): GroupId | undefined {
    return this.#sent.get(hash);
  }
}

/** Adds to a map that must not grow for ever. @internal */
export function keep<K, V>(map: Map<K, V>, key: K, value: V, max = 10_000): void {
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/** @internal */
export function createSession(options: PrivacyClientOptions): Session {
  const it = toOptions(options, "options");
  const transport = it.transport ?? it.url;
  if (transport === undefined || (it.transport !== undefined && it.url !== undefined)) {
    throw new InvalidInputError("a client needs a url or a transport, not both");
  }
  return new Session(createRpc(transport, it), it);
}
