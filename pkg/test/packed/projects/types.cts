// Type-checked only: the same from CommonJS, as users of web3js-quorum write it.

import sdk = require("@coterie/sdk");
import Web3Quorum = require("@coterie/sdk/compat");
import ethersEntry = require("@coterie/sdk/ethers");
import slim = require("@coterie/sdk/slim");
import ws = require("@coterie/sdk/ws");

const web3 = new Web3Quorum("http://127.0.0.1:1");
const receipt: Promise<Web3Quorum.PrivateTransactionReceipt | null> = web3.priv.waitForTransactionReceipt("0x01");
const called: Web3Quorum.Client = Web3Quorum("http://127.0.0.1:1");
export = { receipt, called, group: sdk.randomGroupId(), functions: [ethersEntry, slim.init, ws.webSocket] };
