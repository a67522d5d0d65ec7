import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  gatedFeedForward,
  same,
  wholeModel,
} from "./blueprint.js";
import type { Config } from "./config.js";
import { commonHyperparameters, type Dimensions, dimensionsOf } from "./hyperparameters.js";

/** Qwen 3: norms on Q and K, no biases. Source: conversion/qwen.py, src/models/qwen3.cpp of llama.cpp v0.5.0. */
export function qwen3(config: Config): Blueprint {
  const d = dimensionsOf(config);
  return {
    architecture: "qwen3",
    hyperparameters: commonHyperparameters(config, d),
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      layer: () => [...qwen3Attention(config, d), ...gatedFeedForward(d.hidden, d.feedForward)],
    }),
  };
}

/** Everything of a layer but its feed-forward part. */
export function qwen3Attention(config: Config, d: Dimensions): BlueprintTensor[] {
  return [
    same("attn_norm.weight", "input_layernorm.weight", d.hidden),
    ...attention(d, config.boolean("attention_bias", false) ? "q k v output" : ""),
    same("attn_q_norm.weight", "self_attn.q_norm.weight", d.headSize),
    same("attn_k_norm.weight", "self_attn.k_norm.weight", d.headSize),
    same("ffn_norm.weight", "post_attention_layernorm.weight", d.hidden),
  ];
}
