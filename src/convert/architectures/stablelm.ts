import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  gatedFeedForward,
  tensor,
  wholeModel,
  withBias,
} from "./blueprint.js";
import type { Config } from "./config.js";
import {
  type Dimensions,
  dimensionsOf,
  float32,
  ropeBase,
  ropeOf,
  sizeHyperparameters,
  truth,
  uint32,
} from "./hyperparameters.js";
import { stored } from "./recipe.js";

/** StableLM 2 and 3B. Source: conversion/stablelm.py, src/models/stablelm.cpp of llama.cpp v0.5.0. */
export function stablelm(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const hyperparameters = sizeHyperparameters(config, d);
  hyperparameters.set("attention.head_count_kv", uint32(d.kvHeads));
  const share =
    ropeOf(config).number("partial_rotary_factor") ?? config.number("partial_rotary_factor rope_pct", 0.25);
  const isParallel = config.boolean("use_parallel_residual", false);
  hyperparameters.set("rope.dimension_count", uint32(Math.floor(share * d.headSize)));
  // the converter writes none, and llama.cpp then takes this one
  const base = ropeBase(config) ?? 10_000;
  if (base !== 10_000) hyperparameters.set("rope.freq_base", float32(base));
  hyperparameters.set("use_parallel_residual", truth(isParallel));
  const epsilon = config.number("layer_norm_eps norm_eps", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  const hasHeadNorms = config.boolean("qk_layernorm", false);
  return {
    architecture: "stablelm",
    hyperparameters,
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      needsOutput: true,
      normBias: true,
      layer: () => [
        ...withBias("attn_norm", "input_layernorm", d.hidden),
        ...attention(d, config.boolean("use_qkv_bias", false) ? "q k v" : ""),
        ...(hasHeadNorms ? [headNorms(d, "q", d.heads), headNorms(d, "k", d.kvHeads)] : []),
        ...(isParallel ? [] : withBias("ffn_norm", "post_attention_layernorm", d.hidden)),
        ...gatedFeedForward(d.hidden, d.feedForward),
      ],
    }),
  };
}

/** A norm for each head, stacked. */
function headNorms(d: Dimensions, part: "q" | "k", heads: number): BlueprintTensor {
  const norms = Array.from({ length: heads }, (_, head) =>
    stored(`self_attn.${part}_layernorm.norms.${head}.weight`, d.headSize),
  );
  return tensor(`attn_${part}_norm.weight`, [d.headSize, heads], { kind: "joined", parts: norms });
}
