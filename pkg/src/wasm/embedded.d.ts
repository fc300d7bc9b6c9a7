/** The size of the core and its bytes, deflated, in base64. */
type EmbeddedCore = readonly [size: number, text: string];

/** What the conditions of `#core` resolve to. */
declare module "#core" {
  const core: EmbeddedCore | WebAssembly.Module;
  export default core;
}
