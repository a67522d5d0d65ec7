import type { TensorTypeName } from "../gguf/tensor-types.js";

/** Bytes of one element of a checkpoint, by the names of safetensors. */
export const storedBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type StoredType = keyof typeof storedBytes;

/** Weights as training frameworks keep them: named tensors in one file or many. */
export interface Checkpoint {
  /** The file or folder, as errors name it. */
  readonly path: string;
  /** For people: `safetensors`, `torch`, `torch, 8 shards`. */
  readonly format: string;
  /** By name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Differs wherever the bytes may: names, sizes and change times of its files. */
  readonly fingerprint: string;
  close(): Promise<void>;
}

/** A tensor as a checkpoint has it, whatever its strides and however many shards it is joined from. */
export interface StoredTensor {
  readonly name: string;
  readonly type: StoredType;
  /** Outermost dimension first, as PyTorch and safetensors print it; empty for a scalar. */
  readonly shape: readonly number[];
  /** What blocks these numbers were, where they come from a model that was quantised. */
  readonly dequantisedFrom?: TensorTypeName;
  /**
   * Fills `target` with consecutive elements, little-endian and in row-major order, from `firstElement` on. Reads may
   * run at the same time, in any order. Errors: those of the file, naming it and the tensor.
   */
  read(target: Uint8Array, firstElement: number): Promise<void>;
}
