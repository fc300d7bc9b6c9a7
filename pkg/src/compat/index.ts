// web3js-quorum's names over this SDK: `new Web3Quorum(...)` with its options and results. What
// differs, and why, is in MIGRATION.md.
//
// The only export is the default one, so that `require` gives the constructor itself.

import { legacyGroupId } from "../codec.js";
import { InvalidInputError } from "../errors.js";
import type { EnclaveKey } from "../types.js";
import { Connection, isWeb3 } from "./connection.js";
import { NotSupportedError as NotSupported } from "./errors.js";
import { flexiblePrivacyGroup } from "./groups.js";
import { privMethods } from "./methods.js";
import { notSupported, quorumEth, quorumNamespaces } from "./quorum.js";
import { PrivateSubscription } from "./subscription.js";
import { generateAndSend, waitForTransactionReceipt } from "./transact.js";
import type * as Types from "./types.js";

/** How long a subscription waits between polls unless told otherwise. */
const POLL_INTERVAL_MS = 1000;

function privNamespace(connection: Connection): Types.Priv {
  const priv = {
    ...privMethods(connection),
    subscriptionPollingInterval: POLL_INTERVAL_MS,
    generateAndSendRawTransaction: (options: Types.TransactionOptions) =>
      generateAndSend(connection, options, "eea_sendRawTransaction"),
    generateAndDistributeRawTransaction: (options: Types.TransactionOptions) =>
      generateAndSend(connection, options, "priv_distributeRawTransaction"),
    waitForTransactionReceipt: (hash: string, retries?: number, delay?: number) =>
      waitForTransactionReceipt(connection, hash, retries, delay),
  };
  const subscribe = async (
    privacyGroupId: string,
    filter: Types.LogFilter,
    callback?: Types.Callback<string>,
  ) => {
    const { subscriptionPollingInterval } = priv;
    const made = new PrivateSubscription(connection, privacyGroupId, filter, subscriptionPollingInterval);
    try {
      const id = await made.subscribe();
      callback?.(undefined, id);
    } catch (error) {
      if (!callback) throw error;
      callback(error as Error);
    }
    return made;
  };
  const subscribing = { subscribeWithPooling: subscribe, subscribeWithPolling: subscribe };
  return Object.assign(priv, subscribing) as unknown as Types.Priv;
}

function utilsNamespace(): Types.Utils {
  return {
    generatePrivacyGroup({ privateFrom, privateFor }) {
      const members = [...(privateFor ?? []), ...[privateFrom].flat()];
      return legacyGroupId(members as EnclaveKey[]);
    },
    setPrivate(): never {
      throw notSupported("utils.setPrivate");
    },
  };
}

/** Everything that is added, by the place where it goes. */
function extension(connection: Connection, options: Types.Options) {
  const groups = flexiblePrivacyGroup(connection, options.groupAbi ?? "bytes");
  const priv = privNamespace(connection);
  const privx: Types.Privx = {
    createPrivacyGroup: groups.create,
    addToPrivacyGroup: groups.addTo,
    removeFromPrivacyGroup: groups.removeFrom,
    setPrivacyGroupLockState: groups.setLockState,
    findOnChainPrivacyGroup: ({ addresses }) => groups.find(addresses),
  };
  const eea: Types.Eea = { sendRawTransaction: priv.generateAndSendRawTransaction };
  const eth = { flexiblePrivacyGroup: groups, ...quorumEth() };
  return { utils: utilsNamespace(), priv, eth, eea, privx, ...quorumNamespaces() };
}

/** Adds to a namespace that may be there; a module namespace of web3 cannot be written to. */
function add(web3: Record<string, unknown>, name: string, values: object): void {
  const existing = web3[name];
  if (typeof existing === "object" && existing !== null && Object.isExtensible(existing)) {
    Object.assign(existing, values);
  } else {
    web3[name] = { ...(existing as object | undefined), ...values };
  }
}

