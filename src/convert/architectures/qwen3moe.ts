import { type Blueprint, wholeModel } from "./blueprint.js";
import type { Config } from "./config.js";
import { dimensionsOf } from "./hyperparameters.js";
import { qwenMixture } from "./qwen-mixture.js";
import { qwen3Attention } from "./qwen3.js";

/** Qwen 3 mixtures: every layer has experts, none is shared. Source: src/models/qwen3moe.cpp of llama.cpp v0.5.0. */
export function qwen3moe(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const { hyperparameters, experts } = qwenMixture(config, d);
  return {
    architecture: "qwen3moe",
    hyperparameters,
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      layer: () => [...qwen3Attention(config, d), ...experts],
    }),
  };
}
