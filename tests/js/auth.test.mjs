// Tokens over HTTP, by the real binary, against an independent library: jose.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as jose from "jose";

import { GuardedNode, request, run, startChain } from "./lib/auth.mjs";
import { temporaryDirectory } from "./lib/network.mjs";
import { eventually } from "./lib/wait.mjs";

const PUBLIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"];
const SECRET = "a shared secret of thirty-two bytes or more";
const OWN = "priv_getPrivacyPrecompileAddress";
const UNAUTHORIZED =
  '{"jsonrpc":"2.0","id":null,"error":{"code":-40100,"message":"Unauthorized","data":{"code":"UNAUTHORIZED"}}}';

let chain;
before(async () => {
  chain = await startChain();
});
after(() => chain?.process.stop());

const now = () => Math.floor(Date.now() / 1000);

/** A token by jose. Members of `claims` that are undefined are left out. */
function sign(key, alg, claims, header = {}) {
  const all = { permissions: ["priv:*", "eth:chainId"], exp: now() + 600, ...claims };
  return new jose.SignJWT(all).setProtectedHeader({ alg, ...header }).sign(key);
}

function temporaryFile(text) {
  const path = join(temporaryDirectory(), "file");
  writeFileSync(path, text);
  return path;
}

async function withNode(auth, files, work) {
  const node = await GuardedNode.start(chain, auth, files);
  try {
    await work(node);
  } finally {
    await node.stop();
  }
}

/** A node that takes tokens of an ES256 key, whose private part is handed over. */
async function withIssuer(work, more = "") {
  const { publicKey, privateKey } = await jose.generateKeyPair("ES256");
  const auth = `algorithm = "ES256"\npublic_key_file = "issuer.pem"\n${more}`;
  const pem = await jose.exportSPKI(publicKey);
  await withNode(auth, { "issuer.pem": pem }, (node) => {
    const token = (claims, header) => sign(privateKey, "ES256", claims, header);
    return work(node, token, pem);
  });
}

for (const alg of PUBLIC) {
  test(`${alg}: jose's tokens are taken here, and ours by jose`, async () => {
    const { publicKey, privateKey } = await jose.generateKeyPair(alg);
    const files = { "issuer.pem": await jose.exportSPKI(publicKey) };
    const auth = `algorithm = "${alg}"\npublic_key_file = "issuer.pem"`;
    await withNode(auth, files, async (node) => {
      const privacyUserId = node.keys[0];
      const good = await node.call(await sign(privateKey, alg, { privacyUserId }), OWN);
      assert.equal(good.status, 200, good.text);
      assert.match(good.json.result, /^0x[0-9a-f]{40}$/);
      const { privateKey: stranger } = await jose.generateKeyPair(alg);
      const bad = await node.call(await sign(stranger, alg, { privacyUserId }), OWN);
      assert.deepEqual([bad.status, bad.text], [401, UNAUTHORIZED]);

      const path = node.path("ours");
      run("token", "key", path, "--algorithm", alg);
      const args = ["token", "sign", "--key", `${path}.key.pem`, "--algorithm", alg];
      const ours = run(...args, "--privacy-user-id", privacyUserId, "--permission", "priv:*", "--audience", "x");
      const options = { algorithms: [alg], audience: "x", requiredClaims: ["exp"] };
      const pem = await jose.importSPKI(readFileSync(`${path}.pub.pem`, "utf8"), alg);
      const { payload, protectedHeader } = await jose.jwtVerify(ours, pem, options);
      assert.equal(payload.privacyUserId, privacyUserId);
      const set = JSON.parse(readFileSync(`${path}.jwks.json`, "utf8"));
      await jose.jwtVerify(ours, jose.createLocalJWKSet(set), options);
      assert.equal(await jose.calculateJwkThumbprint(set.keys[0]), protectedHeader.kid);
    });
  });
}

