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
  /** Sum of the tensors' errors, each relative to what the tensor puts out. */
  loss: number;
}

/**
 * The types with which a file of at most `size` bytes loses least. What is added up is each tensor's error relative to
 * its own output, every tensor counting alike whatever its size: the noise that a matrix adds to what flows through a
 * model is judged against the signal it adds, and small noises of many matrices add up linearly in the divergence of the
 * predictions (the linearity theorem of Malinovskii et al., 2024, "Pushing the Limits of Large Language Model
 * Quantization via the Linearity Theorem", with equal coefficients). Undefined where no mix is that small.
 */
export function typesWithin(
  tensors: readonly TargetTensor[],
  fixedBytes: number,
  size: number,
): TargetMix | undefined {
  const choices = tensors.map(({ types }) => types.map(({ bytes, error }) => ({ bytes, loss: error })));
  const found = cheapestMixture(choices, size - fixedBytes);
  if (!found) return undefined;
  return {
    types: found.chosen.map((choice, tensor) => tensors[tensor]!.types[choice]!.type),
    bytes: fixedBytes + found.bytes,
    loss: found.loss,
  };
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
