/** What the conditions of `#core` resolve to. */
declare module "#core" {
  const core: string | WebAssembly.Module;
  export default core;
}
