import { JaugeError } from "../errors.js";
import type { TensorTypeName } from "../gguf/tensor-types.js";
import type { ImportanceMatrix } from "./importance-matrix.js";
import { isEmbedding } from "./mix-rules.js";
import { type MixName, needsImportanceMatrix } from "./mix-table.js";

/** Types whose quantisation takes the weights as given, whatever the tensor: ggml aborts without. */
const alwaysNeeded = new Set<TensorTypeName>(["IQ2_XXS", "IQ2_XS", "IQ1_S"]);
/** Types of so few bits that llama.cpp refuses them without. */
const needed = new Set<TensorTypeName>(["IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"]);

/**
 * The tensors that the matrix weighs. Errors: `importance-needed`, `importance-mismatch`.
 *
 * Source: `tensor_requires_imatrix` and `llama_model_quantize_impl` in src/llama-quant.cpp of llama.cpp v0.5.0.
 */
export function weightedTensors(
  tensors: readonly { name: string; shape: readonly number[]; from: TensorTypeName; type: TensorTypeName }[],
  mix: MixName | "auto",
  matrix: ImportanceMatrix | undefined,
): Set<string> {
  const weighted = new Set<string>();
  for (const { name, shape, from, type } of tensors) {
    if (from === type) continue;
    const found = matrix?.entries.get(name)?.values;
    const expected = (shape[0] ?? 1) * (shape[2] ?? 1);
    if (found === expected) weighted.add(name);
    // the embedding of tokens is looked up, not multiplied with: no matrix is true for it
    else if (found !== undefined && !isEmbedding(name))
      throw new JaugeError("importance-size", { path: matrix!.path, tensor: name, found, expected });
    if (!weighted.has(name) && needsImportance(name, type, mix))
      throw new JaugeError("importance-needed", {
        ...{ tensor: name, type },
        // a mix has types of other names than its own
        ...(mix !== "auto" && mix !== type && needsImportanceMatrix(mix) ? { mix } : {}),
      });
  }
  return weighted;
}

/** Whether the weights of its layers are refused in this type without an importance matrix. */
export function needsMatrix(type: TensorTypeName): boolean {
  return needed.has(type);
}

/** Whether a tensor of this type is refused without the weights of its columns. */
export function needsImportance(name: string, type: TensorTypeName, mix: MixName | "auto"): boolean {
  if (alwaysNeeded.has(type)) return true;
  if (isEmbedding(name) || name === "output.weight") return false;
  return needed.has(type) || (type === "Q2_K" && mix === "Q2_K_S");
}