test("HS256: a shared secret works both ways", async () => {
  const secret = new TextEncoder().encode(SECRET);
  const auth = 'algorithm = "HS256"\nsecret_file = "secret"';
  await withNode(auth, { secret: `${SECRET}\n` }, async (node) => {
    const [privacyUserId] = node.keys;
    assert.equal((await node.call(await sign(secret, "HS256", { privacyUserId }), OWN)).status, 200);
    const wrong = new TextEncoder().encode(`${SECRET}\n`);
    assert.equal((await node.call(await sign(wrong, "HS256", { privacyUserId }), OWN)).status, 401);
    const args = ["--algorithm", "HS256", "--permission", "*:*"];
    const ours = run("token", "sign", "--key", node.path("secret"), ...args);
    await jose.jwtVerify(ours, secret, { algorithms: ["HS256"] });
  });
});

test("whatever is wrong with a token, the answer is the same", async () => {
  await withIssuer(async (node, token, pem) => {
    const [privacyUserId] = node.keys;
    const good = await token({ privacyUserId });
    assert.equal((await node.call(good, OWN)).status, 200);
    const claims = { permissions: ["*:*"], privacyUserId, exp: now() + 600 };
    const unsecured = new jose.UnsecuredJWT(claims).encode();
    const [header, payload, signature] = good.split(".");
    const own = await jose.generateKeyPair("ES256", { extractable: true });
    const hostile = {
      none: unsecured,
      "none, with a signature": `${unsecured}${signature}`,
      "HS256 with the public key": await sign(new TextEncoder().encode(pem), "HS256", claims),
      "psychic signature": `${header}.${payload}.${Buffer.alloc(64).toString("base64url")}`,
      "a key of its own": await sign(own.privateKey, "ES256", claims, {
        jwk: await jose.exportJWK(own.publicKey),
      }),
      "other claims": `${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${signature}`,
      expired: await token({ privacyUserId, exp: now() - 60 }),
      "without exp": await token({ privacyUserId, exp: undefined }),
      "not yet": await token({ privacyUserId, nbf: now() + 600 }),
      "a foreign enclave key": await token({ privacyUserId: Buffer.alloc(32, 1).toString("base64") }),
      "no enclave key": await token({ privacyUserId: "x" }),
      "more than 8 KiB": await token({ privacyUserId, x: "x".repeat(9000) }),
      nonsense: "nonsense",
      empty: "",
    };
    const bodies = {
      own: request(OWN),
      chain: request("eth_chainId"),
      unknown: request("priv_x"),
      batch: [request(OWN), request("eth_chainId")],
      notification: { jsonrpc: "2.0", method: OWN },
      broken: "{",
    };
    const check = async (name, sent, body) => {
      const { status, text, headers } = await node.post(sent, body);
      assert.deepEqual([status, text], [401, UNAUTHORIZED], name);
      assert.equal(headers.get("www-authenticate"), "Bearer", name);
    };
    for (const [name, sent] of Object.entries(hostile)) await check(name, sent, bodies.own);
    for (const [name, body] of Object.entries(bodies)) {
      await check(`${name} without a token`, undefined, body);
      await check(`${name} with a bad token`, hostile.none, body);
    }
    assert.equal((await node.call(good, OWN)).status, 200);
  });
});

test("without a token there are health checks only", async () => {
  await withIssuer(async (node) => {
    for (const path of ["/", "/livez", "/readyz"]) assert.ok((await fetch(node.url + path)).ok, path);
    assert.equal((await node.post(undefined, "{}", "/login")).status, 404);
  });
});

