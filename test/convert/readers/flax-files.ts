import { fileURLToPath } from "node:url";
import type { StoredType } from "../../../src/convert/checkpoint.js";

/** A file that flax itself and msgpack for Python wrote; test/fixtures/README.md says how. */
export function flaxFixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/flax/${name}`, import.meta.url));
}

export interface FlaxTensor {
  /** Outermost first, as flax has it. */
  shape: readonly number[];
  type: StoredType;
  data: Uint8Array;
  /** Bytes of each part, where it is written in several. */
  chunkBytes?: number;
}

const typeNames: Partial<Record<StoredType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** A stream as EasyLM writes it, from the format's facts: names and the bytes of an array in each record. */
export function flaxStream(records: Iterable<[names: readonly string[], FlaxTensor]>): Buffer {
  return Buffer.concat(
    Array.from(records, ([names, tensor]) =>
      Buffer.concat([
        Buffer.of(0x92, 0x90 | names.length),
        ...names.map(text),
        bytes(tensor.chunkBytes ? chunked(tensor, tensor.chunkBytes) : array(tensor)),
      ]),
    ),
  );
}

export function array({ shape, type, data }: FlaxTensor): Buffer {
  const content = Buffer.concat([
    Buffer.of(0x93, 0x90 | shape.length),
    ...shape.map(integer),
    text(typeNames[type] ?? type),
    bytes(data),
  ]);
  return Buffer.concat([lengthened(0xc9, content.length), Buffer.of(1), content]);
}

function chunked(tensor: FlaxTensor, chunkBytes: number): Buffer {
  const { shape, type, data } = tensor;
  const size = data.length / shape.reduce((product, each) => product * each, 1);
  const chunks: Buffer[] = [];
  for (let at = 0; at < data.length; at += chunkBytes) {
    const part = data.subarray(at, at + chunkBytes);
    chunks.push(array({ shape: [part.length / size], type, data: part }));
  }
  return Buffer.concat([
    ...[Buffer.of(0x83), text("__msgpack_chunked_array__"), Buffer.of(0xc3)],
    ...[text("shape"), Buffer.of(0x80 | shape.length)],
    ...shape.flatMap((each, index) => [text(String(index)), integer(each)]),
    ...[text("chunks"), Buffer.of(0x80 | chunks.length)],
    ...chunks.flatMap((chunk, index) => [text(String(index)), chunk]),
  ]);
}

export function text(value: string): Buffer {
  return Buffer.concat([Buffer.of(0xa0 | value.length), Buffer.from(value)]);
}

function bytes(data: Uint8Array): Buffer {
  return Buffer.concat([lengthened(0xc6, data.length), data]);
}

function integer(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : lengthened(0xce, value);
}

function lengthened(code: number, length: number): Buffer {
  const start = Buffer.alloc(5);
  start[0] = code;
  start.writeUInt32BE(length, 1);
  return start;
}
