// Members as separate processes, `coterie run` each, on a public chain that is not ours: anvil.

import { generateKeyPairSync, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { join } from "node:path";

import { EventEmitter } from "./contracts.mjs";
import { Network, coterie, randomGroup, temporaryDirectory } from "./network.mjs";
import { Process } from "./process.mjs";
import { rpc } from "./rpc.mjs";
import { eventually } from "./wait.mjs";

const require = createRequire(import.meta.url);
const CHAIN_ID = 31337;
// Accounts of anvil from here on sign the members' markers; those before are the tests'.
const FIRST_MARKER_ACCOUNT = 5;

/** Starts anvil with a block for every transaction, in the order they came. */
export async function startAnvil(dir) {
  const config = join(dir, "anvil.json");
  const args = ["--port", "0", "--chain-id", `${CHAIN_ID}`, "--order", "fifo", "--config-out", config];
  const anvil = new Process(anvilBinary(), args);
  return anvil.untilReady(() => {
    const port = /Listening on 127\.0\.0\.1:(\d+)/.exec(anvil.output)?.[1];
    if (!port) return undefined;
    const { private_keys: keys } = JSON.parse(readFileSync(config, "utf8"));
    return { process: anvil, url: `http://127.0.0.1:${port}`, accounts: keys.map((privateKey) => ({ privateKey })) };
  });
}

/** The platform's binary, without npm's wrapper in between, so that signals reach anvil itself. */
function anvilBinary() {
  const arch = { x64: "amd64", arm64: "arm64" }[process.arch];
  const exe = process.platform === "win32" ? "anvil.exe" : "anvil";
  const beside = createRequire(require.resolve("@foundry-rs/anvil/package.json"));
  return beside.resolve(`@foundry-rs/anvil-${process.platform}-${arch}/bin/${exe}`);
}

// Below those that systems give to whoever asks for any port, also to connections: a port of ours is
// nobody's before its node listens, nor while its node is down.
const PORTS = [10_000, 32_000];

/**
 * A port for a node of this process: peers must know each other's before any of them starts. Other
 * processes of tests take another one: the UDP port of the same number is held until this one ends.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(...PORTS);
    const held = createSocket("udp4").unref();
    const isOurs = await listens(held, (listening) => held.bind({ port, address: "127.0.0.1", exclusive: true }, listening));
    const server = createServer();
    const isFree = isOurs && (await listens(server, (listening) => server.listen(port, "127.0.0.1", listening)));
    if (isFree) {
      await new Promise((resolve) => server.close(resolve));
      return port;
    }
    if (isOurs) held.close();
  }
}

/** Whether something listens where it is told to; false when that is another's place. */
function listens(it, listen) {
  return new Promise((resolve, reject) => {
    it.once("error", (error) => (["EADDRINUSE", "EACCES"].includes(error.code) ? resolve(false) : reject(error)));
    listen(() => resolve(true));
  });
}

/** A member's process with its files; can be killed and started again. */
class Node {
  constructor(dir, { name, rpcPort, enclavePort, peers, chainUrl, markerKey }) {
    mkdirSync(dir);
    this.url = `http://127.0.0.1:${rpcPort}`;
    const { privateKey } = generateKeyPairSync("x25519");
    const { x, d } = privateKey.export({ format: "jwk" });
    const base64 = (text) => Buffer.from(text, "base64url").toString("base64");
    this.enclaveKey = base64(x);
    const key = { type: "unlocked", data: { bytes: base64(d) } };
    writeFileSync(join(dir, "enclave.key"), JSON.stringify(key), { mode: 0o600 });
    writeFileSync(join(dir, "enclave.pub"), this.enclaveKey);
    writeFileSync(join(dir, "marker.key"), markerKey.replace(/^0x/, ""), { mode: 0o600 });
    const hex = (text) => Buffer.from(text, "base64url").toString("hex");
    // Keys, and what private transactions of the tests carry.
    const calldata = EventEmitter.data("store", 42).replace(/^0x/, "");
    this.secrets = [base64(d), hex(d), markerKey.replace(/^0x/, ""), calldata];
    this.config = join(dir, "node.toml");
    const quoted = (list) => `[${list.map((it) => JSON.stringify(it)).join(", ")}]`;
    writeFileSync(
      this.config,
      `network = "../network.toml"

[node]
name = "${name}"
data_dir = "data"

[chain]
url = "${chainUrl}"
poll_interval_ms = 20

[rpc]
port = ${rpcPort}

[enclave]
port = ${enclavePort}
keys = [{ file = "enclave.key" }]
peers = ${quoted(peers)}

[enclave.timeouts]
announce_interval_ms = 200

[markers]
signing_key_file = "marker.key"
gas_price_max_wei = 10_000_000_000

[log]
filter = "info,coterie_node=trace"
`,
    );
  }

  async start() {
    this.process = new Process(coterie(), ["run", "--config", this.config], { secrets: this.secrets });
    await this.process.untilReady(() => rpc(this.url, "eth_chainId"));
  }

  /** As by a power cut. */
  kill() {
    return this.process.kill();
  }

  stop() {
    return this.process.stop();
  }
}

const genesisToml = ({ address, code }) =>
  `\n[[genesis_accounts]]\naddress = "${address}"\nnonce = 1\ncode = "${code}"\n`;

/** Starts anvil and member nodes beside it. The network's `nodes` can be killed and started. */
export async function startSeparate({ members = 3, genesisAccounts = [] } = {}) {
  const dir = temporaryDirectory();
  const anvil = await startAnvil(dir);
  const definition = `name = "test"\nchain_id = ${CHAIN_ID}\n${genesisAccounts.map(genesisToml).join("")}`;
  writeFileSync(join(dir, "network.toml"), definition);

  const ports = await Promise.all(Array.from({ length: 2 * members }, freePort));
  const enclavePorts = ports.slice(members);
  const nodes = Array.from({ length: members }, (_, i) => {
    const name = `node${i + 1}`;
    return new Node(join(dir, name), {
      name,
      rpcPort: ports[i],
      enclavePort: enclavePorts[i],
      peers: enclavePorts.filter((_, other) => other !== i).map((port) => `http://127.0.0.1:${port}`),
      chainUrl: anvil.url,
      markerKey: anvil.accounts[FIRST_MARKER_ACCOUNT + i].privateKey,
    });
  });
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    // Nothing may outlive a test that did not begin: the test runner would wait for it.
    await Promise.allSettled([...nodes.map((node) => node.process?.kill()), anvil.process.kill()]);
    throw error;
  }

  const described = nodes.map(({ url, enclaveKey }, i) => ({ name: `node${i + 1}`, rpc: url, enclaveKey }));
  const network = new Network(
    {
      chain: { url: anvil.url, chainId: CHAIN_ID },
      members: described,
      accounts: anvil.accounts.slice(0, FIRST_MARKER_ACCOUNT),
    },
    [...nodes, anvil.process],
  );
  network.nodes = nodes;
  // Nodes learn each other's keys after they have started.
  for (const member of network.members) {
    const group = randomGroup();
    await eventually(`${member.name} reaches all others`, () =>
      member.create(group, network.accounts[0], network.members),
    );
  }
  return network;
}
