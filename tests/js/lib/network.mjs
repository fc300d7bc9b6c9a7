// A network under test: a public chain and members' nodes, reached only by their URLs. Tests do
// not know whether it is `coterie dev` or separate nodes on somebody else's chain.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { privateKeyToAccount } from "viem/accounts";

import { PrivateTransaction, web3Quorum } from "./clients.mjs";
import { MANAGEMENT, management } from "./contracts.mjs";
import { Process } from "./process.mjs";
import { rpc, rpcError } from "./rpc.mjs";
import { eventually } from "./wait.mjs";

const GAS_LIMIT = 3_000_000;

/** The binary under test; `cargo xtask` says which. */
export function coterie() {
  const path = process.env.COTERIE_BIN;
  if (!path) throw new Error("COTERIE_BIN is not set: run these tests by `cargo xtask test`");
  return path;
}

const temporary = [];
process.on("exit", () => temporary.forEach((dir) => rmSync(dir, { recursive: true, force: true })));

/** A directory that is gone when the process ends. */
export function temporaryDirectory() {
  const dir = mkdtempSync(join(tmpdir(), "coterie-"));
  temporary.push(dir);
  return dir;
}

/** A fresh group id. */
export const randomGroup = () => randomBytes(32).toString("base64");

/** A public account of the test network. */
export class Account {
  constructor(privateKey) {
    /** With 0x, as most clients want it. */
    this.privateKey = privateKey.startsWith("0x") ? privateKey : `0x${privateKey}`;
    /** Without, as web3js-quorum wants it. */
    this.bareKey = this.privateKey.slice(2);
    /** Lower case. */
    this.address = privateKeyToAccount(this.privateKey).address.toLowerCase();
  }
}

/** The public chain. */
export class Chain {
  constructor(url, chainId) {
    this.url = url;
    this.chainId = Number(chainId);
  }

  rpc(method, ...params) {
    return rpc(this.url, method, ...params);
  }

  /** The head's number. */
  async height() {
    return Number(await this.rpc("eth_blockNumber"));
  }

  /** Makes one block with what is pending. */
  mine() {
    return this.rpc("evm_mine");
  }

  /** Makes empty blocks up to this height. */
  async mineTo(height) {
    while ((await this.height()) < height) await this.mine();
  }

  /** Runs `action` while no block is made, then makes one block of all it sent. */
  async inOneBlock(action) {
    await this.rpc("evm_setAutomine", false);
    try {
      const result = await action();
      await this.mine();
      return result;
    } finally {
      await this.rpc("evm_setAutomine", true);
    }
  }

  /** Whether a transaction is known and not mined. */
  async isPending(hash) {
    const transaction = await this.rpc("eth_getTransactionByHash", hash);
    return transaction !== null && (transaction.blockHash ?? null) === null;
  }

  /** The public receipt, once mined. */
  receipt(hash) {
    return eventually(`${hash} is mined`, () => this.rpc("eth_getTransactionReceipt", hash));
  }
}

/** One member: its node's URL, its enclave key, and the npm client bound to both. */
export class Member {
  constructor({ name, rpc: url, enclaveKey }, chain) {
    this.name = name;
    this.url = url;
    this.enclaveKey = enclaveKey;
    this.chain = chain;
    this.web3 = web3Quorum(url);
  }

  rpc(method, ...params) {
    return rpc(this.url, method, ...params);
  }

  rpcError(method, ...params) {
    return rpcError(this.url, method, ...params);
  }

  /** The next private nonce of an account in a group. */
  async nonce(group, account) {
    return Number(await this.rpc("priv_getTransactionCount", account.address, group));
  }

  /** A signed private transaction as hex, made by the npm package's own code. */
  async sign({ group, account, to, data = "0x", nonce, privateFrom = this.enclaveKey, restriction = "restricted" }) {
    const tx = new PrivateTransaction();
    tx.nonce = nonce ?? (await this.nonce(group, account));
    tx.gasPrice = 1000;
    tx.gasLimit = GAS_LIMIT;
    tx.to = to;
    tx.value = 0;
    tx.data = data;
    tx._chainId = this.chain.chainId;
    tx.privateFrom = privateFrom;
    tx.privacyGroupId = group;
    tx.restriction = restriction;
    tx.sign(Buffer.from(account.bareKey, "hex"));
    return `0x${tx.serialize().toString("hex")}`;
  }

