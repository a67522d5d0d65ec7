import {
  attention,
  type Blueprint,
  booleans,
  commonHyperparameters,
  dimensionsOf,
  gatedFeedForward,
  uint32,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/** OLMo 2 and 3: norms behind attention and feed-forward, not before. Source: conversion/olmo.py. */
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
    tensors: wholeModel(d, false, () => [
      ...attention(d),
      ["attn_q_norm.weight", d.headSize * d.heads],
      ["attn_k_norm.weight", d.headSize * d.kvHeads],
      ["post_attention_norm.weight", d.hidden],
      ...gatedFeedForward(d.hidden, d.feedForward),
      ["post_ffw_norm.weight", d.hidden],
    ]),
  };
}
