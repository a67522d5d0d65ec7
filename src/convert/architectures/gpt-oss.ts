import {
  attention,
  type Blueprint,
  commonHyperparameters,
  dimensionsOf,
  experts,
  setExperts,
  uint32,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";

/** gpt-oss: every other layer slides, attention has sinks. Source: conversion/gpt_oss.py, src/models/openai-moe.cpp. */
export function gptOss(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const count = config.integer("num_local_experts num_experts", limits.experts);
  const used = config.integer("num_experts_per_tok experts_per_token", count);
  const hyperparameters = commonHyperparameters(config, d);
  setExperts(hyperparameters, count, used);
  hyperparameters.set("expert_feed_forward_length", uint32(d.feedForward));
  hyperparameters.set("attention.sliding_window", uint32(config.integer("sliding_window", limits.tokens)));
  return {
    architecture: "gpt-oss",
    hyperparameters,
    tensors: wholeModel(d, false, () => [
      ["attn_norm.weight", d.hidden],
      ...attention(d, "q k v output"),
      ["attn_sinks.weight", d.heads],
      ["post_attention_norm.weight", d.hidden],
      ...experts(d.hidden, d.feedForward, count),
      ["ffn_gate_inp.bias", count],
      ["ffn_gate_exps.bias", d.feedForward, count],
      ["ffn_up_exps.bias", d.feedForward, count],
      ["ffn_down_exps.bias", d.hidden, count],
    ]),
  };
}
