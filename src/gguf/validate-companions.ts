import { invalid, problems } from "./invalid.js";
import type { ModelFile } from "./model-file.js";
import { layerOf } from "./outline.js";

/** In a layer that has the tensor `with`, one of `sets` must be whole. Names are those behind `blk.N.`. */
interface Companions {
  architectures: readonly string[];
  with: string;
  sets: readonly (readonly string[])[];
}

/**
 * Tensors that llama.cpp's graph uses without looking whether the file has them, although its loader lets them be
 * absent. Source: TENSOR_NOT_REQUIRED against the graphs in src/models/*.cpp.
 */
const companions: readonly Companions[] = [
  {
    architectures: ["falcon-h1", "granitehybrid", "nemotron_h", "nemotron_h_moe"],
    with: "ssm_conv1d.weight",
    sets: [["ssm_conv1d.bias"]],
  },
  {
    architectures: ["phi3"],
    with: "attn_output.weight",
    sets: [["attn_qkv.weight"], ["attn_q.weight", "attn_k.weight", "attn_v.weight"]],
  },
  {
    architectures: ["qwen35", "qwen35moe", "qwen3next"],
    with: "ssm_conv1d.weight",
    sets: [["attn_qkv.weight", "attn_gate.weight"], ["ssm_in.weight"]],
  },
  {
    architectures: ["rwkv6"],
    with: "time_mix_w1.weight",
    sets: [["time_mix_lerp_fused.weight"], [..."wkvrg"].map((part) => `time_mix_lerp_${part}.weight`)],
  },
];

/** The relative position bias that all layers of T5's encoder and decoder share. */
const t5Bias = { enc: "enc.blk.0.attn_rel_b.weight", dec: "dec.blk.0.attn_rel_b.weight" };

export function validateCompanions(model: ModelFile, architecture: string): void {
  const names = new Set(model.tensors.map(({ name }) => name));
  for (const rule of companions) {
    if (!rule.architectures.includes(architecture)) continue;
    for (const name of names) {
      const layer = layerOf(name);
      if (layer === undefined || name !== `blk.${layer}.${rule.with}`) continue;
      const isWhole = rule.sets.some((set) => set.every((other) => names.has(`blk.${layer}.${other}`)));
      if (!isWhole) throw invalid(model, `blk.${layer}.${rule.sets[0]!.join(", ")}`, problems.missing());
    }
  }
  if (architecture !== "t5" && architecture !== "t5encoder") return;
  for (const bias of architecture === "t5" ? [t5Bias.enc, t5Bias.dec] : [t5Bias.enc])
    if (!names.has(bias)) throw invalid(model, bias, problems.missing());
}
