import { type Blueprint, type BlueprintTensor, same, tensor, wholeModel, withBias } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import { dimensionsOf, float32, sizeHyperparameters, uint32 } from "./hyperparameters.js";
import { stored } from "./recipe.js";

/**
 * GPT-2: learned positions, matrices stored the other way round.
 * Source: conversion/gpt2.py, src/models/gpt2.cpp of llama.cpp v0.5.0.
 */
export function gpt2(config: Config): Blueprint {
  const d = dimensionsOf(config);
  // the converter knows no other width
  d.feedForward = 4 * d.hidden;
  const context = config.integer("n_ctx n_positions max_position_embeddings", limits.tokens);
  const hyperparameters = sizeHyperparameters(config, d);
  hyperparameters.set("context_length", uint32(context));
  const epsilon = config.number("layer_norm_epsilon layer_norm_eps", 1e-5);
  hyperparameters.set("attention.layer_norm_epsilon", float32(epsilon));
  return {
    architecture: "gpt2",
    hyperparameters,
    prefix: "transformer.",
    tensors: [
      same("position_embd.weight", "wpe.weight", d.hidden, context),
      ...wholeModel(d, {
        names: { embedding: "wte", layers: "h.", norm: "ln_f", output: "lm_head" },
        isTied: config.boolean("tie_word_embeddings", true),
        normBias: true,
        layer: () => [
          ...withBias("attn_norm", "ln_1", d.hidden),
          ...convolution("attn_qkv", "attn.c_attn", d.hidden, 3 * d.hidden),
          ...convolution("attn_output", "attn.c_proj", d.hidden, d.hidden),
          ...withBias("ffn_norm", "ln_2", d.hidden),
          ...convolution("ffn_up", "mlp.c_fc", d.hidden, d.feedForward),
          ...convolution("ffn_down", "mlp.c_proj", d.feedForward, d.hidden),
        ],
      }),
    ],
  };
}

/** A `Conv1D` of transformers: a matrix of inputs by outputs, and a bias. */
function convolution(name: string, source: string, from: number, to: number): BlueprintTensor[] {
  return [
    tensor(`${name}.weight`, [from, to], {
      kind: "transposed",
      of: stored(`${source}.weight`, from, to),
      columns: to,
    }),
    same(`${name}.bias`, `${source}.bias`, to),
  ];
}
