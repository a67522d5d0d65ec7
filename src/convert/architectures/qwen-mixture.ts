import { type BlueprintTensor, experts as expertTensors, stackedExperts } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import {
  commonHyperparameters,
  type Dimensions,
  type Hyperparameters,
  setExperts,
  uint32,
} from "./hyperparameters.js";
import { type Recipe, stored } from "./recipe.js";

/** What the mixtures of Qwen share: their keys, and a layer's experts. Source: conversion/qwen.py of llama.cpp v0.5.0. */
export function qwenMixture(
  config: Config,
  d: Dimensions,
): { hyperparameters: Hyperparameters; experts: BlueprintTensor[] } {
  // llama.cpp's graphs have experts in every layer
  config.expect(config.integer("decoder_sparse_step", limits.layers, 1) === 1, "decoder_sparse_step");
  config.expect(config.count("mlp_only_layers") === 0, "mlp_only_layers");
  const count = config.integer("num_experts num_local_experts", limits.experts);
  const used = config.integer("num_experts_per_tok", count);
  const inner = config.integer("moe_intermediate_size", limits.hidden * 16);
  const hyperparameters = commonHyperparameters(config, d);
  setExperts(hyperparameters, count, used);
  hyperparameters.set("expert_feed_forward_length", uint32(inner));
  const experts = expertTensors(d.hidden, inner, count, "mlp.gate", (part) => ({
    kind: "either",
    choices: [apart(part, d.hidden, inner, count), together(part, d.hidden, inner, count)],
  }));
  return { hyperparameters, experts };
}

type Part = "gate" | "up" | "down";

/** A matrix for each expert. */
function apart(part: Part, hidden: number, inner: number, count: number): Recipe {
  const shape = part === "down" ? ([hidden, inner] as const) : ([inner, hidden] as const);
  return stackedExperts(count, shape, (expert) => `mlp.experts.${expert}.${part}_proj.weight`);
}

/** As transformers 5 saves them: all experts stacked, each one's gate above its up. */
function together(part: Part, hidden: number, inner: number, count: number): Recipe {
  if (part === "down") return stored("mlp.experts.down_proj", count, hidden, inner);
  return {
    kind: "arranged",
    of: stored("mlp.experts.gate_up_proj", count, 2 * inner, hidden),
    rowElements: hidden,
    first: part === "gate" ? 0 : inner,
    axes: [
      { count, step: 2 * inner },
      { count: inner, step: 1 },
    ],
  };
}
