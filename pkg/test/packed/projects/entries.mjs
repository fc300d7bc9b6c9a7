// What every runtime checks of the entries it has loaded, without modules of its own.

import { checkVectors } from "./vectors.mjs";

const assert = (condition, message) => {
  if (!condition) throw new Error(message);
};

/** Throws unless all vectors pass; says how many did. */
export function expectVectors(name, sdk, vectors) {
  const { passed, failed } = checkVectors(sdk, vectors);
  assert(failed.length === 0, `${name}: ${failed.length} of ${passed + failed.length} vectors failed:\n${failed.join("\n")}`);
  assert(passed > 900, `${name}: only ${passed} vectors`);
  return `${name}: ${passed} vectors passed`;
}

/** Checks all entries; gives what to print. */
export async function checkEntries({ sdk, Web3Quorum, ethers, slim, viem, ws, vectors, wasm }) {
  // Nothing was initialised: the first call does it.
  const report = [expectVectors("default entry", sdk, vectors)];

  const refused = errorOf(() => slim.groupId("x"));
  assert(refused instanceof slim.NotInitializedError, `slim before init: ${refused}`);
  await slim.init(wasm);
  report.push(expectVectors("slim entry", slim, vectors));

  for (const [name, entry] of Object.entries({ ethers, viem })) {
    const functions = Object.values(entry).filter((it) => typeof it === "function");
    assert(functions.length > 0, `${name} exports no function`);
  }
  // One core and one set of classes for all entries but slim.
  const web3 = new Web3Quorum("http://127.0.0.1:1");
  const { members, privacyGroupId } = vectors.legacyGroupIds.fromExampleKeys.at(-1);
  const id = web3.utils.generatePrivacyGroup({ privateFrom: members[0], privateFor: members.slice(1) });
  assert(id === privacyGroupId, `compat: ${id}`);
  const short = await web3.priv.generateAndSendRawTransaction({}).catch((error) => error);
  assert(short instanceof sdk.InvalidInputError, `compat throws another class: ${short}`);
  await expectSocket(ws, sdk);
  return report.join("\n");
}

/** The transport answers, over a class of its own, and its errors are those of the default entry. */
async function expectSocket({ webSocket }, sdk) {
  class Echo {
    #listeners = {};
    constructor() {
      setTimeout(() => this.#listeners.open?.({}), 0);
    }
    addEventListener(type, listener) {
      this.#listeners[type] = listener;
    }
    send(text) {
      const { id, method } = JSON.parse(text);
      setTimeout(() => this.#listeners.message({ data: JSON.stringify({ jsonrpc: "2.0", id, result: method }) }), 0);
    }
    close() {}
  }
  const transport = webSocket("ws://127.0.0.1:1", { WebSocket: Echo });
  const answer = await sdk.createRpc(transport).rpc("eth_chainId", []);
  assert(answer === "eth_chainId", `ws: ${answer}`);
  transport.close();
  const refused = errorOf(() => webSocket("http://127.0.0.1:1"));
  assert(refused instanceof sdk.InvalidInputError, `ws throws another class: ${refused}`);
}

function errorOf(action) {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
