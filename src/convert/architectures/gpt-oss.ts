import {
  attention,
  type Blueprint,
  type BlueprintTensor,
  experts,
  same,
  tensor,
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
import { type Recipe, type Stored, stored } from "./recipe.js";

/**
 * gpt-oss: every other layer slides, attention has sinks, experts come in MXFP4.
 * Source: conversion/gpt_oss.py, src/models/openai-moe.cpp of llama.cpp v0.5.0.
 */
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
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      needsOutput: true,
      layer: () => [
        same("attn_norm.weight", "input_layernorm.weight", d.hidden),
        ...attention(d, "q k v output"),
        same("attn_sinks.weight", "self_attn.sinks", d.heads),
        same("post_attention_norm.weight", "post_attention_layernorm.weight", d.hidden),
        ...mixture(d, count),
      ],
    }),
  };
}

function mixture(d: Dimensions, count: number): BlueprintTensor[] {
  const [hidden, inner] = [d.hidden, d.feedForward];
  const recipes = {
    gate: halfRecipe(hidden, inner, count, 0),
    up: halfRecipe(hidden, inner, count, 1),
    down: downRecipe(hidden, inner, count),
  };
  const both = stored("mlp.experts.gate_up_proj_bias", count, 2 * inner);
  return [
    ...experts(hidden, inner, count, "mlp.router", (part) => recipes[part]),
    same("ffn_gate_inp.bias", "mlp.router.bias", count),
    tensor("ffn_gate_exps.bias", [inner, count], everySecond(both, 1, 0, inner * count)),
    tensor("ffn_up_exps.bias", [inner, count], everySecond(both, 1, 1, inner * count)),
    same("ffn_down_exps.bias", "mlp.experts.down_proj_bias", hidden, count),
  ];
}

/** Elements of a block of MXFP4, and bytes of their values; its scale is one more. */
const [blockElements, blockBytes] = [32, 16];

/** Gate and up alternate, row by row: gate is the first. Without MXFP4 they are columns. */
function halfRecipe(hidden: number, inner: number, count: number, first: 0 | 1): Recipe {
  const name = "mlp.experts.gate_up_proj";
  const plain = Array.from({ length: count }, (_, expert): Recipe => {
    const whole = transposedExpert(name, [count, hidden, 2 * inner], expert);
    return everySecond(whole, hidden, first, inner);
  });
  const [rows, blocks] = [inner * count, hidden / blockElements];
  const values = stored(`${name}_blocks`, count, 2 * inner, blocks, blockBytes);
  const scales = stored(`${name}_scales`, count, 2 * inner, blocks);
  return blocksOrElse(hidden, plain, {
    kind: "mxfp4",
    blocks: everySecond(values, blocks * blockBytes, first, rows),
    scales: everySecond(scales, blocks, first, rows),
  });
}

function downRecipe(hidden: number, inner: number, count: number): Recipe {
  const name = "mlp.experts.down_proj";
  const blocks = inner / blockElements;
  const plain = Array.from({ length: count }, (_, expert) =>
    transposedExpert(name, [count, inner, hidden], expert),
  );
  return blocksOrElse(inner, plain, {
    kind: "mxfp4",
    blocks: stored(`${name}_blocks`, count, hidden, blocks, blockBytes),
    scales: stored(`${name}_scales`, count, hidden, blocks),
  });
}

function blocksOrElse(rowElements: number, plain: readonly Recipe[], blocks: Recipe): Recipe {
  const joined: Recipe = { kind: "joined", parts: plain };
  return rowElements % blockElements === 0 ? { kind: "either", choices: [blocks, joined] } : joined;
}

/** The columns of one expert's matrix of a stack, as rows. */
function transposedExpert(name: string, shape: readonly [number, number, number], expert: number): Recipe {
  const [, rows, columns] = shape;
  const matrix: Recipe = {
    kind: "arranged",
    of: stored(name, ...shape),
    rowElements: columns,
    first: expert * rows,
    axes: [{ count: rows, step: 1 }],
  };
  return { kind: "transposed", of: matrix, columns };
}

function everySecond(of: Recipe | Stored, rowElements: number, first: 0 | 1, count: number): Recipe {
  return { kind: "arranged", of, rowElements, first, axes: [{ count, step: 2 }] };
}
