import type { Checkpoint, StoredTensor, StoredType } from "../../src/convert/checkpoint.js";

/** A tensor of a checkpoint in memory. */
export interface MemoryTensor {
  type: StoredType;
  /** Outermost first. */
  shape: readonly number[];
  bytes: Uint8Array;
}

/** A checkpoint whose tensors lie in memory. */
export function memoryCheckpoint(tensors: Iterable<[string, MemoryTensor]>): Checkpoint {
  const stored = Array.from(tensors, ([name, tensor]) => [name, memoryTensor(name, tensor)] as const);
  return {
    path: "memory",
    format: "memory",
    tensors: new Map(stored),
    fingerprint: "memory",
    close: async () => {},
  };
}

export function memoryTensor(name: string, { type, shape, bytes }: MemoryTensor): StoredTensor {
  const elements = shape.reduce((product, size) => product * size, 1);
  const size = bytes.length / elements;
  return {
    name,
    type,
    shape,
    async read(target, firstElement) {
      const from = firstElement * size;
      if (!Number.isInteger(from) || from < 0 || from + target.byteLength > bytes.length)
        throw new RangeError(`${name}: read past its end`);
      target.set(bytes.subarray(from, from + target.byteLength));
    },
  };
}

export function float32Tensor(shape: readonly number[], values: ArrayLike<number>): MemoryTensor {
  return { type: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
