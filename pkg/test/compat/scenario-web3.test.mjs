import { test } from "node:test";

import { ours } from "./clients.mjs";
import { compare } from "./compare.mjs";

test("around a web3 instance the results are web3js-quorum's", () => compare(ours));
