// For workerd, which compiles no bytes: the condition of the same name imports the module.

import * as sdk from "@coterie/sdk";
import { webSocket } from "@coterie/sdk/ws";

import { expectVectors } from "./entries.mjs";
import vectors from "./sdk.json";

export default {
  async test() {
    webSocket("ws://127.0.0.1:1").close();
    console.log(expectVectors("workerd", sdk, vectors));
  },
};
