import { test } from "node:test";

import { alone } from "./clients.mjs";
import { compare } from "./compare.mjs";

test("with a URL the results are web3js-quorum's", () => compare(alone));
