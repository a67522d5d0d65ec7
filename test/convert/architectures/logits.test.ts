import { describe, expect, it } from "vitest";
import { knownModel } from "../../../src/convert/architectures/known.js";
import { distance } from "../../engine/harness.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { memoryCheckpoint } from "../memory-checkpoint.js";
import { engineLogits } from "./engine-logits.js";
import {
  attend,
  each,
  frequencies,
  geluTanh,
  plus,
  rope,
  type Sequence,
  silu,
  softmax,
  times,
  Weights,
} from "./forward.js";
import { randomWeights, writeConverted } from "./random-model.js";
import { tinyConfigs } from "./tiny-configs.js";

const temporary = temporaryFolder();
const tokens = [1, 260, 300, 17, 301, 2, 280, 299, 33, 34];
const hidden = 64;
const layerNames = (count: number) => Array.from({ length: count }, (_, layer) => `model.layers.${layer}`);

/** LLaMA, and with other feed-forward parts what follows it. */
function llama(w: Weights, turning: readonly number[], feedForward = gated): Sequence {
  let x = w.rows("model.embed_tokens.weight", tokens, hidden);
  for (const layer of layerNames(2)) {
    const input = w.rmsNorm(`${layer}.input_layernorm`, x, 1e-5);
    const q = rope(w.linear(`${layer}.self_attn.q_proj`, input), 16, turning);
    const k = rope(w.linear(`${layer}.self_attn.k_proj`, input), 16, turning);
    const v = w.linear(`${layer}.self_attn.v_proj`, input);
    x = plus(x, w.linear(`${layer}.self_attn.o_proj`, attend(q, k, v, { heads: 4, kvHeads: 2 })));
    x = plus(x, feedForward(w, layer, w.rmsNorm(`${layer}.post_attention_layernorm`, x, 1e-5)));
  }
  return w.linear("lm_head", w.rmsNorm("model.norm", x, 1e-5));
}

function gated(w: Weights, layer: string, input: Sequence, activation = silu): Sequence {
  const gate = each(w.linear(`${layer}.mlp.gate_proj`, input), activation);
  return w.linear(`${layer}.mlp.down_proj`, times(gate, w.linear(`${layer}.mlp.up_proj`, input)));
}

/** Two of four experts for each token, weighted by their share of the two. */
function twoExperts(w: Weights, layer: string, input: Sequence): Sequence {
  const moe = `${layer}.block_sparse_moe`;
  return w.linear(`${moe}.gate`, input).map((scores, token) => {
    const shares = softmax([...scores]);
    const best = shares.map((share, expert) => ({ share, expert })).toSorted((a, b) => b.share - a.share);
    const chosen = best.slice(0, 2);
    const sum = chosen[0]!.share + chosen[1]!.share;
    const result = new Float64Array(hidden);
    for (const { share, expert } of chosen) {
      const one = [input[token]!];
      const gate = each(w.linear(`${moe}.experts.${expert}.w1`, one), silu);
      const [out] = w.linear(
        `${moe}.experts.${expert}.w2`,
        times(gate, w.linear(`${moe}.experts.${expert}.w3`, one)),
      );
      out!.forEach((value, index) => {
        result[index]! += (value * share) / sum;
      });
    }
    return result;
  });
}

