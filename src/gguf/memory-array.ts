import { unreadable } from "./byte-source.js";
import type { MetadataArray, ScalarType } from "./metadata.js";
import { valueBytes } from "./metadata.js";

type PlainType = Exclude<ScalarType, "string" | "uint64" | "int64">;

/** An array of numbers or truth values that lies in memory and reads like one of a file. */
export function memoryArray(elementType: PlainType, items: readonly (number | boolean)[]): MetadataArray {
  const bytes = encode(elementType, items);
  const path = "memory";
  const origin = {
    path,
    open: async () => ({
      path,
      bytes: bytes.length,
      read: async (target: Uint8Array, position: number) => {
        if (position > bytes.length) throw unreadable(path, new RangeError("past the end"));
        const part = bytes.subarray(position, position + target.byteLength);
        target.set(part);
        return part.length;
      },
      close: async () => {},
    }),
  };
  return { elementType, count: items.length, path, origin, fileOffset: 0, bytes: bytes.length, items };
}

function encode(elementType: PlainType, items: readonly (number | boolean)[]): Buffer {
  const size = valueBytes[elementType];
  const bytes = Buffer.alloc(items.length * size);
  for (const [index, item] of items.entries()) {
    const [value, at] = [Number(item), index * size];
    if (elementType === "float32") bytes.writeFloatLE(value, at);
    else if (elementType === "float64") bytes.writeDoubleLE(value, at);
    else if (elementType.startsWith("int")) bytes.writeIntLE(value, at, size);
    else bytes.writeUIntLE(value, at, size);
  }
  return bytes;
}
