import {
  attention,
  type Blueprint,
  commonHyperparameters,
  type Dimensions,
  dimensionsOf,
  experts,
  gatedFeedForward,
  setExperts,
  uint32,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/** Qwen 2 and 2.5: biases on Q, K and V. Source: conversion/qwen.py, src/models/qwen2.cpp of llama.cpp v0.5.0. */
export function qwen2(config: Config): Blueprint {
  const d = dimensionsOf(config);
  return {
    architecture: "qwen2",
    hyperparameters: commonHyperparameters(config, d),
    tensors: wholeModel(d, isTied(config), () => [
      ["attn_norm.weight", d.hidden],
      ...attention(d, "q k v"),
      ["ffn_norm.weight", d.hidden],
      ...gatedFeedForward(d.hidden, d.feedForward),
    ]),
  };
}

/** Qwen 1.5 and 2 mixtures: experts, and one that all tokens share. Source: src/models/qwen2moe.cpp. */
export function qwen2moe(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const { count, inner, hyperparameters } = mixture(config, d);
  const shared = config.integer("shared_expert_intermediate_size", limits.hidden * 16, d.feedForward);
  hyperparameters.set("expert_shared_feed_forward_length", uint32(shared));
  return {
    architecture: "qwen2moe",
    hyperparameters,
    tensors: wholeModel(d, false, () => [
      ["attn_norm.weight", d.hidden],
      ...attention(d, config.boolean("qkv_bias", true) ? "q k v" : ""),
      ["ffn_norm.weight", d.hidden],
      ...experts(d.hidden, inner, count),
      ["ffn_gate_inp_shexp.weight", d.hidden],
      ...gatedFeedForward(d.hidden, shared, "_shexp"),
    ]),
  };
}

/** Qwen 3: norms on Q and K, no biases. Source: src/models/qwen3.cpp. */
export function qwen3(config: Config): Blueprint {
  const d = dimensionsOf(config);
  return {
    architecture: "qwen3",
    hyperparameters: commonHyperparameters(config, d),
    tensors: wholeModel(d, isTied(config), () => [
      ...normedAttention(config, d),
      ...gatedFeedForward(d.hidden, d.feedForward),
    ]),
  };
}

/** Qwen 3 mixtures: every layer has experts, none is shared. Source: src/models/qwen3moe.cpp. */
export function qwen3moe(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const { count, inner, hyperparameters } = mixture(config, d);
  return {
    architecture: "qwen3moe",
    hyperparameters,
    tensors: wholeModel(d, isTied(config), () => [
      ...normedAttention(config, d),
      ...experts(d.hidden, inner, count),
    ]),
  };
}

function normedAttention(config: Config, d: Dimensions) {
  const biases = config.boolean("attention_bias", false) ? "q k v output" : "";
  return [
    ["attn_norm.weight", d.hidden] as const,
    ...attention(d, biases),
    ["attn_q_norm.weight", d.headSize] as const,
    ["attn_k_norm.weight", d.headSize] as const,
    ["ffn_norm.weight", d.hidden] as const,
  ];
}

function mixture(config: Config, d: Dimensions) {
  // llama.cpp's graphs have experts in every layer
  config.expect(config.integer("decoder_sparse_step", limits.layers, 1) === 1, "decoder_sparse_step");
  config.expect(config.count("mlp_only_layers") === 0, "mlp_only_layers");
  const count = config.integer("num_experts num_local_experts", limits.experts);
  const used = config.integer("num_experts_per_tok", count);
  const inner = config.integer("moe_intermediate_size", limits.hidden * 16);
  const hyperparameters = commonHyperparameters(config, d);
  setExperts(hyperparameters, count, used);
  hyperparameters.set("expert_feed_forward_length", uint32(inner));
  return { count, inner, hyperparameters };
}

function isTied(config: Config): boolean {
  return config.boolean("tie_word_embeddings", false);
}
