import {
  type Blueprint,
  type BlueprintTensor,
  experts,
  linear,
  type ModelNames,
  same,
  stackedExperts,
  tensor,
  usualNames,
  wholeModel,
} from "./blueprint.js";
import { type Config, limits } from "./config.js";
import {
  commonHyperparameters,
  type Dimensions,
  dimensionsOf,
  setExperts,
  uint32,
} from "./hyperparameters.js";
import { paired, stored } from "./recipe.js";
import { llama3Factors } from "./rope-factors.js";

/** LLaMA 1 to 3, Mistral, Mixtral and SmolLM. Source: conversion/llama.py, src/models/llama.cpp of llama.cpp v0.5.0. */
export function llama(config: Config, names: LlamaNames = huggingFaceNames): Blueprint {
  const d = dimensionsOf(config);
  const count = config.integer("num_local_experts num_experts", limits.experts, 0, 0);
  const used = count > 0 ? config.integer("num_experts_per_tok", count) : 0;
  const hyperparameters = commonHyperparameters(config, d);
  hyperparameters.set("vocab_size", uint32(d.vocabulary));
  hyperparameters.set("rope.dimension_count", uint32(d.headSize));
  if (count > 0) setExperts(hyperparameters, count, used);

  const hasBias = config.boolean("attention_bias", false);
  const hasFeedForwardBias = config.boolean("mlp_bias", false);
  const [gate, up, down] = names.feedForward;
  const tensors = wholeModel(d, {
    names,
    isTied: config.boolean("tie_word_embeddings", false),
    layer: () => [
      same("attn_norm.weight", `${names.attentionNorm}.weight`, d.hidden),
      ...attention(d, names, hasBias),
      same("ffn_norm.weight", `${names.feedForwardNorm}.weight`, d.hidden),
      ...(count > 0
        ? mixtralExperts(d, count)
        : [
            ...linear("ffn_gate", gate, d.hidden, d.feedForward, hasFeedForwardBias),
            ...linear("ffn_up", up, d.hidden, d.feedForward, hasFeedForwardBias),
            ...linear("ffn_down", down, d.feedForward, d.hidden, hasFeedForwardBias),
          ]),
    ],
  });
  return {
    architecture: "llama",
    hyperparameters,
    tensors: [...llama3Factors(config, d.headSize), ...tensors],
  };
}

/** SmolLM 3: LLaMA whose every fourth layer has no RoPE. Source: src/models/smollm3.cpp. */
export function smollm3(config: Config): Blueprint {
  // llama.cpp knows no other step
  const step = config.integer("no_rope_layer_interval", limits.layers, 4);
  config.expect(step === 4, "no_rope_layer_interval");
  return { ...llama(config), architecture: "smollm3" };
}

/** What LLaMA's tensors are called, and whether the rows of Q and K lie as RoPE in transformers wants them. */
export interface LlamaNames extends ModelNames {
  attentionNorm: string;
  attention: readonly [query: string, key: string, value: string, output: string];
  feedForwardNorm: string;
  feedForward: readonly [gate: string, up: string, down: string];
  isHalved: boolean;
}

export const huggingFaceNames: LlamaNames = {
  ...usualNames,
  attentionNorm: "input_layernorm",
  attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"],
  feedForwardNorm: "post_attention_layernorm",
  feedForward: ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
  isHalved: true,
};

/** Meta's own checkpoints have the rows of Q and K in the order that llama.cpp wants. Source: llama/model.py of Meta. */
export const metaNames: LlamaNames = {
  embedding: "tok_embeddings",
  layers: "layers.",
  norm: "norm",
  output: "output",
  attentionNorm: "attention_norm",
  attention: ["attention.wq", "attention.wk", "attention.wv", "attention.wo"],
  feedForwardNorm: "ffn_norm",
  feedForward: ["feed_forward.w1", "feed_forward.w3", "feed_forward.w2"],
  isHalved: false,
};

function attention(d: Dimensions, names: LlamaNames, hasBias: boolean): BlueprintTensor[] {
  const [query, key, value, output] = names.attention;
  const [queries, kvs] = [d.headSize * d.heads, d.headSize * d.kvHeads];
  return [
    ...turned("attn_q", query, d.heads, d.hidden, queries),
    ...turned("attn_k", key, d.kvHeads, d.hidden, kvs),
    ...linear("attn_v", value, d.hidden, kvs, hasBias),
    ...linear("attn_output", output, queries, d.hidden, hasBias),
  ];

  function turned(name: string, source: string, heads: number, from: number, to: number): BlueprintTensor[] {
    if (!names.isHalved) return linear(name, source, from, to, hasBias);
    const weight = tensor(`${name}.weight`, [from, to], paired(stored(`${source}.weight`, to, from), heads));
    const bias = tensor(`${name}.bias`, [to], paired(stored(`${source}.bias`, to), heads));
    return hasBias ? [weight, bias] : [weight];
  }
}

const mixtralParts = { gate: "w1", up: "w3", down: "w2" } as const;

function mixtralExperts(d: Dimensions, count: number): BlueprintTensor[] {
  return experts(d.hidden, d.feedForward, count, "block_sparse_moe.gate", (part) =>
    stackedExperts(
      count,
      part === "down" ? [d.hidden, d.feedForward] : [d.feedForward, d.hidden],
      (expert) => `block_sparse_moe.experts.${expert}.${mixtralParts[part]}.weight`,
    ),
  );
}
