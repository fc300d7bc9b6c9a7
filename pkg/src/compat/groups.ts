// Flexible groups: each writing call is a private transaction to the management contract and the
// wait for its receipt.

import {
  MANAGEMENT_ADDRESS,
  addParticipantsData,
  coreReady,
  decodeParticipants,
  groupId,
  randomGroupId,
  removeParticipantData,
  withCore,
} from "../codec.js";
import { AddMembersError, InvalidResponseError, PrivacyError } from "../errors.js";
import { toArray, toObject } from "../input.js";
import type { EnclaveKey, GroupId, Hex } from "../types.js";
import type { Connection } from "./connection.js";
import { findMethod } from "./methods.js";
import { generateAndSend, waitForTransactionReceipt } from "./transact.js";
import type Web3Quorum from "./index.js";

type Abi = "bytes" | "bytes32";

/** `web3.eth.flexiblePrivacyGroup`. */
export function flexiblePrivacyGroup(connection: Connection, abi: Abi): Web3Quorum.FlexiblePrivacyGroup {
  const find = findMethod(connection) as unknown as Web3Quorum.FlexiblePrivacyGroup["find"];

  const execute = async (options: Web3Quorum.GroupSigner, privacyGroupId: string, data: Hex) => {
    const { privateKey, enclaveKey } = options;
    const hash = await generateAndSend(
      connection,
      { privateKey, privateFrom: enclaveKey, privacyGroupId, to: MANAGEMENT_ADDRESS, data },
      "eea_sendRawTransaction",
    );
    const receipt = await waitForTransactionReceipt(connection, hash);
    if (receipt === null) {
      throw new InvalidResponseError(`the node has no private receipt of ${hash}`, {
        hint: "Is enclaveKey a key of the node that this client talks to?",
      });
    }
    return receipt;
  };

  const call = (privacyGroupId: string, data: string) =>
    connection.request("priv_call", [privacyGroupId, { to: MANAGEMENT_ADDRESS, data }, "latest"]);

  const getParticipants = async (options: { privacyGroupId: string }) => {
    await coreReady();
    const { privacyGroupId } = toObject(options, "options");
    const answer = await call(groupId(privacyGroupId), withCore((core) => core.participantsCalldata()));
    if (answer === "0x") {
      throw new InvalidResponseError("the node knows no such group, or is no member of it", {
        code: "GROUP_UNKNOWN",
      });
    }
    return decodeParticipants(answer as Hex) as string[];
  };

  const create = async (options: Web3Quorum.CreateOptions) => {
    await coreReady();
    toObject(options, "options");
    const data = addParticipantsData(toArray(options.participants, "participants") as EnclaveKey[], abi);
    const id = options.privacyGroupId ? groupId(options.privacyGroupId) : randomGroupId();
    try {
      return await execute(options, id, data);
    } catch (error) {
      // The id may be the only way to a group that came to be all the same.
      if (error instanceof PrivacyError) {
        Object.defineProperty(error, "privacyGroupId", { value: id, enumerable: true });
      }
      throw error;
    }
  };

  const removeFrom = async (options: Web3Quorum.RemoveOptions) => {
    await coreReady();
    toObject(options, "options");
    const data = removeParticipantData(options.participant as EnclaveKey, abi);
    return execute(options, options.privacyGroupId, data);
  };

  const setLockState = async (options: Web3Quorum.LockOptions) => {
    await coreReady();
    toObject(options, "options");
    const data = withCore((core) => (options.lock ? core.lockCalldata() : core.unlockCalldata()));
    return execute(options, options.privacyGroupId, data as Hex);
  };

  const isLocked = async (id: string) => {
    const answer = await call(id, withCore((core) => core.canExecuteCalldata()));
    return typeof answer === "string" && /^0x0{64}$/.test(answer);
  };

  const addTo = async (options: Web3Quorum.AddOptions) => {
    await coreReady();
    const id = groupId(toObject(options, "options").privacyGroupId);
    const data = addParticipantsData(toArray(options.participants, "participants") as EnclaveKey[], abi);
    const { privateKey, enclaveKey } = options;
    const locking = { privateKey, enclaveKey, privacyGroupId: id };
    const lock = await setLockState({ ...locking, lock: true });
    const succeeded = lock.status === "0x1";
    // Locked by an earlier attempt that did not end: adding goes on from there.
    if (!succeeded && !(await isLocked(id))) {
      throw new PrivacyError(`Locking the privacy group failed, receipt: ${JSON.stringify(lock)}`, {
        code: "LOCK_FAILED",
      });
    }
    try {
      const receipt = await execute(options, id, data);
      if (receipt.status === "0x1") return receipt;
      throw new PrivacyError(`Adding to the privacy group failed, receipt: ${JSON.stringify(receipt)}`, {
        code: "TRANSACTION_REVERTED",
        data: receipt,
      });
    } catch (cause) {
      // A lock that was there before stays: somebody else may count on it.
      if (!succeeded) throw new AddMembersError(id, cause, false);
      throw await unlocked(id, cause, () => setLockState({ ...locking, lock: false }));
    }
  };

  return { find, getParticipants, create, removeFrom, setLockState, addTo };
}

/** Unlocks after a failed addition, so that members can go on, and gives the error to throw. */
async function unlocked(
  id: GroupId,
  cause: unknown,
  unlock: () => Promise<Web3Quorum.PrivateTransactionReceipt>,
): Promise<AddMembersError> {
  try {
    const { status } = await unlock();
    // An addition that had its effect after all has unlocked the group itself.
    return new AddMembersError(id, cause, status === "0x1");
  } catch (error) {
    return new AddMembersError(id, cause, false, error);
  }
}