test("permissions and enclave keys decide call by call", async () => {
  await withIssuer(async (node, token) => {
    const [privacyUserId, other] = node.keys;
    const check = async (sent, method, status, code, word) => {
      const answer = await node.call(sent, method);
      const { error } = answer.json;
      assert.deepEqual([answer.status, error?.code, error?.data?.code], [status, code, word], answer.text);
    };
    const good = await token({ privacyUserId });
    await check(good, OWN, 200);
    await check(good, "eth_chainId", 200);
    await check(good, "eth_blockNumber", 401, -40100, "NOT_PERMITTED");
    await check(good, "eea_sendRawTransaction", 401, -40100, "NOT_PERMITTED");
    await check(good, "priv_x", 200, -32601, "METHOD_NOT_FOUND");
    await check(good, "coterie_x", 401, -40100, "NOT_PERMITTED");

    const keyless = await token({ permissions: ["*:*"] });
    await check(keyless, "eth_chainId", 200);
    for (const method of [OWN, "eea_sendRawTransaction", "privx_x", "coterie_heal"]) {
      await check(keyless, method, 400, -32600, "NO_ENCLAVE_KEY");
    }
    assert.equal((await node.call(keyless, OWN)).json.error.message, "Invalid Request");
    await check(await token({ privacyPublicKey: other }), OWN, 200);
    await check(await token({ privacyUserId, permissions: undefined }), OWN, 401, -40100, "NOT_PERMITTED");

    // What is for operators is not in `*:*`.
    const group = Buffer.alloc(32, 1).toString("base64");
    const heal = async (permissions) => {
      const { json } = await node.call(await token({ privacyUserId, permissions }), "coterie_heal", group);
      return json.error.data.code;
    };
    assert.equal(await heal(["*:*"]), "NOT_PERMITTED");
    assert.equal(await heal(["coterie:heal"]), "GROUP_UNKNOWN");

    const { status, json } = await node.post(good, [request(OWN), request("eth_blockNumber"), request("eth_chainId")]);
    assert.equal(status, 200);
    assert.deepEqual(json.map((it) => it.error?.code), [undefined, -40100, undefined]);

    writeFileSync(node.path("token"), `${await token({ privacyUserId, permissions: ["coterie:heal"] })}\n`);
    const command = ["heal", group, "--rpc", node.url];
    const failure = (...more) => {
      try {
        return run(...command, ...more);
      } catch (error) {
        return error.stderr;
      }
    };
    assert.match(failure(), /--token-file/);
    assert.match(failure("--token-file", node.path("token")), /knows nothing of this group/);
  });
});

test("a login gives a token that is good here and signed as it says", async () => {
  const password = "pegasys";
  const dir = { "users.toml": "" };
  const hash = run("token", "password", "--cost", "4", "--password-file", temporaryFile(password));
  const keyed = (key) =>
    `[Users.alice]\npassword = "${hash}"\npermissions = ["priv:*"]\nprivacyPublicKey = "${key}"\n`;
  dir["users.toml"] = keyed(Buffer.alloc(32, 9).toString("base64"));
  const auth = 'credentials_file = "users.toml"\nrefresh_interval_ms = 20\nlogin_attempts_per_user_per_min = 3';
  await withNode(auth, dir, async (node) => {
    const login = (body) => node.post(undefined, body, "/login");
    const right = { username: "alice", password };
    // The user's key is another node's: no token of hers is good.
    const early = (await login(right)).json.token;
    assert.equal((await node.call(early, OWN)).status, 401);

    writeFileSync(node.path("users.toml"), keyed(node.keys[1]));
    const token = await eventually("the file is read again", async () => {
      const { json } = await login(right);
      return (await node.call(json.token, OWN)).status === 200 && json.token;
    });
    const { alg } = jose.decodeProtectedHeader(token);
    const claims = jose.decodeJwt(token);
    assert.equal(alg, "RS256");
    assert.equal(claims.exp - claims.iat, 300);
    assert.equal(claims.privacyPublicKey, node.keys[1]);
    assert.deepEqual(claims.permissions, ["priv:*"]);
    assert.equal((await node.call(token, "eth_chainId")).status, 401);
    assert.equal((await node.call(early, OWN)).status, 401);

    const required = "Authentication failed: username and password are required.";
    for (const body of ["", "{", "[]", "{}", { username: "alice" }, { password }, { username: 1, password }]) {
      const { status, text } = await login(body);
      assert.deepEqual([status, text], [400, required]);
    }
    assert.equal((await login(JSON.stringify({ ...right, more: "x".repeat(5000) }))).status, 400);
    const wrong = { username: "alice", password: "Pegasys" };
    const unknown = { username: "bob", password };
    for (const body of [wrong, unknown]) {
      const { status, text } = await login(body);
      const want = "Authentication failed: the username or password is incorrect.";
      assert.deepEqual([status, text], [401, want]);
    }
    await login(wrong);
    await login(wrong);
    const refused = await login(right);
    assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "60"]);

    writeFileSync(node.path("users.toml"), keyed(node.keys[1]).replace("alice", "carol"));
    await eventually("who is gone is out", async () => (await node.call(token, OWN)).status === 401);
  });
});

