// The published clients. They are CommonJS; one of them talks to stdout.

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export const Web3 = require("web3");
export const Web3Quorum = require("web3js-quorum");
/** The npm package's own private transaction: its encoding and its signatures. */
export const PrivateTransaction = require("web3js-quorum/src/privateTransaction");

const log = console.log;
console.log = (...args) => {
  if (args[0] !== "Waiting for transaction to be mined ...") log(...args);
};

/** web3js-quorum on this URL, exactly as its documentation sets it up. */
export function web3Quorum(url) {
  return new Web3Quorum(new Web3(url));
}
