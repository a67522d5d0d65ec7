import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  commonHyperparameters,
  dimensionsOf,
  float32,
  gatedFeedForward,
  ropeOf,
  uint32,
  wholeModel,
  withBias,
} from "./blueprint.js";
import type { Config } from "./config.js";

/** StableLM 2 and 3B. Source: conversion/stablelm.py, src/models/stablelm.cpp of llama.cpp v0.5.0. */
export function stablelm(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const hyperparameters = commonHyperparameters(config, d);
  const share =
    ropeOf(config).number("partial_rotary_factor") ?? config.number("partial_rotary_factor rope_pct", 0.25);
  const isParallel = config.boolean("use_parallel_residual", false);
  hyperparameters.set("rope.dimension_count", uint32(Math.floor(share * d.headSize)));
  hyperparameters.set("use_parallel_residual", { type: "bool", value: isParallel });
  const epsilon = config.number("layer_norm_eps norm_eps", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  const norms: BlueprintTensor[] = config.boolean("qk_layernorm", false)
    ? [
        ["attn_q_norm.weight", d.headSize, d.heads],
        ["attn_k_norm.weight", d.headSize, d.kvHeads],
      ]
    : [];
  return {
    architecture: "stablelm",
    hyperparameters,
    tensors: wholeModel(
      d,
      false,
      () => [
        ...withBias("attn_norm", d.hidden),
        ...attention(d, config.boolean("use_qkv_bias", false) ? "q k v" : ""),
        ...norms,
        ...(isParallel ? [] : withBias("ffn_norm", d.hidden)),
        ...gatedFeedForward(d.hidden, d.feedForward),
      ],
      { normBias: true },
    ),
  };
}
