// What web3js-quorum has for GoQuorum only. The names are there, so that a program fails where it
// uses one and is told why.

import { NotSupportedError } from "./errors.js";
import type Web3Quorum from "./index.js";

const NAMESPACES = {
  ptm: ["keys", "partyInfoKeys", "send", "storeRaw", "upCheck"],
  raft: ["addLearner", "addPeer", "cluster", "leader", "promoteToPeer", "removePeer", "role"],
  istanbul: [
    "candidates",
    "discard",
    "getSignersFromBlock",
    "getSignersFromBlockByHash",
    "getSnapshot",
    "getSnapshotAtHash",
    "getValidators",
    "getValidatorsAtHash",
    "isValidator",
    "nodeAddress",
    "propose",
    "status",
  ],
  permission: [
    "acctList",
    "addAccountToOrg",
    "addNewRole",
    "addNode",
    "addOrg",
    "addSubOrg",
    "approveAdminRole",
    "approveBlackListedAccountRecovery",
    "approveBlackListedNodeRecovery",
    "approveOrg",
    "approveOrgStatus",
    "assignAdminRole",
    "changeAccountRole",
    "connectionAllowed",
    "getOrgDetails",
    "nodeList",
    "orgList",
    "recoverBlackListedAccount",
    "recoverBlackListedNode",
    "removeRole",
    "roleList",
    "transactionAllowed",
    "updateAccountStatus",
    "updateNodeStatus",
    "updateOrgStatus",
  ],
} as const;

const ETH = [
  "distributePrivateTransaction",
  "fillTransaction",
  "getContractPrivacyMetadata",
  "getPSI",
  "getPrivacyPrecompileAddress",
  "getPrivateTransactionByHash",
  "getPrivateTransactionReceipt",
  "getQuorumPayload",
  "sendGoQuorumTransaction",
  "sendRawPrivateTransaction",
  "sendTransactionAsync",
  "storageRoot",
];

const INSTEAD: Record<string, string> = {
  "eth.getPrivacyPrecompileAddress": "use priv.getPrivacyPrecompileAddress",
  "eth.getPrivateTransactionByHash": "use priv.getPrivateTransaction",
  "eth.getPrivateTransactionReceipt": "use priv.getTransactionReceipt",
  "eth.sendRawPrivateTransaction": "use priv.generateAndSendRawTransaction",
  "eth.distributePrivateTransaction": "use priv.generateAndDistributeRawTransaction",
};

/** The error for a name of GoQuorum's. */
export function notSupported(name: string): NotSupportedError {
  const hint = INSTEAD[name] ?? "It is GoQuorum's; this SDK is for nodes with Besu's privacy API.";
  return new NotSupportedError(`${name} is not supported`, { hint });
}

function rejecting(namespace: string, names: readonly string[]): Web3Quorum.Unsupported {
  const methods = names.map((name) => {
    const reject = (...args: unknown[]): Promise<never> => {
      const error = notSupported(`${namespace}.${name}`);
      const callback = args.at(-1);
      const rejected = Promise.reject<never>(error);
      if (typeof callback === "function") {
        rejected.catch(() => {});
        callback(error);
      }
      return rejected;
    };
    return [name, reject] as const;
  });
  return Object.fromEntries(methods);
}

/** The namespaces, each with its methods. */
export function quorumNamespaces(): Record<keyof typeof NAMESPACES, Web3Quorum.Unsupported> {
  const entries = Object.entries(NAMESPACES).map(([name, methods]) => [name, rejecting(name, methods)]);
  return Object.fromEntries(entries) as Record<keyof typeof NAMESPACES, Web3Quorum.Unsupported>;
}

/** What was added to `web3.eth`. */
export function quorumEth(): Web3Quorum.Unsupported {
  return rejecting("eth", ETH);
}