/** Llama 3.1's frequencies: long waves are stretched by the factor, short ones not, those between in part. */
function llama3Frequencies(): number[] {
  const [factor, low, high, context] = [8, 1, 4, 64];
  return frequencies(500_000, 16).map((frequency) => {
    const wave = (2 * Math.PI) / frequency;
    if (wave < context / high) return frequency;
    if (wave > context / low) return frequency / factor;
    const smooth = (context / wave - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

function qwen3(w: Weights): Sequence {
  const turning = frequencies(1_000_000, 32);
  let x = w.rows("model.embed_tokens.weight", tokens, hidden);
  for (const layer of layerNames(2)) {
    const attention = `${layer}.self_attn`;
    const input = w.rmsNorm(`${layer}.input_layernorm`, x, 1e-6);
    const q = w.rmsNorm(`${attention}.q_norm`, w.linear(`${attention}.q_proj`, input), 1e-6);
    const k = w.rmsNorm(`${attention}.k_norm`, w.linear(`${attention}.k_proj`, input), 1e-6);
    const v = w.linear(`${attention}.v_proj`, input);
    const seen = attend(rope(q, 32, turning), rope(k, 32, turning), v, { heads: 4, kvHeads: 2 });
    x = plus(x, w.linear(`${attention}.o_proj`, seen));
    x = plus(x, gated(w, layer, w.rmsNorm(`${layer}.post_attention_layernorm`, x, 1e-6)));
  }
  return w.linear("model.embed_tokens", w.rmsNorm("model.norm", x, 1e-6));
}

/** Five of six layers see four tokens and turn by another base; the sixth's positions are divided by eight. */
function gemma3(w: Weights): Sequence {
  const norm = (name: string, input: Sequence) => w.rmsNorm(name, input, 1e-6, 1);
  let x = each(w.rows("model.embed_tokens.weight", tokens, hidden), (value) => value * Math.sqrt(hidden));
  for (const [index, layer] of layerNames(6).entries()) {
    const attention = `${layer}.self_attn`;
    const isGlobal = (index + 1) % 6 === 0;
    const turning = isGlobal
      ? frequencies(1_000_000, 32).map((frequency) => frequency / 8)
      : frequencies(10_000, 32);
    const input = norm(`${layer}.input_layernorm`, x);
    const q = rope(norm(`${attention}.q_norm`, w.linear(`${attention}.q_proj`, input)), 32, turning);
    const k = rope(norm(`${attention}.k_norm`, w.linear(`${attention}.k_proj`, input)), 32, turning);
    const v = w.linear(`${attention}.v_proj`, input);
    const seen = attend(q, k, v, { heads: 4, kvHeads: 2, ...(isGlobal ? {} : { window: 4 }) });
    x = plus(x, norm(`${layer}.post_attention_layernorm`, w.linear(`${attention}.o_proj`, seen)));
    const inner = gated(w, layer, norm(`${layer}.pre_feedforward_layernorm`, x), geluTanh);
    x = plus(x, norm(`${layer}.post_feedforward_layernorm`, inner));
  }
  return w.linear("model.embed_tokens", norm("model.norm", x));
}

function gpt2(w: Weights): Sequence {
  const positions = tokens.map((_, position) => position);
  let x = plus(w.rows("wte.weight", tokens, hidden), w.rows("wpe.weight", positions, hidden));
  for (const layer of ["h.0", "h.1"]) {
    const all = w.convolution(`${layer}.attn.c_attn`, w.layerNorm(`${layer}.ln_1`, x, 1e-5));
    const [q, k, v] = [0, 1, 2].map((part) =>
      all.map((vector) => vector.subarray(part * hidden, (part + 1) * hidden)),
    ) as [Sequence, Sequence, Sequence];
    x = plus(x, w.convolution(`${layer}.attn.c_proj`, attend(q, k, v, { heads: 4, kvHeads: 4 })));
    const inner = w.convolution(`${layer}.mlp.c_fc`, w.layerNorm(`${layer}.ln_2`, x, 1e-5));
    x = plus(x, w.convolution(`${layer}.mlp.c_proj`, each(inner, geluTanh)));
  }
  return w.linear("wte", w.layerNorm("ln_f", x, 1e-5));
}

const models: [name: string, forward: (weights: Weights) => Sequence, tolerance: number][] = [
  ["llama", (w) => llama(w, llama3Frequencies()), 1e-4],
  ["mixtral", (w) => llama(w, frequencies(1_000_000, 16), twoExperts), 1e-4],
  ["qwen3", qwen3, 1e-4],
  // ggml looks GELU up in a table of half precision
  ["gemma3", gemma3, 1e-2],
  ["gpt2", gpt2, 1e-2],
];

describe("the engine's logits of a converted model are those of the published definition", () => {
  it.each(models)("%s", async (name, forward, tolerance) => {
    const { blueprint } = knownModel(tinyConfigs[name], name);
    const weights = randomWeights(blueprint, 7);
    const path = temporary.path(`${name}.gguf`);
    await writeConverted(path, blueprint, memoryCheckpoint(weights));
    const expected = forward(new Weights(weights));
    const found = await engineLogits(path, tokens);
    for (const [position, row] of expected.entries()) {
      const span = Math.max(...row) - Math.min(...row);
      expect(distance(found[position]!, row) / span, `position ${position}`).toBeLessThan(tolerance);
    }
  });
});
