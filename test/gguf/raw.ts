/** A GGUF file as loose parts that may contradict each other: what a hostile writer can make. */
export interface RawGguf {
  version: number;
  keys: RawKey[];
  tensors: RawTensor[];
  /** Bytes of the header, without the padding behind it. */
  headerBytes: number;
  /** Everything behind the header. */
  data: Buffer;
}

export interface RawKey {
  key: Buffer;
  /** Value type number; 9 is an array. */
  type: number;
  /** For arrays: element type, and the count as it stands in the file. */
  elementType: number;
  count: bigint;
  /** The bytes of the value, or of each string of a string array without its length. */
  payload: Buffer;
  strings?: Buffer[];
}

export interface RawTensor {
  name: Buffer;
  shape: bigint[];
  type: number;
  offset: bigint;
}

const scalarBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
export const stringType = 8;
export const arrayType = 9;

/** Takes a well-formed file apart. Written apart from src/gguf, so that the tests do not check it with itself. */
export function parseRaw(bytes: Buffer): RawGguf {
  let at = 4;
  const u32 = () => {
    at += 4;
    return bytes.readUInt32LE(at - 4);
  };
  const u64 = () => {
    at += 8;
    return bytes.readBigUInt64LE(at - 8);
  };
  const take = (length: number) => {
    at += length;
    return Buffer.from(bytes.subarray(at - length, at));
  };
  const string = () => take(Number(u64()));

  const version = u32();
  const tensorCount = Number(u64());
  const keyCount = Number(u64());
  const keys: RawKey[] = [];
  for (let index = 0; index < keyCount; index++) {
    const key = string();
    const type = u32();
    const entry: RawKey = { key, type, elementType: type, count: 1n, payload: Buffer.alloc(0) };
    if (type === arrayType) {
      entry.elementType = u32();
      entry.count = u64();
    }
    const { elementType, count } = entry;
    if (elementType !== stringType) entry.payload = take(scalarBytes[elementType]! * Number(count));
    else if (type === arrayType) entry.strings = Array.from({ length: Number(count) }, string);
    else entry.payload = string();
    keys.push(entry);
  }
  const tensors: RawTensor[] = [];
  for (let index = 0; index < tensorCount; index++) {
    const name = string();
    const shape = Array.from({ length: u32() }, u64);
    tensors.push({ name, shape, type: u32(), offset: u64() });
  }
  return {
    version,
    keys,
    tensors,
    headerBytes: at,
    data: Buffer.from(bytes.subarray(Math.ceil(at / 32) * 32)),
  };
}

/** Puts the parts together as they are, true or not. Version 1 had counts and lengths of 32 bits. */
export function serialiseRaw(raw: RawGguf): Buffer {
  const size = raw.version === 1 ? (value: number | bigint) => u32(Number(value)) : u64;
  const parts: Buffer[] = [
    Buffer.from("GGUF"),
    u32(raw.version),
    size(raw.tensors.length),
    size(raw.keys.length),
  ];
  for (const { key, type, elementType, count, payload, strings } of raw.keys) {
    parts.push(size(key.length), key, u32(type));
    if (type === arrayType) parts.push(u32(elementType), size(count));
    if (strings) for (const string of strings) parts.push(size(string.length), string);
    else if (type === stringType) parts.push(size(payload.length), payload);
    else parts.push(payload);
  }
  for (const { name, shape, type, offset } of raw.tensors) {
    parts.push(size(name.length), name, u32(shape.length), ...shape.map(size), u32(type), u64(offset));
  }
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(Buffer.alloc((32 - (bytes % 32)) % 32), raw.data);
  return Buffer.concat(parts);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
