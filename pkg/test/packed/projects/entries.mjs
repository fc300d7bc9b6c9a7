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
export async function checkEntries({ sdk, Web3Quorum, ethers, slim, viem, vectors, wasm }) {
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
  return report.join("\n");
}

function errorOf(action) {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
