// A child process that listens: started with a deadline, stopped cleanly, its output kept for
// when something goes wrong.

import { spawn } from "node:child_process";

const OUTPUT_BYTES_MAX = 64 * 1024;
const STOP_MS = 30_000;

// Whatever happens to a test, no child survives it.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Process {
  #output = "";
  #ended;
  #leaked;

  /** `secrets` are texts that it must never print: `stop` throws if it did. */
  constructor(program, args, { secrets = [], ...options } = {}) {
    this.name = [program, ...args].join(" ");
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    running.add(this.child);
    const keep = (chunk) => {
      this.#output = (this.#output + chunk).slice(-OUTPUT_BYTES_MAX);
      // With the end of the output before, where a secret may begin.
      const seen = this.#output.slice(-(chunk.length + 256));
      this.#leaked ??= secrets.find((secret) => seen.includes(secret));
    };
    this.child.stdout.on("data", keep);
    this.child.stderr.on("data", keep);
    this.exit = new Promise((resolve) => {
      const end = (outcome) => {
        running.delete(this.child);
        this.#ended ??= outcome;
        resolve(this.#ended);
      };
      this.child.on("error", (error) => end({ error }));
      this.child.on("exit", (code, signal) => end({ code, signal }));
    });
  }

  /** The last of what it printed. */
  get output() {
    return this.#output;
  }

  /** Throws when it has ended; for use in a probe, see `untilReady`. */
  #assertRunning() {
    if (!this.#ended) return;
    const { error, code, signal } = this.#ended;
    const how = error ? error.message : signal ? `ended by ${signal}` : `ended with code ${code}`;
    throw new Error(`${this.name}: ${how}\n${this.#output}`);
  }

  /** Polls `probe` until it gives something truthy; gives up at once when the process ends. */
  async untilReady(probe, deadlineMs = 120_000) {
    const deadline = Date.now() + deadlineMs;
    let last;
    while (Date.now() < deadline) {
      this.#assertRunning();
      try {
        const value = await probe();
        if (value) return value;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${this.name}: not ready in ${deadlineMs} ms: ${last?.message ?? ""}\n${this.#output}`);
  }

  /** Ends it by SIGTERM, and sees to it that it ends cleanly and in time. */
  async stop() {
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_MS);
    const { error, code, signal } = await this.exit;
    clearTimeout(timer);
    if (error) throw error;
    if (signal === "SIGKILL") {
      throw new Error(`${this.name}: still running ${STOP_MS} ms after SIGTERM\n${this.#output}`);
    }
    if (code !== 0) {
      throw new Error(`${this.name}: ended with ${signal ?? `code ${code}`}\n${this.#output}`);
    }
    if (this.#leaked) throw new Error(`${this.name}: printed a secret, ${this.#leaked}`);
  }

  /** Ends it without a warning, as a crash would. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.exit;
  }
}
