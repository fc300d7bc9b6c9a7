// Type-checked only: around a web3 1.x instance, with web3's own types.

import Web3Quorum = require("@coterie/sdk/compat");
import Web3 from "web3";

const web3 = new Web3Quorum(new Web3("http://127.0.0.1:1"));
export const balance: Promise<string> = web3.eth.getBalance("0x01");
export const found: Promise<Web3Quorum.PrivacyGroupObject[]> = web3.eth.flexiblePrivacyGroup.find(["x"]);
export const id: string = web3.utils.generatePrivacyGroup({ privateFrom: "x" });
export const wei: string = web3.utils.toWei("1");
