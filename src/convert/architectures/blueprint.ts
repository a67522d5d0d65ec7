import type { MetadataArray, MetadataValue } from "../../gguf/metadata.js";
import type { TensorTypeName } from "../../gguf/tensor-types.js";
import { type Config, limits } from "./config.js";

/** What a converter makes of a configuration: hyperparameters without the architecture's prefix, and tensors. */
export interface Blueprint {
  architecture: string;
  hyperparameters: Map<string, MetadataValue>;
  tensors: BlueprintTensor[];
}

export type BlueprintTensor = readonly [name: string, ...shape: number[]];

/** How the models of one kind are converted. */
export type Converter = (config: Config) => Blueprint;

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

/**
 * The keys that most kinds share. Source: `TextModel.set_gguf_parameters` in conversion/base.py of llama.cpp v0.5.0.
 */
export function commonHyperparameters(config: Config, d: Dimensions): Map<string, MetadataValue> {
  const keys = new Map<string, MetadataValue>([
    ["block_count", uint32(d.layers)],
    ["context_length", uint32(config.integer("max_position_embeddings n_positions n_ctx", limits.tokens))],
    ["embedding_length", uint32(d.hidden)],
    ["feed_forward_length", uint32(d.feedForward)],
    ["attention.head_count", uint32(d.heads)],
    ["attention.head_count_kv", uint32(d.kvHeads)],
    ["vocab_size", uint32(d.vocabulary)],
  ]);
  const rms = config.number("rms_norm_eps");
  if (rms !== undefined) keys.set("attention.layer_norm_rms_epsilon", float32(rms));
  const norm = config.number("layer_norm_eps layer_norm_epsilon");
  if (norm !== undefined) keys.set("attention.layer_norm_epsilon", float32(norm));
  if (config.has("head_dim")) setHeadSize(keys, d.headSize);
  setRope(config, keys);
  return keys;
}

export function setHeadSize(keys: Map<string, MetadataValue>, size: number): void {
  keys.set("attention.key_length", uint32(size));
  keys.set("attention.value_length", uint32(size));
}

/** RoPE settings lie in `rope_parameters` or `rope_scaling`, or beside them. */
export function ropeOf(config: Config): Config {
  const nested = config.object("rope_parameters rope_scaling");
  return nested.object("full_attention").has("rope_theta") ? nested.object("full_attention") : nested;
}

function setRope(config: Config, keys: Map<string, MetadataValue>): void {
  const rope = ropeOf(config);
  const base = rope.number("rope_theta") ?? config.number("rope_theta rotary_emb_base");
  if (base !== undefined) keys.set("rope.freq_base", float32(base));
  const factor = rope.number("factor");
  const type = rope.string("rope_type type");
  if ((type === "linear" || type === "yarn") && factor !== undefined) {
    keys.set("rope.scaling.type", { type: "string", value: type });
    keys.set("rope.scaling.factor", float32(factor));
  }
  if (type === "yarn")
    keys.set(
      "rope.scaling.original_context_length",
      uint32(rope.integer("original_max_position_embeddings", limits.tokens)),
    );
}

/** The experts' keys of every mixture. */
export function setExperts(keys: Map<string, MetadataValue>, experts: number, used: number): void {
  keys.set("expert_count", uint32(experts));
  keys.set("expert_used_count", uint32(used));
}

export function uint32(value: number): MetadataValue {
  return { type: "uint32", value };
}

export function float32(value: number): MetadataValue {
  return { type: "float32", value };
}

export function booleans(items: boolean[]): MetadataValue {
  const value: MetadataArray = {
    elementType: "bool",
    count: items.length,
    path: "",
    fileOffset: 0,
    bytes: items.length,
    items,
  };
  return { type: "array", value };
}

/** A weight and its bias, by their common name. */
export function withBias(name: string, ...shape: number[]): BlueprintTensor[] {
  return [
    [`${name}.weight`, ...shape],
    [`${name}.bias`, shape.at(-1)!],
  ];
}

/**
 * Embedding, layers, last norm and, unless it is tied to the embedding, the output matrix. `layer` gives a layer's
 * tensors without their `blk.N.`.
 */
export function wholeModel(
  d: Dimensions,
  isTied: boolean,
  layer: (index: number) => BlueprintTensor[],
  { normBias = false } = {},
): BlueprintTensor[] {
  const layers = Array.from({ length: d.layers }, (_, index) =>
    layer(index).map(([name, ...shape]): BlueprintTensor => [`blk.${index}.${name}`, ...shape]),
  );
  return [
    ["token_embd.weight", d.hidden, d.vocabulary],
    ...layers.flat(),
    ...(normBias ? withBias("output_norm", d.hidden) : [["output_norm.weight", d.hidden] as const]),
    ...(isTied ? [] : [["output.weight", d.hidden, d.vocabulary] as const]),
  ];
}

/** Separate matrices for Q, K, V and the output of attention. */
export function attention(d: Dimensions, biases = ""): BlueprintTensor[] {
  const [query, kv] = [d.headSize * d.heads, d.headSize * d.kvHeads];
  const parts: [name: string, from: number, to: number][] = [
    ["q", d.hidden, query],
    ["k", d.hidden, kv],
    ["v", d.hidden, kv],
    ["output", query, d.hidden],
  ];
  return parts.flatMap(([part, from, to]) =>
    biases.split(" ").includes(part)
      ? withBias(`attn_${part}`, from, to)
      : [[`attn_${part}.weight`, from, to] as const],
  );
}

/** Gate, up and down. */
export function gatedFeedForward(hidden: number, inner: number, suffix = ""): BlueprintTensor[] {
  return [
    [`ffn_gate${suffix}.weight`, hidden, inner],
    [`ffn_up${suffix}.weight`, hidden, inner],
    [`ffn_down${suffix}.weight`, inner, hidden],
  ];
}

/** The router and its experts, stacked. */
export function experts(hidden: number, inner: number, count: number): BlueprintTensor[] {
  return [
    ["ffn_gate_inp.weight", hidden, count],
    ["ffn_gate_exps.weight", hidden, inner, count],
    ["ffn_up_exps.weight", hidden, inner, count],
    ["ffn_down_exps.weight", inner, hidden, count],
  ];
}

/** The type a converter writes before quantisation. Source: `prepare_tensors` in conversion/base.py. */
export function unquantisedType([name, ...shape]: BlueprintTensor): TensorTypeName {
  const isMatrix = shape.length > 1 && name.endsWith(".weight") && !name.endsWith("_norm.weight");
  return isMatrix && !/ffn_gate_inp|^position_embd/.test(name) ? "F16" : "F32";
}
