// Finds a Chromium for the tests, and installs Debian's where that is allowed. Run by itself it
// prints the path, or says what to install and fails.

import { execFileSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const MAC = ["/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
const PACKAGE = "chromium";

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a Chromium that is there; COTERIE_CHROMIUM wins. */
export function findChromium() {
  const named = process.env.COTERIE_CHROMIUM;
  if (named) {
    if (!isExecutable(named)) throw new Error(`COTERIE_CHROMIUM is ${named}, which is no program`);
    return named;
  }
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/local/bin", "/snap/bin"];
  const paths = directories.filter(Boolean).flatMap((directory) => NAMES.map((name) => join(directory, name)));
  return [...paths, ...MAC].find(isExecutable);
}

/** As `findChromium`, after installing it if need be. Throws one line that says what to do. */
export function requireChromium() {
  const found = findChromium() ?? install();
  if (found) return found;
  throw new Error(`Chromium is missing: install the package "${PACKAGE}" (apt-get install ${PACKAGE}), or set COTERIE_CHROMIUM to a Chrome or Chromium`);
}

/** Debian's package, as root or by a sudo that asks for nothing. */
function install() {
  const root = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    for (const args of [["update"], ["install", "--yes", "--no-install-recommends", PACKAGE]]) {
      const [program, ...rest] = [...root, "apt-get", ...args];
      execFileSync(program, rest, { env: environment, stdio: ["ignore", "ignore", "inherit"] });
    }
  } catch {
    return undefined;
  }
  return findChromium();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(requireChromium());
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
