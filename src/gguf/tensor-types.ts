/**
 * The tensor types of ggml at llama.cpp v0.5.0.
 * Source: `enum ggml_type` in ggml/include/ggml.h, `type_traits` in ggml/src/ggml.c, block layouts in
 * ggml/src/ggml-common.h. Ids 4, 5, 31–33 and 36–38 were removed from the format.
 */
export const tensorTypes = {
  F32: { id: 0, blockElements: 1, blockBytes: 4, quantised: false },
  F16: { id: 1, blockElements: 1, blockBytes: 2, quantised: false },
  Q4_0: { id: 2, blockElements: 32, blockBytes: 18, quantised: true },
  Q4_1: { id: 3, blockElements: 32, blockBytes: 20, quantised: true },
  Q5_0: { id: 6, blockElements: 32, blockBytes: 22, quantised: true },
  Q5_1: { id: 7, blockElements: 32, blockBytes: 24, quantised: true },
  Q8_0: { id: 8, blockElements: 32, blockBytes: 34, quantised: true },
  Q8_1: { id: 9, blockElements: 32, blockBytes: 36, quantised: true },
  Q2_K: { id: 10, blockElements: 256, blockBytes: 84, quantised: true },
  Q3_K: { id: 11, blockElements: 256, blockBytes: 110, quantised: true },
  Q4_K: { id: 12, blockElements: 256, blockBytes: 144, quantised: true },
  Q5_K: { id: 13, blockElements: 256, blockBytes: 176, quantised: true },
  Q6_K: { id: 14, blockElements: 256, blockBytes: 210, quantised: true },
  Q8_K: { id: 15, blockElements: 256, blockBytes: 292, quantised: true },
  IQ2_XXS: { id: 16, blockElements: 256, blockBytes: 66, quantised: true },
  IQ2_XS: { id: 17, blockElements: 256, blockBytes: 74, quantised: true },
  IQ3_XXS: { id: 18, blockElements: 256, blockBytes: 98, quantised: true },
  IQ1_S: { id: 19, blockElements: 256, blockBytes: 50, quantised: true },
  IQ4_NL: { id: 20, blockElements: 32, blockBytes: 18, quantised: true },
  IQ3_S: { id: 21, blockElements: 256, blockBytes: 110, quantised: true },
  IQ2_S: { id: 22, blockElements: 256, blockBytes: 82, quantised: true },
  IQ4_XS: { id: 23, blockElements: 256, blockBytes: 136, quantised: true },
  I8: { id: 24, blockElements: 1, blockBytes: 1, quantised: false },
  I16: { id: 25, blockElements: 1, blockBytes: 2, quantised: false },
  I32: { id: 26, blockElements: 1, blockBytes: 4, quantised: false },
  I64: { id: 27, blockElements: 1, blockBytes: 8, quantised: false },
  F64: { id: 28, blockElements: 1, blockBytes: 8, quantised: false },
  IQ1_M: { id: 29, blockElements: 256, blockBytes: 56, quantised: true },
  BF16: { id: 30, blockElements: 1, blockBytes: 2, quantised: false },
  TQ1_0: { id: 34, blockElements: 256, blockBytes: 54, quantised: true },
  TQ2_0: { id: 35, blockElements: 256, blockBytes: 66, quantised: true },
  MXFP4: { id: 39, blockElements: 32, blockBytes: 17, quantised: true },
  NVFP4: { id: 40, blockElements: 64, blockBytes: 36, quantised: true },
  Q1_0: { id: 41, blockElements: 128, blockBytes: 18, quantised: true },
  Q2_0: { id: 42, blockElements: 64, blockBytes: 18, quantised: true },
} as const satisfies Record<string, TensorType>;

/** Bytes of the longest tensor name: GGML_MAX_NAME of ggml.h holds one more, for the NUL. */
export const longestTensorName = 63;

/** How a tensor's elements are stored: `blockElements` consecutive elements of a row take `blockBytes`. */
export interface TensorType {
  /** The number of this type in GGUF files. */
  id: number;
  blockElements: number;
  blockBytes: number;
  quantised: boolean;
}

/** The name of a tensor type, as llama.cpp writes it in `GGML_TYPE_…`. */
export type TensorTypeName = keyof typeof tensorTypes;

const nameById = new Map<number, TensorTypeName>(
  Object.entries(tensorTypes).map(([name, type]) => [type.id, name as TensorTypeName]),
);

/** The tensor type of this GGUF number; undefined where it was removed or never existed. */
export function tensorTypeById(id: number): TensorTypeName | undefined {
  return nameById.get(id);
}

/** Number of elements of a shape; undefined where a dimension is no positive integer or the product passes 2⁵³. */
export function tensorElements(shape: readonly number[]): number | undefined {
  let elements = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 1) return undefined;
    elements *= dimension;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  return elements;
}

/**
 * Bytes of a tensor's data without padding. `shape` starts with the row length, as in GGUF.
 * Undefined where the row is no multiple of the type's block, or where the shape is impossible.
 */
export function tensorBytes(type: TensorTypeName, shape: readonly number[]): number | undefined {
  const { blockElements, blockBytes } = tensorTypes[type];
  const elements = tensorElements(shape);
  if (elements === undefined || (shape[0] ?? 1) % blockElements !== 0) return undefined;
  const bytes = (elements / blockElements) * blockBytes;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
