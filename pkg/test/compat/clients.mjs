// The two clients that are compared, made in the same way.

import Compat from "@coterie/sdk/compat";

import { Web3, Web3Quorum } from "../../../tests/js/lib/clients.mjs";

/** npm web3js-quorum. It understands only the older encoding of members. */
export const old = { name: "web3js-quorum", connect: (url) => new Web3Quorum(new Web3(url)) };

/** This entry around a web3 1.x instance, in the encoding that the old one has. */
export const ours = {
  name: "compat with web3",
  connect: (url) => new Compat(new Web3(url), { groupAbi: "bytes32" }),
};

/** This entry on its own. */
export const alone = { name: "compat with a URL", connect: (url) => new Compat(url, { groupAbi: "bytes32" }) };

export { Compat, Web3 };
