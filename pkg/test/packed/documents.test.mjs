// Every snippet of the README and the migration page, run with the packed SDK on a development
// network.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { startDev } from "../../../tests/js/lib/network.mjs";
import { describe } from "./describe.mjs";
import { execute, installPacked } from "./project.mjs";

let project;
let network;
before(async () => {
  [{ project }, network] = await Promise.all([installPacked(["viem", "ethers", "web3", "web3js-quorum", "ws"]), startDev()]);
  writeFileSync(join(project, "ready.json"), JSON.stringify(describe(network)));
});
after(() => network?.stop());

/** The fenced blocks of a document, with their kind and the heading they are under. */
function snippets(document) {
  const text = readFileSync(new URL(`../../${document}`, import.meta.url), "utf8");
  const found = [];
  let heading = "";
  let open;
  for (const [at, line] of text.split("\n").entries()) {
    if (open && line === "```") {
      found.push({ ...open, code: open.lines.join("\n") });
      open = undefined;
    } else if (open) open.lines.push(line);
    else if (line.startsWith("```")) open = { kind: line.slice(3), line: at + 1, heading, lines: [] };
    else if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
  }
  assert.equal(open, undefined, `${document}: a block is not closed`);
  return found;
}

async function run(name, code) {
  mkdirSync(join(project, "snippets"), { recursive: true });
  writeFileSync(join(project, "snippets", name), code);
  return execute(process.execPath, [join("snippets", name)], { cwd: project });
}

for (const { kind, line, heading, code } of snippets("README.md")) {
  if (kind !== "js") continue;
  test(`README, line ${line}: ${heading}`, async () => {
    const output = await run(`readme-${line}.mjs`, code);
    const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, text]) => text);
    assert.deepEqual(output.trimEnd().split("\n"), expected);
    assert.ok(expected.length > 0, "a program of the README shows something");
  });
}

test("all blocks of the documents are of a kind that is tried", () => {
  const kinds = (document) => [...new Set(snippets(document).map(({ kind }) => kind))].sort();
  assert.deepEqual(kinds("README.md"), ["js", "sh"]);
  assert.deepEqual(kinds("MIGRATION.md"), ["js compat", "js new", "js old"]);
});

/** What the snippets of the migration page find: a group of two, a contract in it, and a client. */
const GIVEN = `
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createPrivacyClient, legacyGroupId, privateKeySigner } from "@coterie/sdk";
import Compat from "@coterie/sdk/compat";

const require = createRequire(import.meta.url);
const { members: nodes, accounts } = JSON.parse(readFileSync("ready.json", "utf8"));
const [{ rpc: url, enclaveKey }, { enclaveKey: other }, { enclaveKey: newcomer }] = nodes;
const { address } = accounts[0];
const participants = [enclaveKey, other];
const bytecode = "0x7560043611600f575f545f5260205ff35b6004355f55005f526016600af3";
const data = "0x6057361d" + "2a".padStart(64, "0");
const privateKey = accounts[0].privateKey.slice(2);
const setUp = createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(accounts[0].privateKey) });
`;
// The published client reads groups only in the encoding that it makes them in.
const made = (abi) => `
const given = createPrivacyClient({ url, enclaveKey, signer: privateKeySigner(accounts[0].privateKey), groupAbi: "${abi}" });
const { privacyGroupId } = await given.groups.create({ participants });
`;
const DEPLOYED = `
const { address: to } = await setUp.deployContract({ privacyGroupId, data: bytecode });
`;
const SENT = `
const { transactionHash: hash } = await setUp.execute({ privacyGroupId, to, data });
`;
const CLIENTS = {
  "js old": 'const Web3 = require("web3");\nconst Web3Quorum = require("web3js-quorum");\n',
  "js compat": 'const Web3 = require("web3");\nconst Web3Quorum = require("@coterie/sdk/compat");\n',
  "js new": "const client = setUp;\n",
};

/** The snippet with what it uses and does not declare itself. */
function complete({ kind, code }) {
  const declares = (name) => new RegExp(`(const|let) (\\{[^}]*\\b${name}\\b[^}]*\\}|${name}\\b)`).test(code);
  const uses = (name) => new RegExp(`\\b${name}\\b`).test(code) && !declares(name);
  const parts = [GIVEN];
  if (kind === "js new") {
    if (!declares("client")) parts.push(CLIENTS[kind]);
  } else if (!declares("Web3Quorum")) {
    parts.push(CLIENTS[kind]);
    if (!declares("web3")) parts.push("const web3 = new Web3Quorum(new Web3(url));\n");
  }
  if (["privacyGroupId", "to", "hash"].some(uses)) parts.push(made(kind === "js old" ? "bytes32" : "bytes"));
  if (["to", "hash"].some(uses)) parts.push(DEPLOYED);
  if (uses("hash")) parts.push(SENT);
  // One more member, for those that take it out again.
  if (/\bremove/.test(code)) parts.push("await given.groups.add({ privacyGroupId, participants: [newcomer] });\n");
  return `${parts.join("")}${code}\nprocess.exit(0);\n`;
}

for (const snippet of snippets("MIGRATION.md")) {
  test(`MIGRATION, line ${snippet.line}, ${snippet.kind}: ${snippet.heading}`, async () => {
    await run(`migration-${snippet.line}.mjs`, complete(snippet));
  });
}
