// What bundles of old libraries expect to be global.
export { Buffer } from "buffer";
export const process = { env: {}, version: "", browser: true, nextTick: (call) => queueMicrotask(call) };
