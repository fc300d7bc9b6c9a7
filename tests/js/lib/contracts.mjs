// The contracts that tests deploy and call, as `cargo xtask contracts` compiled them.

import { readFileSync } from "node:fs";
import { decodeFunctionResult, encodeAbiParameters, encodeDeployData, encodeFunctionData } from "viem";

const path = new URL("../../contracts/artifacts.json", import.meta.url);
const artifacts = JSON.parse(readFileSync(path, "utf8")).contracts;

/** A compiled contract and its calldata. */
class Contract {
  constructor(name) {
    const artifact = artifacts[name];
    if (!artifact) throw new Error(`artifacts.json has no contract ${name}`);
    this.name = name;
    this.abi = artifact.abi;
    this.bytecode = artifact.bytecode;
    this.runtime = artifact.runtime;
  }

  /** Init code with the constructor's arguments. */
  creation(...args) {
    return encodeDeployData({ abi: this.abi, bytecode: this.bytecode, args });
  }

  /** Calldata of a function. */
  data(functionName, ...args) {
    return encodeFunctionData({ abi: this.abi, functionName, args });
  }

  /** What a function returned. */
  result(functionName, data) {
    return decodeFunctionResult({ abi: this.abi, functionName, data });
  }
}

export const EventEmitter = new Contract("EventEmitter");
export const CrossReader = new Contract("CrossReader");
export const Reverter = new Contract("Reverter");
export const Erc20 = new Contract("Erc20");
export const Environment = new Contract("Environment");
export const Looper = new Contract("Looper");

/** keccak256 of `stored(address,uint256)`. */
export const STORED_TOPIC = "0xc9db20adedc6cf2b5d25252b101ab03e124902a73fcb12b753f3d1aaa2d8f9f5";

/** Where a group's membership is managed, in its own private state. */
export const MANAGEMENT = "0x000000000000000000000000000000000000007c";
/** Where markers go. */
export const MARKER_TO = "0x000000000000000000000000000000000000007d";

const hex = (key) => `0x${Buffer.from(key, "base64").toString("hex")}`;
const bytesList = (keys) => encodeAbiParameters([{ type: "bytes[]" }], [keys.map(hex)]);

/** Calldata for the management contract, in the ABI of Besu 22.10 to 25.5. */
export const management = {
  addParticipants: (keys) => `0x965a25ef${bytesList(keys).slice(2)}`,
  removeParticipant: (key) =>
    `0x1f52a8ee${encodeAbiParameters([{ type: "bytes" }], [hex(key)]).slice(2)}`,
  lock: "0xf83d08ba",
  unlock: "0xa69df4b5",
  getParticipants: "0x5aa68ac0",
  canExecute: "0x78b90337",
  getVersion: "0x0d8e6e2c",
  /** What getParticipants answers for these members. */
  participants: bytesList,
};