function connect(
  source: string | Types.Provider | Types.Web3Instance,
  options: Types.Options = {},
  isQuorum = false,
): unknown {
  if (isQuorum) throw notSupported("isQuorum");
  const { groupAbi = "bytes", headers } = options ?? {};
  if (groupAbi !== "bytes" && groupAbi !== "bytes32") {
    throw new InvalidInputError('groupAbi must be "bytes" or "bytes32"');
  }
  const missing = isWeb3(source) ? (source.currentProvider ?? null) === null : !source;
  if (missing) throw new InvalidInputError("Missing provider", { code: "MISSING_PROVIDER" });
  const connection = new Connection(source, headers);
  // A source that cannot be asked is told here, not at the first request.
  connection.check();
  const added = extension(connection, options ?? {});
  const web3 = (isWeb3(source) ? source : { currentProvider: source }) as unknown as Record<string, unknown>;
  web3["isQuorum"] = false;
  for (const [name, values] of Object.entries(added)) add(web3, name, values);
  return web3;
}

/**
 * web3js-quorum's constructor. Given a web3 1.x instance it adds to it and returns it; given a URL
 * or a provider it returns a client with the same names.
 *
 * @example
 * ```ts
 * import Web3 from "web3";
 * import Web3Quorum from "@coterie/sdk/compat";
 *
 * const web3 = new Web3Quorum(new Web3("http://127.0.0.1:8546"));
 * const receipt = await web3.eth.flexiblePrivacyGroup.create({ enclaveKey, privateKey, participants });
 * ```
 */
interface Web3Quorum {
  new <W extends Types.Web3Instance>(web3: W, options?: Types.Options, isQuorum?: boolean): W & Types.Extension;
  new (urlOrProvider: string | Types.Provider, options?: Types.Options, isQuorum?: boolean): Types.Client;
  <W extends Types.Web3Instance>(web3: W, options?: Types.Options, isQuorum?: boolean): W & Types.Extension;
  (urlOrProvider: string | Types.Provider, options?: Types.Options, isQuorum?: boolean): Types.Client;
  /** What GoQuorum's names throw. */
  readonly NotSupportedError: typeof NotSupported;
}

// A function, not a class: it may be called without `new`, and returns what it was given.
const Web3Quorum = Object.assign(
  function Web3Quorum(source: string | Types.Provider | Types.Web3Instance, options?: Types.Options, isQuorum?: boolean) {
    return connect(source, options, isQuorum);
  },
  { NotSupportedError: NotSupported },
) as unknown as Web3Quorum;

// The names of types that users of web3js-quorum need, as `Web3Quorum.TransactionOptions`.
namespace Web3Quorum {
  export type AddOptions = Types.AddOptions;
  export type BlockParameter = Types.BlockParameter;
  export type CallObject = Types.CallObject;
  export type Callback<T> = Types.Callback<T>;
  export type Client = Types.Client;
  export type CreateOptions = Types.CreateOptions;
  export type Extension = Types.Extension;
  export type FlexiblePrivacyGroup = Types.FlexiblePrivacyGroup;
  export type FormattedLog = Types.FormattedLog;
  export type GroupSigner = Types.GroupSigner;
  export type LockOptions = Types.LockOptions;
  export type LogFilter = Types.LogFilter;
  export type NotSupportedError = NotSupported;
  export type Options = Types.Options;
  export type Priv = Types.Priv;
  export type PrivacyGroupObject = Types.PrivacyGroupObject;
  export type PrivateSubscription = Types.PrivateSubscription;
  export type PrivateTransactionObject = Types.PrivateTransactionObject;
  export type PrivateTransactionReceipt = Types.PrivateTransactionReceipt;
  export type Provider = Types.Provider;
  export type Quantity = Types.Quantity;
  export type ReceiptLog = Types.ReceiptLog;
  export type RemoveOptions = Types.RemoveOptions;
  export type TransactionOptions = Types.TransactionOptions;
}

export default Web3Quorum;