test("keys rotate behind a URL", async () => {
  const [old, next] = await Promise.all(
    ["old", "new"].map(async (kid) => {
      const { publicKey, privateKey } = await jose.generateKeyPair("RS256");
      return { kid, privateKey, jwk: { ...(await jose.exportJWK(publicKey)), kid, alg: "RS256", use: "sig" } };
    }),
  );
  let published = [old.jwk];
  const server = createServer((_, response) => {
    if (!published) response.writeHead(500).end();
    else response.end(JSON.stringify({ keys: published }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const auth = `jwks_url = "http://127.0.0.1:${server.address().port}/jwks"\nrefresh_interval_ms = 20`;
    await withNode(auth, {}, async (node) => {
      const [privacyUserId] = node.keys;
      const status = async ({ kid, privateKey }) =>
        (await node.call(await sign(privateKey, "RS256", { privacyUserId }, { kid }), OWN)).status;
      await eventually("the set is fetched", async () => (await status(old)) === 200);
      assert.equal(await status(next), 401);
      published = [next.jwk, old.jwk];
      await eventually("the new key is there", async () => (await status(next)) === 200);
      assert.equal(await status(old), 200);
      published = undefined;
      assert.equal(await status({ ...next, kid: "unknown" }), 401);
      assert.deepEqual([await status(old), await status(next)], [200, 200]);
      published = [next.jwk];
      await eventually("the old key is gone", async () => (await status(old)) === 401);
      assert.equal(await status(next), 200);
      assert.equal(await status({ ...old, kid: "new" }), 401);
    });
  } finally {
    server.close();
  }
});

test("one tenant's flood is told to slow down, and another's calls go on", async () => {
  await withIssuer(async (node, token) => {
    const [a, b] = await Promise.all(node.keys.map((privacyUserId) => token({ privacyUserId })));
    const flood = Array.from({ length: 500 }, () => request(OWN));
    const answers = await node.post(a, flood);
    assert.equal(answers.status, 200);
    const refused = answers.json.filter((it) => it.error?.data?.code === "TOO_MANY_REQUESTS");
    assert.ok(refused.length >= 100, `${refused.length}`);
    assert.ok(refused.every((it) => it.error.code === -32005));
    const { status, headers, json } = await eventually("a single call is refused, too", async () => {
      await node.post(a, flood);
      const answer = await node.call(a, OWN);
      return answer.status === 429 && answer;
    });
    assert.deepEqual([status, headers.get("retry-after"), json.id], [429, "1", 7]);
    assert.equal((await node.call(b, OWN)).status, 200);
    await eventually("it goes on", async () => (await node.call(a, OWN)).status === 200);
  }, "calls_per_s = 20");
});

test("a configuration is checked without showing its secrets", async () => {
  await withNode('algorithm = "HS256"\nsecret_file = "secret"', { secret: SECRET }, async (node) => {
    const shown = run("config", "check", "--config", node.config);
    assert.match(shown, /tokens are verified by HS256, keys: 1/);
    assert.ok(!shown.includes(SECRET));
    writeFileSync(node.path("secret"), "short");
    assert.throws(() => run("config", "check", "--config", node.config), /at least 32 bytes/);
  });
});
