// Waiting: a poll with a deadline. Nothing here or in the tests waits for a fixed time.

const INTERVAL_MS = 20;

/**
 * Calls `probe` until it gives something truthy, and returns that. A probe that throws has not
 * succeeded yet; what it threw last is told when the deadline passes.
 */
export async function eventually(what, probe, deadlineMs = 60_000) {
  const deadline = Date.now() + deadlineMs;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      const why = last ? `: ${last.message}` : "";
      throw new Error(`not within ${deadlineMs} ms: ${what}${why}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
