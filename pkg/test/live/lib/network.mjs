// `coterie dev`: a public chain and member nodes in one process, for tests of the built package.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createPrivacyClient, memoryNonces, privateKeySigner } from "@coterie/sdk";

import { Process } from "../../../../tests/js/lib/process.mjs";
import { rpc } from "../../../../tests/js/lib/rpc.mjs";

const artifacts = JSON.parse(
  readFileSync(new URL("../../../../tests/contracts/artifacts.json", import.meta.url), "utf8"),
).contracts;

export const { EventEmitter, Reverter, Erc20 } = artifacts;

/** Polling that a test can wait for. */
export const POLLING = { interval: 20, timeout: 120_000 };

/** A directory that is gone when the process ends. */
export function temporaryDirectory() {
  const dir = mkdtempSync(join(tmpdir(), "coterie-sdk-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Starts it; `stop` ends it. In a directory where it was before, it goes on where it stopped. */
export async function startDev({ members = 3, dir = temporaryDirectory() } = {}) {
  const binary = process.env.COTERIE_BIN;
  if (!binary) throw new Error("COTERIE_BIN is not set: run these tests by `cargo xtask test`");
  const readyFile = join(dir, "ready.json");
  rmSync(readyFile, { force: true });
  const args = ["dev", "--members", `${members}`, "--rpc-port", "0"];
  args.push("--datadir", join(dir, "data"), "--ready-file", readyFile);
  const node = new Process(binary, args);
  const ready = await node.untilReady(() => JSON.parse(readFileSync(readyFile, "utf8")));
  const keys = ready.accounts.map(({ privateKey }) =>
    privateKey.startsWith("0x") ? privateKey : `0x${privateKey}`,
  );
  const chain = {
    url: ready.chain.url,
    chainId: BigInt(ready.chain.chainId),
    rpc: (method, ...params) => rpc(ready.chain.url, method, ...params),
    height: async () => BigInt(await chain.rpc("eth_blockNumber")),
    mine: () => chain.rpc("evm_mine"),
  };
  return {
    chain,
    keys,
    members: ready.members.map(({ name, rpc: url, enclaveKey }) => ({ name, url, enclaveKey })),
    /** A client of a member's node, signing with an account's key. */
    client: (member, account = 0, options = {}) =>
      createPrivacyClient({
        url: ready.members[member].rpc,
        enclaveKey: ready.members[member].enclaveKey,
        signer: privateKeySigner(keys[account]),
        polling: POLLING,
        nonces: memoryNonces(),
        ...options,
      }),
    stop: () => node.stop(),
  };
}
