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
  const { fround } = Math;
  // in single precision, and by reciprocals, as the original computes it
  const values = Array.from({ length: headSize / 2 }, (_, pair) => {
    const frequency = fround(1 / fround(base ** fround((2 * pair) / headSize)));
    const wave = fround(fround(1 / frequency) * fround(2 * Math.PI));
    const turns = fround(fround(1 / wave) * context);
    if (turns > high) return 1;
    if (turns < low) return factor;
    const share = fround(fround(turns - low) / (high - low));
    return fround(1 / fround(fround(fround(1 - share) / factor) + share));
  });
  return [tensor("rope_freqs.weight", [values.length], { kind: "numbers", values })];
}
