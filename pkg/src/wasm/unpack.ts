/**
 * Unpacks the embedded core with the small module that comes with it (`build/unpack.wat`).
 */
export function unpack([size, packed, unpacker]: EmbeddedCore): Uint8Array<ArrayBuffer> {
  const module = new WebAssembly.Module(bytesOf(unpacker));
  const { memory, unpack } = new WebAssembly.Instance(module).exports as unknown as {
    memory: WebAssembly.Memory;
    unpack(input: number, output: number, end: number): void;
  };
  const input = bytesOf(packed);
  const start = memory.buffer.byteLength;
  const end = start + input.length + size;
  memory.grow(Math.ceil((end - start) / 65536));
  new Uint8Array(memory.buffer).set(input, start);
  unpack(start, start + input.length, end);
  return new Uint8Array(memory.buffer as ArrayBuffer, start + input.length, size);
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = binary.charCodeAt(index);
  }
  return bytes;
}
