import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";

/** Parts of names whose matrices are too small or too delicate to quantise. */
const kept = [
  ["_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight"],
  ["altup", "laurel", "per_layer_model_proj"],
  ["ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight"],
  ["first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2", "decay_w1", "decay_w2"].map(
    (part) => `time_mix_${part}.weight`,
  ),
  ["time_mix_lerp_fused.weight", "attn_rel_b.weight"],
  [".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger"],
  ["a.rvq.codebook", "mm.a.code_embd"],
].flat();
const keptWhole = new Set(["position_embd.weight", "token_types.weight"]);

/**
 * Whether a mix may change this tensor's type. Source: `tensor_allows_quantization` in src/llama-quant.cpp of
 * llama.cpp v0.5.0.
 */
export function isQuantisable({ name, shape }: { name: string; shape: readonly number[] }): boolean {
  const isMatrix = shape.slice(1).some((dimension) => dimension > 1);
  if (!isMatrix || !name.endsWith("weight") || keptWhole.has(name)) return false;
  return !kept.some((part) => name.includes(part));
}

/** What stands in for a type of 256-element blocks where a row is no multiple of 256. */
const smallerBlocks: Partial<Record<TensorTypeName, TensorTypeName>> = {
  IQ1_S: "IQ4_NL",
  IQ1_M: "IQ4_NL",
  IQ2_XXS: "IQ4_NL",
  IQ2_XS: "IQ4_NL",
  IQ2_S: "IQ4_NL",
  IQ3_XXS: "IQ4_NL",
  IQ3_S: "IQ4_NL",
  IQ4_XS: "IQ4_NL",
  Q2_0: "Q4_0",
  Q2_K: "Q4_0",
  Q3_K: "Q4_0",
  TQ1_0: "Q4_0",
  TQ2_0: "Q4_0",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};

/** The wished type, or the one that rows of this length can have. Source: `tensor_type_fallback`, same file. */
export function fittingType(wished: TensorTypeName, shape: readonly number[]): TensorTypeName {
  const row = shape[0] ?? 1;
  const fits = (type: TensorTypeName) => row % tensorTypes[type].blockElements === 0;
  if (fits(wished)) return wished;
  const smaller = smallerBlocks[wished];
  return smaller && fits(smaller) ? smaller : "F16";
}
