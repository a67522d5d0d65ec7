import { fileURLToPath } from "node:url";
import { type StoredTensor, type StoredType, storedBytes } from "../../../src/convert/checkpoint.js";

/** A file written by PyTorch. */
export function torchFixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/torch/${name}`, import.meta.url));
}

export const torchNames: Record<string, StoredType> = {
  float16: "F16",
  bfloat16: "BF16",
  float32: "F32",
  float64: "F64",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

/** The elements of a tensor, or some of them, as numbers. */
export async function elementsOf(
  tensor: StoredTensor,
  first = 0,
  count = tensor.shape.reduce((product, size) => product * size, 1) - first,
): Promise<number[]> {
  const bytes = Buffer.alloc(count * storedBytes[tensor.type]);
  await tensor.read(bytes, first);
  return Array.from({ length: count }, (_, index) => numberAt(bytes, tensor.type, index));
}

function numberAt(bytes: Buffer, type: StoredType, index: number): number {
  const at = index * storedBytes[type];
  switch (type) {
    case "F64":
      return bytes.readDoubleLE(at);
    case "F32":
      return bytes.readFloatLE(at);
    case "BF16": {
      const wide = Buffer.alloc(4);
      bytes.copy(wide, 2, at, at + 2);
      return wide.readFloatLE();
    }
    case "F16": {
      const bits = bytes.readUInt16LE(at);
      const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
      const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
      return bits >> 15 ? -size : size;
    }
    case "I64":
      return Number(bytes.readBigInt64LE(at));
    case "I32":
      return bytes.readInt32LE(at);
    case "I16":
      return bytes.readInt16LE(at);
    case "I8":
      return bytes.readInt8(at);
    default:
      return bytes[at]!;
  }
}

export interface WrittenTensor {
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** A safetensors file by the format's description. */
export function safetensorsFile(
  tensors: Record<string, WrittenTensor>,
  metadata?: Record<string, string>,
): Buffer {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] };
    offset += data.length;
  }
  return withHeader(JSON.stringify(header), Buffer.concat(Object.values(tensors).map(({ data }) => data)));
}

/** A safetensors file of any header and data. */
export function withHeader(header: string, data: Uint8Array): Buffer {
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, data]);
}

export function floats(values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** A matrix of float32 whose elements count up from `start`. */
export function counting(shape: number[], start = 0): WrittenTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { dtype: "F32", shape, data: floats(Array.from({ length: count }, (_, index) => start + index)) };
}

/** A zip archive of stored files; the method can be claimed to be another. */
export function zipFile(files: Record<string, Uint8Array>, method = 0): Buffer {
  const [local, central]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, data] of Object.entries(files)) {
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const entry = Buffer.alloc(46);
    entry.write("PK\x01\x02", "latin1");
    common.copy(entry, 6);
    entry.writeUInt32LE(offset, 42);
    central.push(entry, Buffer.from(name));
    const header = [Buffer.from("PK\x03\x04", "latin1"), common, Buffer.from(name), data];
    local.push(...header.map((part) => Buffer.from(part)));
    offset += header.reduce((sum, part) => sum + part.length, 0);
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
