// The node behind a web3 instance, a provider or a URL. A web3 instance may change its provider at
// any time: what is remembered of a node is forgotten then.

import { CallRevertedError, InvalidInputError, InvalidResponseError, PrivacyError } from "../errors.js";
import { createRpc, type RequestOptions, type Rpc, type Transport } from "../rpc.js";
import type Web3Quorum from "./index.js";

/** A node, and what is known of it. */
export class Connection {
  readonly #provider: () => unknown;
  readonly #web3: (Web3Quorum.Web3Instance & { defaultBlock?: unknown }) | undefined;
  readonly #headers: Record<string, string> | undefined;
  #known: { provider: unknown; rpc: Rpc; chainId?: Promise<bigint> } | undefined;

  constructor(source: string | Web3Quorum.Provider | Web3Quorum.Web3Instance, headers: Record<string, string> | undefined) {
    this.#web3 = isWeb3(source) ? source : undefined;
    this.#provider = isWeb3(source) ? () => source.currentProvider as unknown : () => source;
    this.#headers = headers;
  }

  /** The provider, or the URL, as it is now. */
  get provider(): unknown {
    return this.#provider();
  }

  /** What `web3.defaultBlock` says. */
  get defaultBlock(): unknown {
    return this.#web3?.defaultBlock;
  }

  /** Throws when the provider is nothing that can be asked. */
  check(): void {
    this.#node();
  }

  /** The result of one request. Refusals have the text that web3 1.x gives them. */
  async request(method: string, params: readonly unknown[], options?: RequestOptions): Promise<unknown> {
    try {
      return await this.#node().rpc.rpc(method, params, options);
    } catch (error) {
      if (error instanceof PrivacyError && error.rpcCode !== undefined) {
        error.message = `Returned error: ${nodesText(error)}`;
      }
      throw error;
    }
  }

  /** The chain's id. Asked once of a node, since a node does not change its chain; a wallet does. */
  chainId(): Promise<bigint> {
    const node = this.#node();
    const ask = async () => {
      const answer = await this.request("eth_chainId", []);
      if (typeof answer !== "string" || !/^0x[0-9a-f]+$/i.test(answer)) {
        throw new InvalidResponseError("eth_chainId answered no number");
      }
      return BigInt(answer);
    };
    const provider = node.provider as Web3Quorum.Provider | string;
    if (typeof provider === "object" && typeof provider.request === "function") return ask();
    node.chainId ??= ask().catch((error: unknown) => {
      delete node.chainId;
      throw error;
    });
    return node.chainId;
  }

  #node() {
    const provider = this.#provider();
    if (provider === null || provider === undefined) throw new InvalidInputError("Provider not set or invalid");
    if (this.#known?.provider !== provider) {
      const options = this.#headers ? { headers: this.#headers } : {};
      this.#known = { provider, rpc: createRpc(provider as Transport, options) };
    }
    return this.#known as { provider: unknown; rpc: Rpc; chainId?: Promise<bigint> };
  }
}

/** A web3 instance: it has a place for a provider, whatever is in it. */
export function isWeb3(source: unknown): source is Web3Quorum.Web3Instance {
  return typeof source === "object" && source !== null && "currentProvider" in source;
}

/** What the node said, without what the SDK has added. */
function nodesText(error: PrivacyError): string {
  const { cause, message } = error;
  if (typeof cause === "object" && cause !== null && "code" in cause && "message" in cause) {
    return String(cause.message).replace(/^Returned error: /, "");
  }
  if (error instanceof CallRevertedError && error.revertData !== "0x") {
    return error.revert ? `Execution reverted: ${error.revert.reason}` : "Execution reverted";
  }
  const { detail } = (error.data ?? {}) as { detail?: unknown };
  const added = typeof detail === "string" ? ` (${detail})` : "";
  return added !== "" && message.endsWith(added) ? message.slice(0, -added.length) : message;
}
