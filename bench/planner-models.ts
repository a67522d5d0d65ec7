import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { WritableValue } from "../src/gguf/encode.js";
import type { TensorTypeName } from "../src/gguf/tensor-types.js";
import { tensorBytes } from "../src/gguf/tensor-types.js";
import { writeGguf, writeHollowGguf } from "../src/gguf/writer.js";
import { sourceFromConfig } from "../src/planner/sources/from-config.js";
import type { HeaderSource } from "../src/planner/sources/header-source.js";
import type { MixName } from "../src/quantize/mixes.js";
import { generatedModel } from "./generate-model.js";
import { fromRoot } from "./paths.js";
import { Random } from "./random.js";
import { type FilledType, filledTypes, randomChunks } from "./random-blocks.js";
import { stateSpaceSource } from "./state-space-models.js";
import { madeUpVocabulary } from "./vocabulary.js";

/**
 * The models that plans are tried on, by shape: many layers, so that a hundredth of a budget is more than a small
 * matrix. Each is what jauge's own converter and mixes make of a configuration, or a list of tensors written by hand.
 */
export const precisionModels: Readonly<Record<string, () => HeaderSource>> = {
  "llama, GQA": () => llama({ kvHeads: 4 }, "Q4_K_M"),
  "gptneox, MHA": () =>
    configured("gptneox", "Q8_0", {
      ...{ model_type: "gpt_neox", hidden_size: 768, num_hidden_layers: 32, num_attention_heads: 12 },
      ...{ intermediate_size: 3072, vocab_size: 24_000, max_position_embeddings: 8192 },
    }),
  "qwen2, tied": () =>
    configured("qwen2", "Q4_K_M", {
      ...{ model_type: "qwen2", hidden_size: 896, num_hidden_layers: 32, num_attention_heads: 14 },
      ...{ num_key_value_heads: 2, intermediate_size: 2432, tie_word_embeddings: true },
      ...{ vocab_size: 48_000, max_position_embeddings: 16_384, rms_norm_eps: 1e-6 },
    }),
  "qwen2moe, shared expert": () =>
    configured("qwen2moe", "Q4_K_M", {
      ...{ model_type: "qwen2_moe", hidden_size: 512, num_hidden_layers: 32, num_attention_heads: 8 },
      ...{ num_key_value_heads: 8, intermediate_size: 2048, moe_intermediate_size: 256, num_experts: 24 },
      ...{ num_experts_per_tok: 4, shared_expert_intermediate_size: 1024, vocab_size: 32_000 },
      ...{ max_position_embeddings: 8192, rms_norm_eps: 1e-6 },
    }),
  "llama, mixture": () => mixture({ hidden: 512, layers: 32, experts: 8, used: 2, inner: 1024 }, "Q3_K_M"),
  "gpt-oss, sliding window": () =>
    configured("gpt-oss", "MXFP4_MOE", {
      ...{ model_type: "gpt_oss", hidden_size: 512, num_hidden_layers: 24, num_attention_heads: 8 },
      ...{ num_key_value_heads: 2, head_dim: 64, intermediate_size: 512, num_local_experts: 16 },
      ...{ num_experts_per_tok: 4, sliding_window: 128, vocab_size: 32_000, rms_norm_eps: 1e-5 },
      ...{ max_position_embeddings: 16_384 },
    }),
  "gemma3, sliding window, tied": () =>
    configured("gemma3", "Q5_K_M", {
      ...{ model_type: "gemma3_text", hidden_size: 768, num_hidden_layers: 30, num_attention_heads: 4 },
      ...{ num_key_value_heads: 1, head_dim: 256, intermediate_size: 3072, sliding_window: 512 },
      ...{ vocab_size: 48_000, max_position_embeddings: 16_384, rms_norm_eps: 1e-6 },
    }),
  "mamba, recurrent": () => stateSpaceSource("mamba", { hidden: 768, layers: 48 }, "Q8_0"),
  "jamba, hybrid mixture": () => stateSpaceSource("jamba", { hidden: 512, layers: 32 }, "Q4_K_M"),
};

/**
 * The models whose speed is measured: random weights, as experts are chosen by what is computed. The small ones are for
 * software devices, which are slow.
 */
