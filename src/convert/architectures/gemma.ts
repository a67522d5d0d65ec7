import {
  attention,
  type Blueprint,
  commonHyperparameters,
  type Dimensions,
  dimensionsOf,
  float32,
  gatedFeedForward,
  ropeOf,
  setHeadSize,
  uint32,
  wholeModel,
} from "./blueprint.js";
import { Config, limits } from "./config.js";

/** Gemma 2: every other layer slides. Source: conversion/gemma.py, src/models/gemma2.cpp of llama.cpp v0.5.0. */
export function gemma2(config: Config): Blueprint {
  const whole = new Config(config.path, { head_dim: 256 }).with(config);
  const d = dimensionsOf(whole);
  const hyperparameters = commonHyperparameters(whole, d);
  hyperparameters.set("attn_logit_softcapping", float32(config.number("attn_logit_softcapping", 50)));
  hyperparameters.set("final_logit_softcapping", float32(config.number("final_logit_softcapping", 30)));
  hyperparameters.set(
    "attention.sliding_window",
    uint32(config.integer("sliding_window", limits.tokens, 4096)),
  );
  return { architecture: "gemma2", hyperparameters, tensors: wholeModel(d, true, () => layer(d, [])) };
}

/** What a Gemma 3 configuration leaves out: the defaults of its class in transformers. */
const gemma3Defaults = {
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  rms_norm_eps: 1e-6,
  max_position_embeddings: 131_072,
  vocab_size: 262_208,
};
/** Tokens of Gemma 3's tokenizer: the converter drops the embedding's rows behind them. */
const gemma3Tokens = 262_144;

/** Gemma 3's text model: five of six layers slide. Source: conversion/gemma.py, src/models/gemma3.cpp. */
export function gemma3(config: Config): Blueprint {
  const whole = new Config(config.path, gemma3Defaults).with(config);
  const d = dimensionsOf(whole);
  d.vocabulary = Math.min(d.vocabulary, gemma3Tokens);
  const hyperparameters = commonHyperparameters(whole, d);
  setHeadSize(hyperparameters, d.headSize);
  const rope = ropeOf(config);
  const base = rope.number("rope_theta") ?? config.number("rope_theta", 1_000_000);
  hyperparameters.set("rope.freq_base", float32(base));
  const local = config.number("rope_local_base_freq");
  if (local !== undefined) hyperparameters.set("rope.freq_base_swa", float32(local));
  const slides = config.integer("sliding_window_pattern _sliding_window_pattern", limits.layers, 6) !== 1;
  if (slides)
    hyperparameters.set(
      "attention.sliding_window",
      uint32(config.integer("sliding_window", limits.tokens, 1024)),
    );
  const norms = [
    ["attn_q_norm.weight", d.headSize],
    ["attn_k_norm.weight", d.headSize],
  ] as const;
  const isTied = config.boolean("tie_word_embeddings", true);
  return { architecture: "gemma3", hyperparameters, tensors: wholeModel(d, isTied, () => layer(d, norms)) };
}

function layer(d: Dimensions, norms: readonly (readonly [string, number])[]) {
  return [
    ["attn_norm.weight", d.hidden] as const,
    ...attention(d),
    ...norms,
    ["post_attention_norm.weight", d.hidden] as const,
    ["ffn_norm.weight", d.hidden] as const,
    ...gatedFeedForward(d.hidden, d.feedForward),
    ["post_ffw_norm.weight", d.hidden] as const,
  ];
}
