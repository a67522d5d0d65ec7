import { type Blueprint, type BlueprintTensor, same, tensor, wholeModel } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import { gemmaLayer, withGemmaNorm } from "./gemma2.js";
import {
  commonHyperparameters,
  dimensionsOf,
  float32,
  ropeBase,
  setHeadSize,
  uint32,
  withDefaults,
} from "./hyperparameters.js";
import { firstRows, stored } from "./recipe.js";

/** What a Gemma 3 configuration leaves out: the defaults of its class in transformers. */
const defaults = {
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  rms_norm_eps: 1e-6,
  max_position_embeddings: 131_072,
  vocab_size: 262_208,
};
/** Tokens of Gemma 3's tokenizer: the converter drops the embedding's rows behind them. */
const tokens = 262_144;

/** Gemma 3's text model: five of six layers slide. Source: conversion/gemma.py, src/models/gemma3.cpp. */
export function gemma3(config: Config): Blueprint {
  const whole = withDefaults(config, defaults);
  const d = dimensionsOf(whole);
  const storedTokens = d.vocabulary;
  d.vocabulary = Math.min(d.vocabulary, tokens);
  const hyperparameters = commonHyperparameters(whole, d);
  setHeadSize(hyperparameters, d.headSize);
  hyperparameters.set("rope.freq_base", float32(ropeBase(config) ?? 1_000_000));
  const cap = config.number("final_logit_softcapping", 0);
  if (cap !== 0) hyperparameters.set("final_logit_softcapping", float32(cap));
  const slides = config.integer("sliding_window_pattern _sliding_window_pattern", limits.layers, 6) !== 1;
  if (slides)
    hyperparameters.set(
      "attention.sliding_window",
      uint32(config.integer("sliding_window", limits.tokens, 1024)),
    );
  const tensors = wholeModel(d, {
    isTied: config.boolean("tie_word_embeddings", true),
    layer: () =>
      gemmaLayer(d, [
        same("attn_q_norm.weight", "self_attn.q_norm.weight", d.headSize),
        same("attn_k_norm.weight", "self_attn.k_norm.weight", d.headSize),
      ]),
  });
  return {
    architecture: "gemma3",
    hyperparameters,
    tensors: tensors.map((of) => withGemmaNorm(withoutSpareRows(of, storedTokens))),
  };
}

/** The first rows of the embedding and the output matrix: as many as there are tokens. */
function withoutSpareRows(of: BlueprintTensor, storedTokens: number): BlueprintTensor {
  const [hidden = 0, rows = 0] = of.shape;
  if (!/^(token_embd|output)\.weight$/.test(of.name) || of.recipe.kind !== "stored" || rows === storedTokens)
    return of;
  return tensor(of.name, of.shape, firstRows(stored(of.recipe.name, storedTokens, hidden), rows));
}
