import { attention, type Blueprint, gatedFeedForward, same, wholeModel } from "./blueprint.js";
import type { Config } from "./config.js";
import { commonHyperparameters, dimensionsOf } from "./hyperparameters.js";

/** Qwen 2 and 2.5: biases on Q, K and V. Source: conversion/qwen.py, src/models/qwen2.cpp of llama.cpp v0.5.0. */
export function qwen2(config: Config): Blueprint {
  const d = dimensionsOf(config);
  return {
    architecture: "qwen2",
    hyperparameters: commonHyperparameters(config, d),
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      layer: () => [
        same("attn_norm.weight", "input_layernorm.weight", d.hidden),
        ...attention(d, "q k v"),
        same("ffn_norm.weight", "post_attention_layernorm.weight", d.hidden),
        ...gatedFeedForward(d.hidden, d.feedForward),
      ],
    }),
  };
}
