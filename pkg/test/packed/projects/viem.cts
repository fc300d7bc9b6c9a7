// Type-checked only: the entry for viem from CommonJS.

import { privacyActions } from "@coterie/sdk/viem";

export const actions: object = privacyActions({});
