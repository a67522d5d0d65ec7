import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { Config, limits } from "./config.js";

/** Metadata of a model without the architecture's prefix. */
export type Hyperparameters = Map<string, MetadataValue>;

/** The numbers that almost every kind has. */
export interface Dimensions {
  layers: number;
  hidden: number;
  feedForward: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  vocabulary: number;
}

export function dimensionsOf(config: Config): Dimensions {
  const hidden = config.integer("hidden_size n_embd", limits.hidden);
  const heads = config.integer("num_attention_heads n_head", limits.heads);
  const own = config.has("head_dim") ? config.integer("head_dim", limits.hidden) : undefined;
  return {
    layers: config.integer("num_hidden_layers n_layer", limits.layers),
    hidden,
    feedForward: config.integer("intermediate_size n_inner", limits.hidden * 16, 4 * hidden),
    heads,
    kvHeads: config.integer("num_key_value_heads", limits.heads, heads),
    headSize: own ?? config.quotient("hidden_size", hidden, "num_attention_heads", heads),
    vocabulary: config.integer("vocab_size", limits.vocabulary),
  };
}

/** The keys that every kind has. */
export function sizeHyperparameters(config: Config, d: Dimensions): Hyperparameters {
  return new Map([
    ["block_count", uint32(d.layers)],
    ["context_length", uint32(config.integer("max_position_embeddings n_positions n_ctx", limits.tokens))],
    ["embedding_length", uint32(d.hidden)],
    ["feed_forward_length", uint32(d.feedForward)],
    ["attention.head_count", uint32(d.heads)],
  ]);
}

/**
 * The keys of the kinds that say no more than their configuration does.
 * Source: `TextModel.set_gguf_parameters` in conversion/base.py of llama.cpp v0.5.0.
 */
export function commonHyperparameters(config: Config, d: Dimensions): Hyperparameters {
  const keys = sizeHyperparameters(config, d);
  keys.set("attention.head_count_kv", uint32(d.kvHeads));
  const rms = config.number("rms_norm_eps norm_eps");
  if (rms !== undefined) keys.set("attention.layer_norm_rms_epsilon", float32(rms));
  const norm = config.number("layer_norm_eps layer_norm_epsilon norm_epsilon");
  if (norm !== undefined) keys.set("attention.layer_norm_epsilon", float32(norm));
  if (config.has("head_dim")) setHeadSize(keys, d.headSize);
  setRope(config, keys);
  return keys;
}

export function setHeadSize(keys: Hyperparameters, size: number): void {
  keys.set("attention.key_length", uint32(size));
  keys.set("attention.value_length", uint32(size));
}

/** The experts' keys of every mixture. */
export function setExperts(keys: Hyperparameters, experts: number, used: number): void {
  keys.set("expert_count", uint32(experts));
  keys.set("expert_used_count", uint32(used));
}

/** RoPE settings lie in `rope_parameters` or `rope_scaling`, or beside them. */
export function ropeOf(config: Config): Config {
  const nested = config.object("rope_parameters rope_scaling");
  return nested.object("full_attention").has("rope_theta") ? nested.object("full_attention") : nested;
}

/** The RoPE base of layers that see everything; undefined where the configuration leaves it open. */
export function ropeBase(config: Config): number | undefined {
  return ropeOf(config).number("rope_theta") ?? config.number("rope_theta rotary_emb_base");
}

const localBases = "local_rope_theta rope_local_theta rope_theta_local swa_rope_theta rope_local_base_freq";
/** In `rope_scaling` of YaRN, and in metadata. */
const yarnKeys = [
  ["extrapolation_factor", "yarn_ext_factor"],
  ["attention_factor attn_factor", "yarn_attn_factor"],
  ["beta_fast", "yarn_beta_fast"],
  ["beta_slow", "yarn_beta_slow"],
] as const;

function setRope(config: Config, keys: Hyperparameters): void {
  const rope = ropeOf(config);
  const factor = rope.number("factor");
  const type = rope.string("rope_type type");
  if ((type === "linear" || type === "yarn") && factor !== undefined) {
    keys.set("rope.scaling.type", text(type));
    keys.set("rope.scaling.factor", float32(factor));
  }
  if (type === "yarn" && factor !== undefined) {
    const original = rope.with(config).integer("original_max_position_embeddings", limits.tokens);
    keys.set("rope.scaling.original_context_length", uint32(original));
    for (const [field, key] of yarnKeys) {
      const value = rope.number(field);
      if (value !== undefined) keys.set(`rope.scaling.${key}`, float32(value));
    }
  }
  if (type === "su" || type === "longrope") keys.set("rope.scaling.type", text("longrope"));
  const base = ropeBase(config);
  if (base !== undefined) keys.set("rope.freq_base", float32(base));
  const nested = config.object("rope_parameters rope_scaling").object("sliding_attention");
  const local = nested.number("rope_theta") ?? config.number(localBases);
  if (local !== undefined) keys.set("rope.freq_base_swa", float32(local));
}

export function uint32(value: number): MetadataValue {
  return { type: "uint32", value };
}

export function float32(value: number): MetadataValue {
  return { type: "float32", value };
}

export function text(value: string): MetadataValue {
  return { type: "string", value };
}

export function truth(value: boolean): MetadataValue {
  return { type: "bool", value };
}

export function booleans(items: boolean[]): MetadataValue {
  return { type: "array", value: memoryArray("bool", items) };
}

/** `config` with what its class in transformers assumes where it says nothing. */
export function withDefaults(config: Config, defaults: Readonly<Record<string, unknown>>): Config {
  return new Config(config.path, defaults).with(config);
}
