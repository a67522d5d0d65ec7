import { type BlueprintTensor, tensor } from "./blueprint.js";
import type { Config } from "./config.js";
import { ropeOf } from "./hyperparameters.js";

/**
 * What Llama 3.1 and later divide the RoPE frequency of each pair of a head's elements by: nothing for the fast ones,
 * `factor` for the slow ones, something between for those between. Empty for other kinds of scaling.
 *
 * Source: "llama3" in modeling_rope_utils.py of transformers; `generate_extra_tensors` in conversion/llama.py.
 */
export function llama3Factors(config: Config, headSize: number): BlueprintTensor[] {
  const rope = ropeOf(config);
  if (rope.string("rope_type type")?.toLowerCase() !== "llama3") return [];
  const base = rope.number("rope_theta") ?? config.number("rope_theta", 10_000);
  const factor = rope.number("factor", 8);
  const low = rope.number("low_freq_factor", 1);
  const high = rope.number("high_freq_factor", 4);
  const context = rope.number("original_max_position_embeddings", 8192);
  const values = Array.from({ length: headSize / 2 }, (_, pair) => {
    const frequency = Math.fround(1 / Math.fround(base ** Math.fround((2 * pair) / headSize)));
    const turns = context / ((2 * Math.PI) / frequency);
    if (turns > high) return 1;
    if (turns < low) return factor;
    const share = (turns - low) / (high - low);
    return 1 / ((1 - share) / factor + share);
  });
  return [tensor("rope_freqs.weight", [values.length], { kind: "numbers", values })];
}
