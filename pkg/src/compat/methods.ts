// Methods that are one request to the node, as web3.extend makes them: a fixed number of parameters,
// formatters, a callback as a further argument, and `.request` for web3's batches.

import { InvalidInputError } from "../errors.js";
import type { Connection } from "./connection.js";
import { blockParameter, count, formatLogs } from "./format.js";
import type Web3Quorum from "./index.js";

interface Spec {
  /** The node's name for it. */
  readonly rpc: string;
  /** How many parameters, without the callback. */
  readonly params: number;
  readonly input?: (params: unknown[], connection: Connection) => unknown[];
  readonly output?: (result: unknown) => unknown;
}

/** A method with what web3's `BatchRequest` needs. */
export interface PassThrough {
  (...args: unknown[]): Promise<unknown>;
  /** The same call for a batch. */
  request(...args: unknown[]): object;
}

const PRIV: Readonly<Record<string, Spec>> = {
  call: {
    rpc: "priv_call",
    params: 3,
    input: ([group, call, block], { defaultBlock }) => [group, call, blockParameter(block, defaultBlock)],
  },
  debugGetStateRoot: { rpc: "priv_debugGetStateRoot", params: 2 },
  distributeRawTransaction: { rpc: "priv_distributeRawTransaction", params: 1 },
  getEeaTransactionCount: { rpc: "priv_getEeaTransactionCount", params: 3 },
  getFilterChanges: { rpc: "priv_getFilterChanges", params: 2, output: formatLogs },
  getFilterLogs: { rpc: "priv_getFilterLogs", params: 2, output: formatLogs },
  getLogs: { rpc: "priv_getLogs", params: 2, output: formatLogs },
  getPrivacyPrecompileAddress: { rpc: "priv_getPrivacyPrecompileAddress", params: 0 },
  getPrivateTransaction: { rpc: "priv_getPrivateTransaction", params: 1 },
  createPrivacyGroup: { rpc: "priv_createPrivacyGroup", params: 1 },
  deletePrivacyGroup: { rpc: "priv_deletePrivacyGroup", params: 1 },
  findPrivacyGroup: { rpc: "priv_findPrivacyGroup", params: 1 },
  getCode: { rpc: "priv_getCode", params: 3 },
  getTransactionCount: { rpc: "priv_getTransactionCount", params: 2, output: count },
  getTransactionReceipt: { rpc: "priv_getTransactionReceipt", params: 1 },
  newFilter: { rpc: "priv_newFilter", params: 2 },
  uninstallFilter: { rpc: "priv_uninstallFilter", params: 2 },
  sendRawTransaction: { rpc: "eea_sendRawTransaction", params: 1 },
  subscribe: { rpc: "priv_subscribe", params: 3 },
  unsubscribe: { rpc: "priv_unsubscribe", params: 2 },
};

const FIND: Spec = { rpc: "privx_findFlexiblePrivacyGroup", params: 1 };

/** All of `priv` that is one request. */
export function privMethods(connection: Connection): Record<string, PassThrough> {
  return Object.fromEntries(Object.entries(PRIV).map(([name, spec]) => [name, method(connection, name, spec)]));
}

/** `flexiblePrivacyGroup.find`. */
export function findMethod(connection: Connection): PassThrough {
  return method(connection, "find", FIND);
}

function method(connection: Connection, name: string, spec: Spec): PassThrough {
  const read = (args: unknown[]) => {
    const callback = typeof args.at(-1) === "function" ? (args.at(-1) as Web3Quorum.Callback<unknown>) : undefined;
    const given = callback ? args.slice(0, -1) : args;
    const params = spec.input ? spec.input(given, connection) : given;
    if (params.length !== spec.params) {
      throw new InvalidInputError(
        `Invalid number of parameters for "${name}". Got ${params.length} expected ${spec.params}!`,
        { code: "INVALID_PARAMETER_COUNT" },
      );
    }
    return { params, callback };
  };
  const output = (result: unknown) => (spec.output && result ? spec.output(result) : result);
  const send = (...args: unknown[]) => {
    const { params, callback } = read(args);
    return withCallback(connection.request(spec.rpc, params).then(output), callback);
  };
  const request = (...args: unknown[]) => ({ method: spec.rpc, ...read(args), format: output });
  return Object.assign(send, { request });
}

/** The promise; a callback is told as well, and then a rejection that nobody handles is no fault. */
export function withCallback<T>(promise: Promise<T>, callback: Web3Quorum.Callback<T> | undefined): Promise<T> {
  if (callback) {
    promise.then(
      (result) => callback(null, result),
      (error: unknown) => callback(error as Error),
    );
  }
  return promise;
}
