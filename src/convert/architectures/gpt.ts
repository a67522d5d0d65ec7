import {
  type Blueprint,
  type BlueprintTensor,
  commonHyperparameters,
  type Dimensions,
  dimensionsOf,
  float32,
  uint32,
  wholeModel,
  withBias,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/** GPT-2: learned positions. Source: conversion/gpt2.py, src/models/gpt2.cpp of llama.cpp v0.5.0. */
export function gpt2(config: Config): Blueprint {
  const d = dimensionsOf(config);
  // the converter knows no other width
  d.feedForward = 4 * d.hidden;
  const context = config.integer("n_ctx n_positions max_position_embeddings", limits.tokens);
  const hyperparameters = commonHyperparameters(config, d);
  hyperparameters.set("context_length", uint32(context));
  setNorm(config, hyperparameters);
  return {
    architecture: "gpt2",
    hyperparameters,
    tensors: [
      ["position_embd.weight", d.hidden, context],
      ...wholeModel(d, config.boolean("tie_word_embeddings", true), () => layer(d), { normBias: true }),
    ],
  };
}

/** GPT-NeoX and Pythia. Source: conversion/gptneox.py, src/models/gptneox.cpp. */
export function gptNeoX(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const hyperparameters = commonHyperparameters(config, d);
  const share = config.number("rotary_pct", 0.25);
  hyperparameters.set("rope.dimension_count", uint32(Math.floor(share * d.headSize)));
  hyperparameters.set("use_parallel_residual", {
    type: "bool",
    value: config.boolean("use_parallel_residual", true),
  });
  setNorm(config, hyperparameters);
  return {
    architecture: "gptneox",
    hyperparameters,
    tensors: wholeModel(d, false, () => layer(d), { normBias: true }),
  };
}

function setNorm(config: Config, hyperparameters: Blueprint["hyperparameters"]): void {
  const epsilon = config.number("layer_norm_epsilon layer_norm_eps", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
}

function layer(d: Dimensions): BlueprintTensor[] {
  return [
    ...withBias("attn_norm", d.hidden),
    ...withBias("attn_qkv", d.hidden, 3 * d.hidden),
    ...withBias("attn_output", d.hidden, d.hidden),
    ...withBias("ffn_norm", d.hidden),
    ...withBias("ffn_up", d.hidden, d.feedForward),
    ...withBias("ffn_down", d.feedForward, d.hidden),
  ];
}
