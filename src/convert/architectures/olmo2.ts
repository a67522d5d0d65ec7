import { attention, type Blueprint, gatedFeedForward, same, wholeModel } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import { booleans, commonHyperparameters, dimensionsOf, uint32 } from "./hyperparameters.js";

/** OLMo 2 and 3: norms behind attention and feed-forward, not before. Source: conversion/olmo.py, src/models/olmo2.cpp. */
export function olmo2(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const hyperparameters = commonHyperparameters(config, d);
  if (config.has("sliding_window")) {
    const types = config.strings("layer_types");
    const slides = Array.from({ length: d.layers }, (_, index) =>
      types ? types[index] === "sliding_attention" : (index + 1) % 4 !== 0,
    );
    hyperparameters.set("attention.sliding_window", uint32(config.integer("sliding_window", limits.tokens)));
    hyperparameters.set("attention.sliding_window_pattern", booleans(slides));
  }
  return {
    architecture: "olmo2",
    hyperparameters,
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      needsOutput: true,
      layer: () => [
        ...attention(d),
        same("attn_q_norm.weight", "self_attn.q_norm.weight", d.headSize * d.heads),
        same("attn_k_norm.weight", "self_attn.k_norm.weight", d.headSize * d.kvHeads),
        same("post_attention_norm.weight", "post_attention_layernorm.weight", d.hidden),
        ...gatedFeedForward(d.hidden, d.feedForward),
        same("post_ffw_norm.weight", "post_feedforward_layernorm.weight", d.hidden),
      ],
    }),
  };
}
