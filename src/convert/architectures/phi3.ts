import { type Blueprint, type BlueprintTensor, same, tensor, wholeModel } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import {
  type Dimensions,
  dimensionsOf,
  float32,
  type Hyperparameters,
  ropeBase,
  ropeOf,
  sizeHyperparameters,
  uint32,
} from "./hyperparameters.js";

/**
 * Phi-3, Phi-3.5 and Phi-4: Q, K, V in one matrix, gate and up in another.
 * Source: conversion/phi.py, src/models/phi3.cpp of llama.cpp v0.5.0.
 */
export function phi3(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const rope = ropeOf(config);
  const share = rope.number("partial_rotary_factor") ?? config.number("partial_rotary_factor", 1);
  const turned = Math.floor(Math.floor(share * d.hidden) / d.heads);
  const tokens = config.integer("max_position_embeddings n_positions", limits.tokens);
  const original = rope.with(config).integer("original_max_position_embeddings", limits.tokens, tokens);
  const hyperparameters = sizeHyperparameters(config, d);
  hyperparameters.set("attention.head_count_kv", uint32(d.kvHeads));
  hyperparameters.set("attention.layer_norm_rms_epsilon", float32(config.number("rms_norm_eps", 1e-5)));
  hyperparameters.set("rope.scaling.original_context_length", uint32(original));
  hyperparameters.set("rope.dimension_count", uint32(turned));
  hyperparameters.set("rope.freq_base", float32(ropeBase(config) ?? 10_000));
  // llama.cpp tells Phi-4 by its window of zero
  const window = config.integer("sliding_window", limits.tokens, 0, 0);
  hyperparameters.set("attention.sliding_window", uint32(window));
  const factors = ropeFactors(rope, turned, tokens / original, original, hyperparameters);
  const tensors = wholeModel(d, {
    isTied: config.boolean("tie_word_embeddings", false),
    layer: () => layer(d),
  });
  return { architecture: "phi3", hyperparameters, tensors: [...factors, ...tensors] };
}

function layer(d: Dimensions): BlueprintTensor[] {
  const [query, kv] = [d.headSize * d.heads, d.headSize * d.kvHeads];
  return [
    same("attn_norm.weight", "input_layernorm.weight", d.hidden),
    same("attn_qkv.weight", "self_attn.qkv_proj.weight", d.hidden, query + 2 * kv),
    same("attn_output.weight", "self_attn.o_proj.weight", query, d.hidden),
    same("ffn_norm.weight", "post_attention_layernorm.weight", d.hidden),
    same("ffn_up.weight", "mlp.gate_up_proj.weight", d.hidden, 2 * d.feedForward),
    same("ffn_down.weight", "mlp.down_proj.weight", d.feedForward, d.hidden),
  ];
}

/** LongRoPE: a divisor for each frequency, one list for short contexts and one for long ones. */
function ropeFactors(
  rope: Config,
  turned: number,
  scale: number,
  original: number,
  hyperparameters: Hyperparameters,
): BlueprintTensor[] {
  const type = rope.string("rope_type type")?.toLowerCase();
  if (!rope.has("long_factor") && !rope.has("short_factor")) return [];
  rope.expect(type === "su" || type === "longrope" || type === "yarn", "rope_type");
  const logarithm =
    type === "yarn" ? 0.1 * Math.log(scale) + 1 : Math.sqrt(1 + Math.log(scale) / Math.log(original));
  hyperparameters.set("rope.scaling.attn_factor", float32(scale > 1 ? logarithm : 1));
  return (["long", "short"] as const).map((kind) => {
    const values = rope.numbers(`${kind}_factor`, turned / 2);
    return tensor(`rope_factors_${kind}.weight`, [values.length], { kind: "numbers", values });
  });
}