const timedModels = {
  mixture: () => mixture({ hidden: 1024, layers: 12, experts: 32, used: 4, inner: 768 }, "Q4_K_S"),
  mha: () => llama({ kvHeads: 12, hidden: 768, layers: 24, feedForward: 2048 }, "Q8_0"),
  "small-mixture": () => mixture({ hidden: 512, layers: 10, experts: 16, used: 4, inner: 256 }, "Q4_K_S"),
  "small-mha": () => llama({ kvHeads: 8, hidden: 512, layers: 8, feedForward: 1536 }, "Q8_0"),
} satisfies Record<string, () => HeaderSource>;
/** `dense` and `small-dense` are the models of the other benches. */
export type TimedModel = keyof typeof timedModels | "dense" | "small-dense";

/** The path of a model's file with its true header and a hole for weights, which llama.cpp loads as zeros. */
export async function hollowModel(name: string): Promise<string> {
  const path = fromRoot("bench", "models", `hollow-${name.replaceAll(/[^a-z0-9]+/g, "-")}.gguf`);
  const source = precisionModels[name]!();
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await writeHollowGguf(path, { metadata: metadataOf(source), tensors: source.tensors });
  return path;
}

/** The path of a model of random weights, written first where it is missing. The same seed gives the same bytes. */
export async function randomModel(name: TimedModel, seed = 1): Promise<string> {
  if (name === "dense" || name === "small-dense")
    return generatedModel(name === "dense" ? "1b" : "tiny", seed);
  const path = fromRoot("bench", "models", `planner-${name}${seed === 1 ? "" : `-${seed}`}.gguf`);
  if (existsSync(path)) return path;
  console.error(`bench: writing ${path} (once)…`);
  const source = timedModels[name]();
  await mkdir(dirname(path), { recursive: true });
  const random = new Random(seed);
  const tensors = source.tensors.map(({ name, type, shape }) => ({
    ...{ name, type, shape },
    data: () => weights(name, type, shape, random),
  }));
  await writeGguf(path, { metadata: metadataOf(source), tensors });
  return path;
}

/** Norms are 1, all else is random: routers too, so that experts are chosen about equally often. */
function weights(
  name: string,
  type: TensorTypeName,
  shape: readonly number[],
  random: Random,
): Iterable<Uint8Array> {
  const bytes = tensorBytes(type, shape)!;
  if (name.endsWith("_norm.weight")) return [new Uint8Array(new Float32Array(bytes / 4).fill(1).buffer)];
  if (!filledTypes.includes(type as FilledType)) throw new RangeError(`${name}: no random ${type} is made`);
  return randomChunks(type as FilledType, bytes, random);
}

/** The hyperparameters, and a vocabulary of made-up words of the right size. */
function metadataOf({ metadata, outline, tensors }: HeaderSource): Map<string, WritableValue> {
  const embedding = tensors.find(({ name }) => name === "token_embd.weight")!;
  const entries = [...metadata.entries()].map(([key, entry]): [string, WritableValue] => {
    if (entry.type !== "array") return [key, entry];
    const { elementType, items } = entry.value;
    return [key, { type: "array", value: { elementType, items: items! } }];
  });
  return new Map([
    ...entries,
    ["general.name", { type: "string", value: `made-up ${outline.architecture}` }],
    ...madeUpVocabulary(embedding.shape[1]!),
  ]);
}

function configured(name: string, mix: MixName, config: Record<string, unknown>): HeaderSource {
  return sourceFromConfig(config, { name, mix });
}

function llama(
  shape: { kvHeads: number; hidden?: number; layers?: number; feedForward?: number },
  mix: MixName,
): HeaderSource {
  const { kvHeads, hidden = 1024, layers = 40, feedForward = 2816 } = shape;
  return configured("llama", mix, {
    ...{ model_type: "llama", hidden_size: hidden, num_hidden_layers: layers },
    ...{ num_attention_heads: hidden / 64, num_key_value_heads: kvHeads, intermediate_size: feedForward },
    ...{ vocab_size: 32_000, max_position_embeddings: 16_384, rms_norm_eps: 1e-5 },
  });
}

function mixture(
  shape: { hidden: number; layers: number; experts: number; used: number; inner: number },
  mix: MixName,
): HeaderSource {
  const { hidden, layers, experts, used, inner } = shape;
  return configured("mixtral", mix, {
    ...{ model_type: "mixtral", hidden_size: hidden, num_hidden_layers: layers },
    ...{ num_attention_heads: hidden / 64, num_key_value_heads: hidden / 256, intermediate_size: inner },
    ...{ num_local_experts: experts, num_experts_per_tok: used, vocab_size: 32_000 },
    ...{ max_position_embeddings: 16_384, rms_norm_eps: 1e-5 },
  });
}
