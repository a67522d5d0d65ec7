import type { ByteOrigin, ByteSource } from "../../gguf/byte-source.js";
import type { MetadataArray, ScalarType } from "../../gguf/metadata.js";

/**
 * Metadata arrays that lie in memory, encoded as a GGUF file has them: what reads an array of a file reads these. Tokens
 * keep their bytes, which need not be UTF-8. `path` is what errors name.
 */
export function stringArray(path: string, texts: readonly Uint8Array[]): MetadataArray {
  const bytes = Buffer.alloc(texts.reduce((sum, text) => sum + 8 + text.length, 0));
  let at = 0;
  for (const text of texts) {
    bytes.writeUInt32LE(text.length, at);
    bytes.set(text, at + 8);
    at += 8 + text.length;
  }
  return arrayOf(path, "string", texts.length, bytes);
}

export function floatArray(path: string, values: ArrayLike<number>): MetadataArray {
  const bytes = Buffer.alloc(4 * values.length);
  for (let index = 0; index < values.length; index++) bytes.writeFloatLE(values[index]!, 4 * index);
  return arrayOf(path, "float32", values.length, bytes);
}

export function integerArray(path: string, values: ArrayLike<number>): MetadataArray {
  const bytes = Buffer.alloc(4 * values.length);
  for (let index = 0; index < values.length; index++) bytes.writeInt32LE(values[index]!, 4 * index);
  return arrayOf(path, "int32", values.length, bytes);
}

function arrayOf(path: string, elementType: ScalarType, count: number, bytes: Buffer): MetadataArray {
  const origin: ByteOrigin = { path, open: async () => sourceOf(path, bytes) };
  return { elementType, count, path, origin, fileOffset: 0, bytes: bytes.length };
}

function sourceOf(path: string, bytes: Buffer): ByteSource {
  return {
    path,
    bytes: bytes.length,
    read: async (target, position) => {
      const part = bytes.subarray(position, position + target.byteLength);
      target.set(part);
      return part.length;
    },
    close: async () => {},
  };
}
