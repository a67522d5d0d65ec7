import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  commonHyperparameters,
  dimensionsOf,
  experts,
  gatedFeedForward,
  ropeOf,
  setExperts,
  uint32,
  wholeModel,
  withBias,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/**
 * LLaMA, Mistral and Mixtral. Source: conversion/llama.py, src/models/llama.cpp of llama.cpp v0.5.0.
 */
export function llama(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const count = config.integer("num_local_experts num_experts", limits.experts, 0, 0);
  const used = count > 0 ? config.integer("num_experts_per_tok", count) : 0;
  const hyperparameters = commonHyperparameters(config, d);
  hyperparameters.set("rope.dimension_count", uint32(d.headSize));
  if (count > 0) setExperts(hyperparameters, count, used);

  const biases = config.boolean("attention_bias", false) ? "q k v output" : "";
  const dense = config.boolean("mlp_bias", false)
    ? gatedFeedForward(d.hidden, d.feedForward).flatMap(([name, ...shape]) =>
        withBias(name.replace(".weight", ""), ...shape),
      )
    : gatedFeedForward(d.hidden, d.feedForward);
  const feedForward = count > 0 ? experts(d.hidden, d.feedForward, count) : dense;
  const tensors = wholeModel(d, config.boolean("tie_word_embeddings", false), () => [
    ["attn_norm.weight", d.hidden],
    ...attention(d, biases),
    ["ffn_norm.weight", d.hidden],
    ...feedForward,
  ]);
  return {
    architecture: "llama",
    hyperparameters,
    tensors: [...ropeFactors(config, d.headSize), ...tensors],
  };
}

/** Llama 3 stretches its context with one factor for each pair of a head's elements. */
function ropeFactors(config: Config, headSize: number): BlueprintTensor[] {
  const type = ropeOf(config).string("rope_type type")?.toLowerCase();
  return type === "llama3" ? [["rope_freqs.weight", headSize / 2]] : [];
}
