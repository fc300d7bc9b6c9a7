// Puts web3js-quorum's names onto a web3 instance, or onto a client of our own.

import { legacyGroupId } from "../codec.js";
import { InvalidInputError } from "../errors.js";
import { toArray, toObject } from "../input.js";
import type { EnclaveKey } from "../types.js";
import { Connection, isWeb3 } from "./connection.js";
import { flexiblePrivacyGroup } from "./groups.js";
import { privMethods } from "./methods.js";
import { notSupported, quorumEth, quorumNamespaces } from "./quorum.js";
import { PrivateSubscription } from "./subscription.js";
import { generateAndSend, waitForTransactionReceipt } from "./transact.js";
import type Types from "./index.js";

/** How long a subscription waits between polls unless told otherwise. */
const POLL_INTERVAL_MS = 1000;

/** `namespace` is where the methods end up: callers set the polling interval there. */
function privNamespace(connection: Connection, namespace: () => Types.Priv): Types.Priv {
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
    const { subscriptionPollingInterval } = namespace();
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
    generatePrivacyGroup(options) {
      const { privateFrom, privateFor } = toObject(options, "options");
      const members = [...toArray(privateFor ?? [], "privateFor"), ...[privateFrom].flat()];
      return legacyGroupId(members as EnclaveKey[]);
    },
    setPrivate(): never {
      throw notSupported("utils.setPrivate");
    },
  };
}

/** Everything that is added, by the place where it goes. */
function extension(connection: Connection, options: Types.Options, priv: Types.Priv) {
  const groups = flexiblePrivacyGroup(connection, options.groupAbi ?? "bytes");
  const privx: Types.Privx = {
    createPrivacyGroup: groups.create,
    addToPrivacyGroup: groups.addTo,
    removeFromPrivacyGroup: groups.removeFrom,
    setPrivacyGroupLockState: groups.setLockState,
    findOnChainPrivacyGroup: async (options) => groups.find(toObject(options, "options").addresses),
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

/** What `Web3Quorum` does, with `new` or without. */
export function connect(
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
  const web3 = (isWeb3(source) ? source : { currentProvider: source }) as unknown as Record<string, unknown>;
  const priv = privNamespace(connection, () => web3["priv"] as Types.Priv);
  const added = extension(connection, options ?? {}, priv);
  web3["isQuorum"] = false;
  for (const [name, values] of Object.entries(added)) add(web3, name, values);
  return web3;
}
