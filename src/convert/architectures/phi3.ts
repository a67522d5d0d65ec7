import {
  type Blueprint,
  type BlueprintTensor,
  commonHyperparameters,
  dimensionsOf,
  ropeOf,
  uint32,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/** Phi-3, Phi-3.5 and Phi-4: Q, K, V in one matrix, gate and up in another. Source: conversion/phi.py. */
export function phi3(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const rope = ropeOf(config);
  const turned = Math.floor(Math.floor(config.number("partial_rotary_factor", 1) * d.hidden) / d.heads);
  const hyperparameters = commonHyperparameters(config, d);
  const tokens = config.integer("max_position_embeddings", limits.tokens);
  const original = config.integer("original_max_position_embeddings", limits.tokens, tokens);
  hyperparameters.set("rope.scaling.original_context_length", uint32(original));
  hyperparameters.set("rope.dimension_count", uint32(turned));
  const window = config.integer("sliding_window", limits.tokens, 0, 0);
  hyperparameters.set("attention.sliding_window", uint32(window));
  const factors: BlueprintTensor[] = rope.has("long_factor")
    ? [
        ["rope_factors_long.weight", turned / 2],
        ["rope_factors_short.weight", turned / 2],
      ]
    : [];
  const [query, kv] = [d.headSize * d.heads, d.headSize * d.kvHeads];
  const tensors = wholeModel(d, config.boolean("tie_word_embeddings", false), () => [
    ["attn_norm.weight", d.hidden],
    ["attn_qkv.weight", d.hidden, query + 2 * kv],
    ["attn_output.weight", query, d.hidden],
    ["ffn_norm.weight", d.hidden],
    ["ffn_up.weight", d.hidden, 2 * d.feedForward],
    ["ffn_down.weight", d.feedForward, d.hidden],
  ]);
  return { architecture: "phi3", hyperparameters, tensors: [...factors, ...tensors] };
}
