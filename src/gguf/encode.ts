import { byteChunks, byteStringChunks } from "./arrays.js";
import {
  type MetadataArray,
  type MetadataValue,
  type ScalarType,
  type ScalarValue,
  valueTypes,
} from "./metadata.js";

/** An array to write: as it was read (copied from its file), in memory, or coming in chunks of a known count. */
export type WritableArray =
  | MetadataArray
  | { elementType: ScalarType; items: readonly ScalarValue[] }
  | {
      elementType: ScalarType;
      count: number;
      chunks: () => AsyncIterable<readonly ScalarValue[]> | Iterable<readonly ScalarValue[]>;
    };

export type WritableValue =
  | Exclude<MetadataValue, { type: "array" }>
  | { type: "array"; value: WritableArray };

/** Anything that lists keys and values: a Map, or the `Metadata` of a file. */
export interface WritableMetadata {
  entries(): Iterable<[string, WritableValue]>;
}

/** The bytes of all keys and values, in pieces. */
export async function* encodeMetadata(metadata: WritableMetadata): AsyncGenerator<Uint8Array> {
  for (const [key, entry] of metadata.entries()) {
    yield encodeString(key);
    yield uint32(valueTypes.indexOf(entry.type));
    if (entry.type === "array") yield* encodeArray(entry.value);
    else yield encodeScalar(entry.type, entry.value);
  }
}

async function* encodeArray(array: WritableArray): AsyncGenerator<Uint8Array> {
  const { elementType } = array;
  yield uint32(valueTypes.indexOf(elementType));
  const count = "count" in array ? array.count : array.items.length;
  yield uint64(count);
  if ("chunks" in array) {
    let written = 0;
    for await (const items of array.chunks()) {
      written += items.length;
      yield Buffer.concat(items.map((item) => encodeScalar(elementType, item)));
    }
    if (written !== count) throw new RangeError(`an array of ${count} items was given ${written}`);
  } else if ("fileOffset" in array) {
    if (elementType !== "string") yield* byteChunks(array);
    else
      for await (const strings of byteStringChunks(array))
        yield Buffer.concat(strings.flatMap((bytes) => [uint64(bytes.length), bytes]));
  } else {
    for (const item of array.items) yield encodeScalar(elementType, item);
  }
}

/** A string as GGUF writes it: its length in bytes, then UTF-8. */
export function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([uint64(bytes.length), bytes]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function uint64(value: number | bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** One value; RangeError where its type cannot hold it. */
export function encodeScalar(type: ScalarType, value: ScalarValue): Buffer {
  const bytes = Buffer.alloc(8);
  switch (type) {
    case "string":
      return encodeString(String(value));
    case "bool":
      return Buffer.from([value ? 1 : 0]);
    case "uint8":
      return bytes.subarray(0, bytes.writeUInt8(Number(value)));
    case "int8":
      return bytes.subarray(0, bytes.writeInt8(Number(value)));
    case "uint16":
      return bytes.subarray(0, bytes.writeUInt16LE(Number(value)));
    case "int16":
      return bytes.subarray(0, bytes.writeInt16LE(Number(value)));
    case "uint32":
      return bytes.subarray(0, bytes.writeUInt32LE(Number(value)));
    case "int32":
      return bytes.subarray(0, bytes.writeInt32LE(Number(value)));
    case "float32":
      return bytes.subarray(0, bytes.writeFloatLE(Number(value)));
    case "uint64":
      return bytes.subarray(0, bytes.writeBigUInt64LE(BigInt(value)));
    case "int64":
      return bytes.subarray(0, bytes.writeBigInt64LE(BigInt(value)));
    case "float64":
      return bytes.subarray(0, bytes.writeDoubleLE(Number(value)));
  }
}
