import { type Blueprint, type BlueprintTensor, same, tensor, wholeModel, withBias } from "./blueprint.js";
import { Config, limits } from "./config.js";
import {
  type Dimensions,
  dimensionsOf,
  float32,
  sizeHyperparameters,
  text,
  uint32,
} from "./hyperparameters.js";
import { groupsApart, stored } from "./recipe.js";

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
  const queries = config.quotient("num_attention_heads", d.heads, "num_kv_heads", d.kvHeads);
  const hasTwoNorms = isNew && config.integer("num_ln_in_parallel_attn", 2, 2) === 2;
  const hyperparameters = sizeHyperparameters(config.with(new Config(config.path, notInConfig)), d);
  const epsilon = config.number("layer_norm_epsilon", 1e-5);
  hyperparameters.set("attention.head_count_kv", uint32(d.kvHeads));
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  hyperparameters.set("tensor_data_layout", text("jploski"));
  return {
    architecture: "falcon",
    hyperparameters,
    prefix: "transformer.",
    tensors: wholeModel(d, {
      names: { embedding: "word_embeddings", layers: "h.", norm: "ln_f", output: "lm_head" },
      // the class of transformers ties them, the published weights have both
      isTied: config.has("tie_word_embeddings") ? config.boolean("tie_word_embeddings", true) : undefined,
      normBias: true,
      layer: () => [
        ...(hasTwoNorms
          ? [...withBias("attn_norm", "ln_mlp", d.hidden), ...withBias("attn_norm_2", "ln_attn", d.hidden)]
          : withBias("attn_norm", "input_layernorm", d.hidden)),
        queryKeyValue(d, queries),
        same("attn_output.weight", "self_attention.dense.weight", d.hidden, d.hidden),
        same("ffn_up.weight", "mlp.dense_h_to_4h.weight", d.hidden, d.feedForward),
        same("ffn_down.weight", "mlp.dense_4h_to_h.weight", d.feedForward, d.hidden),
      ],
    }),
  };
}

/** Stored in groups that share a K and a V head, behind their Q heads. */
function queryKeyValue(d: Dimensions, queries: number): BlueprintTensor {
  const rows = d.hidden + 2 * d.headSize * d.kvHeads;
  const of = stored("self_attention.query_key_value.weight", rows, d.hidden);
  return tensor("attn_qkv.weight", [d.hidden, rows], groupsApart(of, d.kvHeads, queries, d.headSize));
}
