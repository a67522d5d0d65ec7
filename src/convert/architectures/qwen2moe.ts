import { attention, type Blueprint, gatedFeedForward, same, wholeModel } from "./blueprint.js";
import { type Config, limits } from "./config.js";
import { dimensionsOf, uint32 } from "./hyperparameters.js";
import { qwenMixture } from "./qwen-mixture.js";

/** Qwen 1.5 and 2 mixtures: experts, and one that all tokens share. Source: src/models/qwen2moe.cpp. */
export function qwen2moe(config: Config): Blueprint {
  const d = dimensionsOf(config);
  const { hyperparameters, experts } = qwenMixture(config, d);
  const shared = config.integer("shared_expert_intermediate_size", limits.hidden * 16, d.feedForward);
  hyperparameters.set("expert_shared_feed_forward_length", uint32(shared));
  return {
    architecture: "qwen2moe",
    hyperparameters,
    tensors: wholeModel(d, {
      isTied: config.boolean("tie_word_embeddings", false),
      needsOutput: true,
      layer: () => [
        same("attn_norm.weight", "input_layernorm.weight", d.hidden),
        ...attention(d, config.boolean("qkv_bias", true) ? "q k v" : ""),
        same("ffn_norm.weight", "post_attention_layernorm.weight", d.hidden),
        ...experts,
        same("ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", d.hidden, 1),
        ...gatedFeedForward(d.hidden, shared, { suffix: "_shexp", source: "mlp.shared_expert" }),
      ],
    }),
  };
}
