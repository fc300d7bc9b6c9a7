// The packed SDK, installed into a temporary project beside the tools that it is tried with.

import { execFile, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const pkg = join(here, "../..");
const DEADLINE_MS = 600_000;

/** Runs a program to its end; when it fails the error has what it printed. */
export async function execute(program, args, options = {}) {
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: DEADLINE_MS, maxBuffer: 2 ** 26, ...options });
    return stdout;
  } catch (error) {
    const how = error.killed ? `not done in ${DEADLINE_MS} ms` : `code ${error.code}`;
    throw new Error(`${program} ${args.join(" ")}: ${how}\n${error.stdout}\n${error.stderr}`, { cause: error });
  }
}

/** The program that an installed package has under this name. */
export function tool(name) {
  return name === "bun" ? bun() : join(here, "node_modules/.bin", name);
}

/** Bun's program for this machine. Its package puts it in place by an install script; none is run. */
function bun() {
  const platforms = join(here, "node_modules/@oven");
  const programs = readdirSync(platforms).map((name) => join(platforms, name, "bin", process.platform === "win32" ? "bun.exe" : "bun"));
  const runs = (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
  const found = programs.find(runs);
  if (!found) throw new Error(`no package in ${platforms} has a Bun for this machine`);
  return found;
}

/** The shared vectors, as they are in the repository. */
export const vectorsPath = fileURLToPath(new URL("../../../tests/vectors/sdk.json", import.meta.url));
export const vectors = JSON.parse(readFileSync(vectorsPath, "utf8"));

/**
 * Packs the SDK and installs the archive, without a network, into a project in a directory that is
 * gone when the process ends. The packages named in `beside` are there as well.
 */
export async function installPacked(beside = ["viem", "ethers"]) {
  const root = mkdtempSync(join(tmpdir(), "coterie-packed-"));
  process.on("exit", () => rmSync(root, { recursive: true, force: true }));
  const packed = await execute("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", root], { cwd: pkg });
  const [{ filename }] = Object.values(JSON.parse(packed));
  const archive = join(root, filename);
  const project = join(root, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  const quiet = ["--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--legacy-peer-deps"];
  await execute("npm", ["install", ...quiet, archive], { cwd: project });
  for (const name of beside) {
    const at = join(project, "node_modules", name);
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(packageRoot(name), at, "dir");
  }
  cpSync(join(here, "projects"), project, { recursive: true });
  for (const script of ["vectors.mjs"]) cpSync(join(here, script), join(project, script));
  cpSync(vectorsPath, join(project, "sdk.json"));
  return { root, project, archive };
}

/** Where a package is that the tests have: among their own tools, or with the clients under test. */
function packageRoot(name) {
  const places = [here, join(pkg, "../tests/js")].map((dir) => join(dir, "node_modules", name));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new Error(`${name} is not installed: ${places.join(" or ")}`);
  return found;
}
