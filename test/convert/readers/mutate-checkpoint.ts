import fc from "fast-check";
import { type Checkpoint, storedBytes } from "../../../src/convert/checkpoint.js";

export type Mutation = (original: Buffer) => Buffer;

/** Changes to a file of so many bytes: bytes replaced, numbers made huge, parts cut out, doubled or moved. */
export function mutations(length: number): fc.Arbitrary<Mutation> {
  const position = fc.nat(length - 1);
  const extent = fc.integer({ min: 1, max: 64 });
  const huge = fc.constantFrom(0, 1, 0x7f, 0x80, 0xff);
  const change: fc.Arbitrary<Mutation> = fc.oneof(
    fc
      .record({ at: position, bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }) })
      .map(({ at, bytes }) => (file: Buffer) => {
        bytes.forEach((byte, index) => {
          if (at + index < file.length) file[at + index] = byte;
        });
        return file;
      }),
    fc
      .record({ at: position, bytes: fc.array(huge, { minLength: 1, maxLength: 8 }) })
      .map(({ at, bytes }) => (file: Buffer) => {
        Buffer.from(bytes).copy(file, Math.min(at, file.length));
        return file;
      }),
    fc.record({ at: position, bit: fc.nat(7) }).map(({ at, bit }) => (file: Buffer) => {
      if (at < file.length) file[at] = file[at]! ^ (1 << bit);
      return file;
    }),
    position.map((at) => (file: Buffer) => file.subarray(0, at)),
    fc.record({ at: position, extent }).map(
      ({ at, extent }) =>
        (file: Buffer) =>
          Buffer.concat([file.subarray(0, at), file.subarray(at + extent)]),
    ),
    fc.record({ at: position, to: position, extent }).map(
      ({ at, to, extent }) =>
        (file: Buffer) =>
          Buffer.concat([file.subarray(0, to), file.subarray(at, at + extent), file.subarray(to)]),
    ),
  );
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map(
      (changes) => (original) => changes.reduce<Buffer>((file, each) => each(file), Buffer.from(original)),
    );
}

/** Reads the first megabyte of every tensor. */
export async function readAll(checkpoint: Checkpoint): Promise<void> {
  for (const tensor of checkpoint.tensors.values()) {
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    const bytes = Math.min(elements, 2 ** 20) * storedBytes[tensor.type];
    await tensor.read(new Uint8Array(bytes), 0);
  }
}
