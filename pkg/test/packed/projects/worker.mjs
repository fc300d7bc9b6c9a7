// For workerd, which compiles no bytes: the condition of the same name imports the module.

import * as sdk from "@coterie/sdk";

import { expectVectors } from "./entries.mjs";
import vectors from "./sdk.json";

export default {
  async test() {
    console.log(expectVectors("workerd", sdk, vectors));
  },
};
