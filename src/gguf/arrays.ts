import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import { FileWindow } from "./file-window.js";
import { type MetadataArray, type ScalarType, type ScalarValue, valueBytes } from "./metadata.js";

const problems = localized(ggufProblems);
const chunkBytes = 64 * 1024;

/** Longest string element read from an array, in bytes; longer ones are no token of any vocabulary. */
export const longestElementBytes = 16 * 1024 * 1024;

/** The strings of an array, read from its file in chunks of at most `chunkItems`, or 1 MiB. */
export async function* stringChunks(array: MetadataArray, chunkItems = 1024): AsyncGenerator<string[]> {
  for await (const chunk of byteStringChunks(array, chunkItems))
    yield chunk.map((bytes) => bytes.toString("utf8"));
}

/** As `stringChunks`, without decoding: tokens may hold bytes that are no UTF-8. */
export async function* byteStringChunks(array: MetadataArray, chunkItems = 1024): AsyncGenerator<Buffer[]> {
  if (array.elementType !== "string") throw wrongElement(array, "string");
  const window = await FileWindow.open(array.origin ?? array.path, array.countBytes);
  try {
    window.seek(array.fileOffset);
    for (let left = array.count; left > 0; ) {
      const chunk: Buffer[] = [];
      let bytes = 0;
      while (left > 0 && chunk.length < chunkItems && bytes < 2 ** 20) {
        const items = Math.min(left, 64, chunkItems - chunk.length);
        await window.eachString(items, "string", longestElementBytes, (text) => {
          chunk.push(Buffer.from(text));
          bytes += text.length;
        });
        left -= items;
      }
      yield chunk;
    }
  } finally {
    await window.close();
  }
}

/**
 * Shows every string of an array to `visit` as bytes, which are only valid until it returns. The fastest way to look
 * at a vocabulary once.
 */
export async function eachByteString(
  array: MetadataArray,
  visit: (bytes: Buffer, index: number) => void,
): Promise<void> {
  if (array.elementType !== "string") throw wrongElement(array, "string");
  const window = await FileWindow.open(array.origin ?? array.path, array.countBytes);
  try {
    window.seek(array.fileOffset);
    await window.eachString(array.count, "string", longestElementBytes, visit);
  } finally {
    await window.close();
  }
}

/** The numbers of an array, read from its file in chunks. 64-bit integers lose precision past 2⁵³; bool is 0 or 1. */
export async function* numberChunks(array: MetadataArray): AsyncGenerator<number[]> {
  const { elementType } = array;
  if (elementType === "string") throw wrongElement(array, "number");
  for await (const bytes of byteChunks(array)) {
    yield decodeScalars(elementType, bytes).map((value) => Number(value));
  }
}

/** The bytes of an array of fixed-size elements, in chunks of whole elements. */
export async function* byteChunks(array: MetadataArray): AsyncGenerator<Buffer> {
  if (array.elementType === "string") throw wrongElement(array, "number");
  const window = await FileWindow.open(array.origin ?? array.path);
  try {
    window.seek(array.fileOffset);
    for (let left = array.bytes; left > 0; ) {
      const part = Math.min(left, chunkBytes);
      yield await window.take(part, "array");
      left -= part;
    }
  } finally {
    await window.close();
  }
}

/** Decodes little-endian values of one fixed-size type. */
export function decodeScalars(
  type: Exclude<ScalarType, "string">,
  bytes: Buffer,
): Exclude<ScalarValue, string>[] {
  const size = valueBytes[type];
  const values = new Array<Exclude<ScalarValue, string>>(bytes.length / size);
  for (let index = 0; index < values.length; index++) values[index] = decode[type](bytes, index * size);
  return values;
}

const decode: Record<
  Exclude<ScalarType, "string">,
  (bytes: Buffer, offset: number) => Exclude<ScalarValue, string>
> = {
  uint8: (bytes, offset) => bytes.readUInt8(offset),
  int8: (bytes, offset) => bytes.readInt8(offset),
  uint16: (bytes, offset) => bytes.readUInt16LE(offset),
  int16: (bytes, offset) => bytes.readInt16LE(offset),
  uint32: (bytes, offset) => bytes.readUInt32LE(offset),
  int32: (bytes, offset) => bytes.readInt32LE(offset),
  float32: (bytes, offset) => bytes.readFloatLE(offset),
  bool: (bytes, offset) => bytes.readUInt8(offset) !== 0,
  uint64: (bytes, offset) => bytes.readBigUInt64LE(offset),
  int64: (bytes, offset) => bytes.readBigInt64LE(offset),
  float64: (bytes, offset) => bytes.readDoubleLE(offset),
};

function wrongElement(array: MetadataArray, expected: string): JaugeError<"gguf-malformed"> {
  const problem = problems.wrongType({ found: array.elementType, expected });
  return new JaugeError("gguf-malformed", { path: array.path, field: "array", problem });
}
