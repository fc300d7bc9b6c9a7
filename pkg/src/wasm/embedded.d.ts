/** The size of the core, the core packed by LZMA, and the module that unpacks it, in base64. */
type EmbeddedCore = readonly [size: number, packed: string, unpacker: string];

/** What the conditions of `#core` resolve to. */
declare module "#core" {
  const core: EmbeddedCore | WebAssembly.Module;
  export default core;
}
