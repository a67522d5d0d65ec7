import {
  type Blueprint,
  commonHyperparameters,
  dimensionsOf,
  float32,
  wholeModel,
  withBias,
} from "./blueprint.js";
import { Config, limits } from "./config.js";

/** What Falcon was trained for; its configurations do not say. */
const notInConfig = { max_position_embeddings: 2048 };

/** Falcon 7B and 40B. Source: conversion/falcon.py, src/models/falcon.cpp of llama.cpp v0.5.0. */
export function falcon(config: Config): Blueprint {
  config.expect(!config.boolean("alibi", false), "alibi");
  config.expect(!config.boolean("bias", false), "bias");
  const d = dimensionsOf(config);
  const isNew = config.boolean("new_decoder_architecture", false);
  const shared = config.boolean("multi_query", true) ? 1 : d.heads;
  d.kvHeads = isNew ? config.integer("num_kv_heads n_head_kv", limits.heads, d.heads) : shared;
  d.feedForward = 4 * d.hidden;
  const hyperparameters = commonHyperparameters(config.with(new Config(config.path, notInConfig)), d);
  const epsilon = config.number("layer_norm_epsilon", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  hyperparameters.set("tensor_data_layout", { type: "string", value: "jploski" });
  const kv = d.headSize * d.kvHeads;
  return {
    architecture: "falcon",
    hyperparameters,
    tensors: wholeModel(
      d,
      config.boolean("tie_word_embeddings", false),
      () => [
        ...withBias("attn_norm", d.hidden),
        ...(isNew ? withBias("attn_norm_2", d.hidden) : []),
        ["attn_qkv.weight", d.hidden, d.hidden + 2 * kv],
        ["attn_output.weight", d.hidden, d.hidden],
        ["ffn_up.weight", d.hidden, d.feedForward],
        ["ffn_down.weight", d.feedForward, d.hidden],
      ],
      { normBias: true },
    ),
  };
}
