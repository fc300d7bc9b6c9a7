// What this entry throws beside the SDK's own errors, and their texts: callers of web3 1.x match
// on `Returned error: ` and what follows.

import { PrivacyError, type PrivacyErrorOptions } from "../errors.js";

/**
 * A name of web3js-quorum that only GoQuorum has.
 *
 * @example
 * ```ts
 * await web3.ptm.upCheck().catch((error) => show(error.code)); // NOT_SUPPORTED
 * ```
 */
export class NotSupportedError extends PrivacyError {
  override name = "NotSupportedError";
  constructor(message: string, options: PrivacyErrorOptions = {}) {
    super(message, { code: "NOT_SUPPORTED", ...options });
  }
}
