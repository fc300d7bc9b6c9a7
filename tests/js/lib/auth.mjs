// A node that asks for tokens, beside a development chain, and issuers that are not ours.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { coterie, temporaryDirectory } from "./network.mjs";
import { freePort } from "./nodes.mjs";
import { Process } from "./process.mjs";

const TIMEOUT_MS = 120_000;

/** Runs the command line, and gives what it prints. */
export const run = (...args) => execFileSync(coterie(), args, { encoding: "utf8" }).trim();

/** A chain, for nodes that have none of their own. */
export async function startChain() {
  const ready = join(temporaryDirectory(), "ready.json");
  const args = ["dev", "--members", "1", "--rpc-port", "0", "--ready-file", ready];
  const process = new Process(coterie(), args);
  const { chain } = await process.untilReady(() => JSON.parse(readFileSync(ready, "utf8")));
  return { process, ...chain };
}

/** A node with some enclave keys and an `[rpc.auth]` section. */
export class GuardedNode {
  /** `auth` and `enclave` are lines of those sections; `files` are written beside the configuration. */
  static async start(chain, auth, files = {}, names = ["a", "b"], enclave = "port = 0") {
    const dir = temporaryDirectory();
    const node = new GuardedNode();
    node.dir = dir;
    mkdirSync(join(dir, "data"));
    node.keys = names.map((name) => run("keys", "generate", join(dir, name)));
    const all = typeof files === "function" ? files(node.keys) : files;
    for (const [name, text] of Object.entries(all)) writeFileSync(join(dir, name), text);
    writeFileSync(join(dir, "network.toml"), `name = "dev"\nchain_id = ${chain.chainId}\n`);
    const port = await freePort();
    node.url = `http://127.0.0.1:${port}`;
    node.config = join(dir, "node.toml");
    writeFileSync(
      node.config,
      `network = "network.toml"

[node]
data_dir = "data"

[chain]
url = "${chain.url}"
poll_interval_ms = 20

[rpc]
port = ${port}

[rpc.auth]
${auth}

[enclave]
${enclave}
keys = [${names.map((name) => `{ file = "${name}.key" }`).join(", ")}]

[log]
filter = "info,coterie_node=trace"
`,
    );
    node.process = new Process(coterie(), ["run", "--config", node.config]);
    await node.process.untilReady(async () => (await fetch(`${node.url}/readyz`)).ok);
    return node;
  }

  path(name) {
    return join(this.dir, name);
  }

  /** Posts a body. Gives the status, the headers and the answer as text and JSON. */
  async post(token, body, path = "/") {
    const headers = { "content-type": "application/json" };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    const response = await fetch(this.url + path, {
      method: "POST",
      headers,
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      // Not everything is JSON.
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  call(token, method, ...params) {
    return this.post(token, request(method, ...params));
  }

  stop() {
    return this.process.stop();
  }
}

export const request = (method, ...params) => ({ jsonrpc: "2.0", id: 7, method, params });