  /** Sends a private transaction and returns the marker's hash without waiting. */
  async send(transaction) {
    return this.rpc("eea_sendRawTransaction", await this.sign(transaction));
  }

  /** Sends a private transaction that must be refused, and returns the error. */
  async sendError(transaction) {
    return this.rpcError("eea_sendRawTransaction", await this.sign(transaction));
  }

  /** The private receipt, once there is one. */
  receipt(hash) {
    return eventually(`${this.name} has the private receipt of ${hash}`, () =>
      this.rpc("priv_getTransactionReceipt", hash),
    );
  }

  /** Sends, waits, and returns the private receipt with whatever status it has. */
  async execute(transaction) {
    return this.receipt(await this.send(transaction));
  }

  /** The same, and the status must be 0x1. */
  async succeed(transaction) {
    const receipt = await this.execute(transaction);
    if (receipt.status !== "0x1") {
      throw new Error(`${this.name}: should have succeeded: ${JSON.stringify(receipt)}`);
    }
    return receipt;
  }

  /** A private call's raw output. */
  call(group, to, data, block = "latest") {
    return this.rpc("priv_call", group, { to, data }, block);
  }

  stateRoot(group, block = "latest") {
    return this.rpc("priv_debugGetStateRoot", group, block);
  }

  /** The group as this node knows it, or undefined. */
  async findGroup(group, keys = []) {
    const found = await this.rpc("privx_findFlexiblePrivacyGroup", keys);
    return found.find(({ privacyGroupId }) => privacyGroupId === group);
  }

  // What one does to a group: each sends through this node, waits, and returns the receipt.

  create(group, account, members) {
    const data = management.addParticipants(members.map(({ enclaveKey }) => enclaveKey));
    return this.succeed({ group, account, to: MANAGEMENT, data, nonce: 0 });
  }

  lock(group, account) {
    return this.succeed({ group, account, to: MANAGEMENT, data: management.lock });
  }

  unlock(group, account) {
    return this.succeed({ group, account, to: MANAGEMENT, data: management.unlock });
  }

  /** Adds members to a group that is locked already. */
  add(group, account, members) {
    const data = management.addParticipants(members.map(({ enclaveKey }) => enclaveKey));
    return this.succeed({ group, account, to: MANAGEMENT, data });
  }

  remove(group, account, member) {
    const data = management.removeParticipant(member.enclaveKey);
    return this.succeed({ group, account, to: MANAGEMENT, data });
  }

  deploy(group, account, contract, ...args) {
    return this.succeed({ group, account, data: contract.creation(...args) });
  }
}

/** A chain, members and funded accounts; `stop` ends what was started for it. */
export class Network {
  constructor({ chain, members, accounts }, processes) {
    this.chain = new Chain(chain.url, chain.chainId);
    this.members = members.map((member) => new Member(member, this.chain));
    this.accounts = accounts.map(({ privateKey }) => new Account(privateKey));
    this.processes = processes;
  }

  async stop() {
    for (const each of this.processes) await each.stop();
  }
}

/** Starts `coterie dev`: a development chain and member nodes in one process. */
export async function startDev({ members = 3, blockTimeMs } = {}) {
  const dir = temporaryDirectory();
  const readyFile = join(dir, "ready.json");
  const args = ["dev", "--members", `${members}`, "--rpc-port", "0"];
  args.push("--datadir", join(dir, "data"), "--ready-file", readyFile);
  if (blockTimeMs !== undefined) args.push("--block-time", `${blockTimeMs}`);
  const node = new Process(coterie(), args);
  const ready = await node.untilReady(() => JSON.parse(readFileSync(readyFile, "utf8")));
  return new Network(ready, [node]);
}
