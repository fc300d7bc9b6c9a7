/**
 * Functions of the core that nothing in the SDK calls: only the tests of the core do, so that they
 * are in no bundle.
 */
import * as glue from "../../wasm/core.js";
import { either, elements, head, requiredList, text } from "./core.js";
import type { CoreManagementCall, CoreManagementEvent, CoreUnused } from "./types.js";

function decodeManagementEvent(topics: readonly string[], data: string): CoreManagementEvent | undefined {
  const lines = glue.decodeManagementEvent(requiredList("topics", topics), text("data", data));
  const [name, first = "", second = "", rest = ""] = head(lines, 3);
  switch (name) {
    case "ParticipantAdded":
      return { name, success: second === "1", member: first, message: rest };
    case "ParticipantRemoved":
      return { name, member: first };
    case "OwnershipTransferStarted":
    case "OwnershipTransferred":
      return { name, previousOwner: first, newOwner: second };
    case "Upgraded":
      return { name, implementation: first };
    default:
      return undefined;
  }
}

function decodeManagementCall(data: string): CoreManagementCall {
  const [name = "", kind, argument = ""] = glue.decodeManagementCall(text("data", data)).split("\n");
  if (kind === undefined) {
    return { name };
  }
  return { name, [kind]: kind === "members" ? elements(argument) : argument };
}

/** For the instance that the loader beside it has made. */
export const unused: CoreUnused = {
  payloadKey: (value) => either("the payload key", value, glue.payloadKey, glue.payloadKeyFromBytes),
  versionCalldata: () => glue.calldata("getVersion"),
  upgradeToCalldata: (code) => glue.upgradeToCalldata(text("implementation", code)),
  decodeManagementCall,
  decodeManagementEvent,
};
