/**
 * The generated glue of the Rust core, as a {@link Core}. One instance a program.
 */
import * as glue from "../../wasm/core.js";
import type { Core } from "./types.js";

const functions: Core = {
  enclaveKey: glue.enclaveKey,
  enclaveKeyBytes: glue.enclaveKeyBytes,
  groupId: glue.groupId,
  groupIdBytes: glue.groupIdBytes,
  payloadKey: glue.payloadKey,
  randomGroupId: glue.randomGroupId,
  legacyGroupId: glue.legacyGroupId,
  contractAddress: glue.contractAddress,
  accountAddress: glue.accountAddress,
  encodeForSigning: glue.encodeForSigning,
  signatureHash: glue.signatureHash,
  sign: glue.sign,
  serialize: glue.serialize,
  decode: glue.decode,
  recoverSigner: glue.recoverSigner,
  transactionHash: glue.transactionHash,
  recoverAddress: glue.recoverAddress,
  markerSignatureHash: glue.markerSignatureHash,
  serializeMarker: glue.serializeMarker,
  signMarker: glue.signMarker,
  addParticipantsCalldata: glue.addParticipantsCalldata,
  removeParticipantCalldata: glue.removeParticipantCalldata,
  lockCalldata: glue.lockCalldata,
  unlockCalldata: glue.unlockCalldata,
  participantsCalldata: glue.participantsCalldata,
  canExecuteCalldata: glue.canExecuteCalldata,
  versionCalldata: glue.versionCalldata,
  ownerCalldata: glue.ownerCalldata,
  acceptOwnershipCalldata: glue.acceptOwnershipCalldata,
  transferOwnershipCalldata: glue.transferOwnershipCalldata,
  upgradeToCalldata: glue.upgradeToCalldata,
  decodeParticipants: glue.decodeParticipants,
  decodeManagementCall: glue.decodeManagementCall,
  decodeManagementEvent: glue.decodeManagementEvent,
  decodeRevert: glue.decodeRevert,
};

let loaded: Core | undefined;

/** The core, when it is loaded. */
export function current(): Core | undefined {
  return loaded;
}

/** Makes an instance of the compiled core, the first time; later calls change nothing. */
export function instantiate(module: WebAssembly.Module): Core {
  if (loaded === undefined) {
    glue.initSync({ module });
    loaded = functions;
  }
  return loaded;
}

/** An error that says what to do before the core can be used. */
export function initError(code: string, message: string, hint: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { name: "InitError", code, hint });
}
