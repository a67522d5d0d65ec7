import type { WritableMetadata, WritableValue } from "../../src/gguf/encode.js";
import { type TensorTypeName, tensorBytes } from "../../src/gguf/tensor-types.js";
import { type TensorSource, writeGguf } from "../../src/gguf/writer.js";

/** A tensor that is listed; row length first. */
export interface Listed {
  name: string;
  type: TensorTypeName;
  shape: readonly number[];
}

/** A tensor of zeros. */
export function zeros({ name, type, shape }: Listed): TensorSource {
  return { name, type, shape, data: () => [Buffer.alloc(tensorBytes(type, shape)!)] };
}

/** A norm that changes nothing. */
export function ones(name: string, length: number): TensorSource {
  return float32(name, [length], new Float32Array(length).fill(1));
}

/** Random values that keep the size of what is multiplied: their variance is one over the row length. */
export function randomMatrix(name: string, shape: readonly number[], random: () => number): TensorSource {
  const scale = Math.sqrt(12 / shape[0]!);
  const count = shape.reduce((product, size) => product * size, 1);
  return float32(
    name,
    shape,
    Float32Array.from({ length: count }, () => (random() - 0.5) * scale),
  );
}

export function float32(name: string, shape: readonly number[], values: Float32Array): TensorSource {
  return { name, type: "F32", shape, data: () => [new Uint8Array(values.buffer)] };
}

/** Writes a model that is listed, with data for each tensor, and without a vocabulary. */
export async function writeWithoutVocabulary(
  path: string,
  { metadata, tensors }: { metadata: WritableMetadata; tensors: readonly Listed[] },
  sourceOf: (tensor: Listed) => TensorSource,
): Promise<void> {
  const keys = new Map<string, WritableValue>([
    ...metadata.entries(),
    ["tokenizer.ggml.model", { type: "string", value: "none" }],
  ]);
  await writeGguf(path, { metadata: keys, tensors: tensors.map(sourceOf) });
}
