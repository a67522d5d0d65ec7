import type { ByteSource } from "./byte-source.js";
import { encodeScalar } from "./encode.js";
import type { MetadataArray, ScalarType, ScalarValue } from "./metadata.js";

const mostListedItems = 1024;
const mostListedBytes = 64 * 1024;

/**
 * An array that lies in memory and reads like one of a file. `name` stands for the path in errors.
 * RangeError where the type cannot hold an item.
 */
export function memoryArray(
  elementType: ScalarType,
  items: readonly ScalarValue[],
  name = "memory",
): MetadataArray {
  const bytes =
    elementType === "string" ? encodeStrings(items.map(String)) : encodeScalars(elementType, items);
  const array: MetadataArray = {
    ...{ elementType, count: items.length, path: name, fileOffset: 0, bytes: bytes.length },
    origin: { path: name, open: async () => new MemorySource(name, bytes) },
  };
  if (items.length <= mostListedItems && bytes.length <= mostListedBytes) array.items = [...items];
  return array;
}

function encodeScalars(type: ScalarType, items: readonly ScalarValue[]): Buffer {
  return Buffer.concat(items.map((item) => encodeScalar(type, item)));
}

/** As `encodeScalar` writes each, into one buffer: a vocabulary has hundreds of thousands. */
function encodeStrings(texts: readonly string[]): Buffer {
  const size = texts.reduce((sum, text) => sum + 8 + Buffer.byteLength(text), 0);
  const bytes = Buffer.allocUnsafe(size);
  let position = 0;
  for (const text of texts) {
    const length = bytes.write(text, position + 8);
    position = bytes.writeBigUInt64LE(BigInt(length), position) + length;
  }
  return bytes;
}

class MemorySource implements ByteSource {
  readonly bytes: number;

  constructor(
    readonly path: string,
    private readonly content: Uint8Array,
  ) {
    this.bytes = content.byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const part = this.content.subarray(position, position + target.byteLength);
    target.set(part);
    return part.byteLength;
  }

  async close(): Promise<void> {}
}
