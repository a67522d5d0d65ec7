import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  gatedFeedForward,
  same,
  tensor,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";
import {
  type Dimensions,
  dimensionsOf,
  float32,
  setHeadSize,
  sizeHyperparameters,
  uint32,
  withDefaults,
} from "./hyperparameters.js";

/** What a Gemma 2 configuration may leave out: the defaults of its class in transformers. */
const defaults = {
  head_dim: 256,
  rms_norm_eps: 1e-6,
  sliding_window: 4096,
  attn_logit_softcapping: 50,
  final_logit_softcapping: 30,
};

/** Gemma 2: every other layer slides. Source: conversion/gemma.py, src/models/gemma2.cpp of llama.cpp v0.5.0. */
export function gemma2(config: Config): Blueprint {
  const whole = withDefaults(config, defaults);
  const d = dimensionsOf(whole);
  const hyperparameters = sizeHyperparameters(whole, d);
  hyperparameters.set("attention.head_count_kv", uint32(d.kvHeads));
  hyperparameters.set("attention.layer_norm_rms_epsilon", float32(whole.number("rms_norm_eps", 1e-6)));
  setHeadSize(hyperparameters, d.headSize);
  hyperparameters.set("attn_logit_softcapping", float32(whole.number("attn_logit_softcapping", 50)));
  hyperparameters.set("final_logit_softcapping", float32(whole.number("final_logit_softcapping", 30)));
  hyperparameters.set("attention.sliding_window", uint32(whole.integer("sliding_window", limits.tokens)));
  const tensors = wholeModel(d, { isTied: true, layer: () => gemmaLayer(d, []) });
  return { architecture: "gemma2", hyperparameters, tensors: tensors.map(withGemmaNorm) };
}

/** A layer of Gemma 2 or 3, which has norms behind attention and feed-forward, too. */
export function gemmaLayer(d: Dimensions, headNorms: readonly BlueprintTensor[]): BlueprintTensor[] {
  return [
    same("attn_norm.weight", "input_layernorm.weight", d.hidden),
    ...attention(d),
    ...headNorms,
    same("post_attention_norm.weight", "post_attention_layernorm.weight", d.hidden),
    same("ffn_norm.weight", "pre_feedforward_layernorm.weight", d.hidden),
    ...gatedFeedForward(d.hidden, d.feedForward),
    same("post_ffw_norm.weight", "post_feedforward_layernorm.weight", d.hidden),
  ];
}

/** Gemma's norms multiply by one more than their weights; llama.cpp's by their weights. */
export function withGemmaNorm(of: BlueprintTensor): BlueprintTensor {
  if (!of.name.endsWith("norm.weight")) return of;
  return tensor(of.name, of.shape, { kind: "plusOne", of: of.recipe });
}
