// Two nodes that ask for tokens, with the enclave keys of three tenants.

import { join } from "node:path";

import { GuardedNode, run, startChain } from "../../../../tests/js/lib/auth.mjs";
import { freePort } from "../../../../tests/js/lib/nodes.mjs";
import { temporaryDirectory } from "./network.mjs";

/** Starts them: alice and bob are on the first, carol is on the second; `stop` ends it all. */
export async function startGuarded() {
  const issuer = join(temporaryDirectory(), "issuer");
  run("token", "key", issuer, "--algorithm", "ES256");
  const auth = `algorithm = "ES256"\npublic_key_file = "${issuer}.pub.pem"\nleeway_s = 0\ncalls_per_s = 100000`;
  const chain = await startChain();
  const started = [];
  const stop = async () => {
    for (const each of started) await each.stop();
    await chain.process.stop();
  };
  const sign = (key, seconds) => {
    const args = ["--key", `${issuer}.key.pem`, "--algorithm", "ES256", "--permission", "*:*"];
    return run("token", "sign", ...args, "--privacy-user-id", key, "--expires-in", `${seconds}`);
  };
  try {
    const ports = [await freePort(), await freePort()];
    for (const [at, names] of [["alice", "bob"], ["carol"]].entries()) {
      const peers = `peers = ["http://127.0.0.1:${ports[1 - at]}"]`;
      const enclave = `port = ${ports[at]}\n${peers}\ntimeouts.announce_interval_ms = 200`;
      started.push(await GuardedNode.start(chain, auth, {}, names, enclave));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const member = ({ url, keys }, at) => ({
    url,
    enclaveKey: keys[at],
    /** What a token of its own says in a header. */
    headers: (seconds = 600) => ({ authorization: `Bearer ${sign(keys[at], seconds)}` }),
  });
  const [first, second] = started;
  return { alice: member(first, 0), bob: member(first, 1), carol: member(second, 0), stop };
}
