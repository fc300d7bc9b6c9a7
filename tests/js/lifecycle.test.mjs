// Groups from creation to removal on a development network: three members in one process, which
// talk to each other and to the chain only over HTTP.

import { after, before } from "node:test";

import { executionScenarios } from "./lib/execution.mjs";
import { lifecycleScenarios } from "./lib/lifecycle.mjs";
import { startDev } from "./lib/network.mjs";
import { refusalScenarios } from "./lib/refusals.mjs";
import { ruleScenarios } from "./lib/rules.mjs";

let network;
before(async () => {
  network = await startDev();
});
after(() => network?.stop());

lifecycleScenarios(() => network);
executionScenarios(() => network);
ruleScenarios(() => network);
refusalScenarios(() => network);
