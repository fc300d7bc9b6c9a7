// Type-checked only: every entry but viem's from a module, in the ways that the documents show.

import {
  InvalidInputError,
  createPrivacyClient,
  enclaveKey,
  privateKeySigner,
  randomGroupId,
  type GroupId,
  type PrivateReceipt,
} from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";
import * as ethersEntry from "@coterie/sdk/ethers";
import { init } from "@coterie/sdk/slim";
import { webSocket, type WebSocketTransport } from "@coterie/sdk/ws";

const client = createPrivacyClient({
  url: "http://127.0.0.1:1",
  enclaveKey: enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo="),
  signer: privateKeySigner("0x01"),
});
export const receipt: Promise<PrivateReceipt> = client.waitForReceipt("0x01");
export const group: GroupId = randomGroupId();
export const initialised: Promise<unknown> = init(new URL("file:///core.wasm"));
export const functions: object[] = [ethersEntry];
export const isInput = (error: unknown) => error instanceof InvalidInputError;

export const transport: WebSocketTransport = webSocket("ws://127.0.0.1:1", { headers: { authorization: "x" } });
export const overSocket = createPrivacyClient({ transport });
export const pages = webSocket(new URL("wss://127.0.0.1:1"), { WebSocket, protocols: ["x"] });
// @ts-expect-error it has no such option
webSocket("ws://127.0.0.1:1", { header: {} });

const web3 = new Web3Quorum("http://127.0.0.1:1", { groupAbi: "bytes32" });
export const options: Web3Quorum.TransactionOptions = { privateKey: "01", privateFrom: "x", privacyGroupId: "y", data: "0x" };
export const hash: Promise<string> = web3.priv.generateAndSendRawTransaction(options);
export const count: Promise<number> = web3.priv.getTransactionCount("0x01", "x");
export const created: Promise<Web3Quorum.PrivateTransactionReceipt> = web3.eth.flexiblePrivacyGroup.create({
  enclaveKey: "x",
  privateKey: "01",
  participants: ["x"],
});
// @ts-expect-error one participant is removed at a time, under this name
void web3.eth.flexiblePrivacyGroup.removeFrom({ enclaveKey: "x", privateKey: "01", privacyGroupId: "y", participants: ["x"] });
// @ts-expect-error an enclave key is not a group id
void client.call({ privacyGroupId: enclaveKey("x"), to: "0x01" });
