import type { TensorTypeName } from "../gguf/tensor-types.js";

/**
 * The quantisation mixes, by the name a file is known under, with the type most of its tensors get.
 * Source: `llama_ftype_get_default_type` in src/llama-quant.cpp of llama.cpp v0.5.0.
 */
export const mixes = {
  F32: "F32",
  F16: "F16",
  BF16: "BF16",
  Q8_0: "Q8_0",
  Q6_K: "Q6_K",
  Q5_K_M: "Q5_K",
  Q5_K_S: "Q5_K",
  Q5_1: "Q5_1",
  Q5_0: "Q5_0",
  Q4_K_M: "Q4_K",
  Q4_K_S: "Q4_K",
  Q4_1: "Q4_1",
  Q4_0: "Q4_0",
  IQ4_NL: "IQ4_NL",
  IQ4_XS: "IQ4_XS",
  MXFP4_MOE: "MXFP4",
  Q3_K_L: "Q3_K",
  Q3_K_M: "Q3_K",
  Q3_K_S: "Q3_K",
  IQ3_M: "IQ3_S",
  IQ3_S: "IQ3_S",
  IQ3_XS: "IQ3_S",
  IQ3_XXS: "IQ3_XXS",
  Q2_K: "Q2_K",
  Q2_K_S: "Q2_K",
  IQ2_M: "IQ2_S",
  IQ2_S: "IQ2_XS",
  IQ2_XS: "IQ2_XS",
  IQ2_XXS: "IQ2_XXS",
  TQ2_0: "TQ2_0",
  TQ1_0: "TQ1_0",
  IQ1_M: "IQ1_M",
  IQ1_S: "IQ1_S",
  Q2_0: "Q2_0",
  Q1_0: "Q1_0",
} as const satisfies Record<string, TensorTypeName>;

export type MixName = keyof typeof mixes;
export const mixNames = Object.keys(mixes) as MixName[];

/** The mix of this name, in any case; undefined where there is none. */
export function mixNamed(name: string): MixName | undefined {
  return mixNames.find((mix) => mix === name.toUpperCase());
}

/**
 * Whether llama.cpp refuses to make this mix without an importance matrix. Source: `tensor_requires_imatrix` in
 * src/llama-quant.cpp.
 */
export function needsImportanceMatrix(mix: MixName): boolean {
  return /^(IQ1_|IQ2_|IQ3_XX?S|Q2_K_S)/.test(mix);
}

/** What the rules of a mix look at. */
export interface MixModel {
  architecture: string;
  /** `block_count`, layers of multi-token prediction included. */
  layers: number;
  /** Of the first layer. */
  heads: number;
  kvHeads: number;
  /** 0 for a dense model. */
  experts: number;
  /** In any order. */
  tensors: readonly MixTensor[];
}

export interface MixTensor {
  name: string;
  type: TensorTypeName;
  /** Row length first. */
  shape: readonly number[];
}
