import { type Blueprint, type BlueprintTensor, tensor, wholeModel, withBias } from "./blueprint.js";
import type { Config } from "./config.js";
import {
  type Dimensions,
  dimensionsOf,
  float32,
  sizeHyperparameters,
  truth,
  uint32,
} from "./hyperparameters.js";
import { headsApart, stored } from "./recipe.js";

/** GPT-NeoX and Pythia. Source: conversion/gptneox.py, src/models/gptneox.cpp of llama.cpp v0.5.0. */
export function gptNeoX(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const hyperparameters = sizeHyperparameters(config, d);
  const share = config.number("rotary_pct", 0.25);
  hyperparameters.set("rope.dimension_count", uint32(Math.floor(share * d.headSize)));
  // the converter writes none, and llama.cpp then takes this one
  const base = config.number("rotary_emb_base rope_theta", 10_000);
  if (base !== 10_000) hyperparameters.set("rope.freq_base", float32(base));
  hyperparameters.set("use_parallel_residual", truth(config.boolean("use_parallel_residual", true)));
  const epsilon = config.number("layer_norm_eps layer_norm_epsilon", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  return {
    architecture: "gptneox",
    hyperparameters,
    tensors: wholeModel(d, {
      names: {
        embedding: "gpt_neox.embed_in",
        layers: "gpt_neox.layers.",
        norm: "gpt_neox.final_layer_norm",
        output: "embed_out",
      },
      isTied: config.boolean("tie_word_embeddings", false),
      needsOutput: true,
      normBias: true,
      layer: () => [
        ...withBias("attn_norm", "input_layernorm", d.hidden),
        ...queryKeyValue(d),
        ...withBias("attn_output", "attention.dense", d.hidden, d.hidden),
        ...withBias("ffn_norm", "post_attention_layernorm", d.hidden),
        ...withBias("ffn_up", "mlp.dense_h_to_4h", d.hidden, d.feedForward),
        ...withBias("ffn_down", "mlp.dense_4h_to_h", d.feedForward, d.hidden),
      ],
    }),
  };
}

/** Stored head by head, each with its Q, K and V. */
function queryKeyValue(d: Dimensions): BlueprintTensor[] {
  const source = "attention.query_key_value";
  const rows = 3 * d.hidden;
  const apart = (of: ReturnType<typeof stored>) => headsApart(of, d.heads, d.headSize);
  return [
    tensor("attn_qkv.weight", [d.hidden, rows], apart(stored(`${source}.weight`, rows, d.hidden))),
    tensor("attn_qkv.bias", [rows], apart(stored(`${source}.bias`, rows))),
  ];
}
