// For bundlers: what a page does that uses the default entry. Sets a result that the driver reads.

import * as sdk from "@coterie/sdk";
import Web3Quorum from "@coterie/sdk/compat";
import { webSocket } from "@coterie/sdk/ws";

import { expectVectors } from "./entries.mjs";
import vectors from "./sdk.json";

try {
  const web3 = new Web3Quorum(location.origin);
  if (typeof web3.priv.call !== "function") throw new Error("compat has no priv.call");
  const url = location.origin.replace("http", "ws");
  const transport = webSocket(url);
  const answer = await sdk.createRpc(transport).rpc("eth_chainId", []);
  transport.close();
  if (answer !== "eth_chainId") throw new Error(`by WebSocket: ${answer}`);
  // A page's WebSocket takes none.
  const withHeaders = webSocket(url, { headers: { authorization: "x" } });
  const untold = await withHeaders.request({ method: "eth_chainId" }).catch((error) => error);
  if (!(untold instanceof sdk.InvalidInputError)) throw new Error(`headers in a page: ${untold}`);
  globalThis.result = expectVectors("bundle", sdk, vectors);
} catch (error) {
  globalThis.result = `failed: ${error?.stack}`;
}
