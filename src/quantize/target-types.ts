import { layerOf } from "../gguf/outline.js";
import type { TensorTypeName } from "../gguf/tensor-types.js";
import { cheapestMixture } from "./target.js";

/** A tensor and what each type would cost it. */
export interface TargetTensor {
  name: string;
  types: readonly { type: TensorTypeName; bytes: number; error: number }[];
}

export interface TargetMix {
  /** The type of each tensor, in the order given. */
  types: TensorTypeName[];
  /** Of the whole file. */
  bytes: number;
  /** Expected part of the model's output (its logits) that is error; see `shareOf`. */
  loss: number;
}

/**
 * The types with which a file of at most `size` bytes loses least: the sum of the tensors' errors, each relative to what
 * the tensor itself puts out and counted by its share in the model's output. Small independent errors add up so, and the
 * divergence of the predictions grows linearly with them (Malinovskii et al., 2024, "Pushing the Limits of Large Language
 * Model Quantization via the Linearity Theorem"). Undefined where no mix is that small.
 */
export function typesWithin(
  tensors: readonly TargetTensor[],
  fixedBytes: number,
  size: number,
): TargetMix | undefined {
  const isTied = !tensors.some(({ name }) => name === "output.weight");
  const choices = tensors.map(({ name, types }) => {
    const share = shareOf(name, isTied);
    return types.map(({ bytes, error }) => ({ bytes, loss: share * error }));
  });
  const found = cheapestMixture(choices, size - fixedBytes);
  if (!found) return undefined;
  return {
    types: found.chosen.map((choice, tensor) => tensors[tensor]!.types[choice]!.type),
    bytes: fixedBytes + found.bytes,
    loss: found.loss,
  };
}

/**
 * How much of an error relative to a tensor's own output is left in the logits. The output matrix makes them: all of it.
 * Before it, the embedding and then attention and feed forward of each layer add to a sum that flows through the model,
 * and what is wrong in the sum stays wrong in what later layers make of it. Part number i of the sum (the embedding is
 * the first) is 1/i of it where all parts are as large as each other, and all of it where each part outgrows those before;
 * models lie between, and so does 1/√i.
 */
function shareOf(name: string, isTied: boolean): number {
  if (name === "output.weight") return 1;
  const layer = layerOf(name);
  if (layer === undefined) return isTied && name === "token_embd.weight" ? 2 : 1;
  const part = 2 * layer + (name.includes(".ffn_") ? 3 : 2);
  return 1 / Math.sqrt(part);
}

/** The smallest and the greatest file that the choices allow. */
export function sizesOf(
  tensors: readonly TargetTensor[],
  fixedBytes: number,
): { least: number; most: number } {
  const sum = (of: (...sizes: number[]) => number) =>
    tensors.reduce((total, { types }) => total + of(...types.map(({ bytes }) => bytes)), fixedBytes);
  return { least: sum(Math.min), most: sum(Math.max) };
}
