import type { ScalarValue } from "./metadata.js";
import type { ModelFile, ModelTensor } from "./model-file.js";
import { type TensorTypeName, tensorElements } from "./tensor-types.js";

/** What a model is, from its header alone. Undefined where the file does not say. */
export interface ModelOutline {
  architecture: string;
  name?: string;
  /** Number of weights. */
  parameters: number;
  /** The quantisation mix the file says it has, as `general.file_type`: `Q4_K_M`, `F16`, … */
  fileType?: string;
  /** Tokens the model was trained for. */
  contextLength?: number;
  /** Elements of a hidden state (`embedding_length`). */
  hiddenSize?: number;
  layers: number;
  /** Per layer. 0 in layers without attention. */
  heads: number[];
  /** Per layer; the heads of the KV cache. */
  kvHeads: number[];
  /** Elements of one head of K and V. */
  headSizeK?: number;
  headSizeV?: number;
  /** Per layer. */
  feedForwardSize?: number[];
  /** Whether attention and the feed-forward part take the same input, where the file says it. */
  parallelResidual?: boolean;
  /** Tokens of the sliding window, where some layers attend to no more. */
  slidingWindow?: number;
  experts?: number;
  expertsUsed?: number;
  expertFeedForwardSize?: number;
  vocabularySize?: number;
  /** `tokenizer.ggml.model` and `.pre`. */
  tokenizer?: string;
  preTokenizer?: string;
  bosTokenId?: number;
  eosTokenId?: number;
  eotTokenId?: number;
  addBos?: boolean;
  addEos?: boolean;
  chatTemplate?: string;
  /** Named templates beside the default one, such as `tool_use`. */
  chatTemplates: Record<string, string>;
  /** How token embeddings become one, for embedding models. */
  pooling?: "none" | "mean" | "cls" | "last" | "rank";
  bytes: WeightBytes;
}

/** Bytes of tensor data, without padding. */
export interface WeightBytes {
  total: number;
  /** The token embedding and other input tensors. */
  embedding: number;
  /** The output matrix and the norm before it. */
  output: number;
  /** All tensors of each layer `blk.N`, its experts included. */
  layers: number[];
  /** The experts' tensors of each layer. */
  experts: number[];
  /** What belongs to none of the groups above. */
  other: number;
  /** Bytes per tensor type. */
  types: Partial<Record<TensorTypeName, number>>;
}

const pooling = ["none", "mean", "cls", "last", "rank"] as const;

/** The outline of a model. Errors: `gguf-malformed` where a value has the wrong type. */
export function outlineOf(model: Pick<ModelFile, "metadata" | "tensors">): ModelOutline {
  const { metadata } = model;
  const architecture = metadata.string("general.architecture") ?? "";
  const key = (name: string) => `${architecture}.${name}`;
  const number = (name: string) => metadata.number(key(name));
  const layers = Math.max(0, Math.min(number("block_count") ?? 0, 4096));
  const heads = metadata.perLayer(key("attention.head_count"), layers) ?? new Array<number>(layers).fill(0);
  const firstHeads = heads.find((count) => count > 0);
  const hiddenSize = number("embedding_length");
  const headSize = hiddenSize !== undefined && firstHeads ? Math.floor(hiddenSize / firstHeads) : undefined;
  const tokens = metadata.array("tokenizer.ggml.tokens");
  /** Ids outside the vocabulary are found in the wild; llama.cpp takes them for absent, and so do we. */
  const specialToken = (name: string) => {
    const id = metadata.number(`tokenizer.ggml.${name}_token_id`);
    return id !== undefined && id >= 0 && id < (tokens?.count ?? 0) ? id : undefined;
  };
  const rowsOf = (tensor: string) => model.tensors.find(({ name }) => name === tensor)?.shape[1];
  const experts = number("expert_count");
  const poolingType = number("pooling_type");

  const outline: ModelOutline = {
    architecture,
    name: metadata.string("general.name"),
    parameters: model.tensors.reduce((sum, tensor) => sum + (tensorElements(tensor.shape) ?? 0), 0),
    fileType: fileTypes[metadata.number("general.file_type") ?? -1],
    contextLength: number("context_length"),
    hiddenSize,
    layers,
    heads,
    kvHeads: metadata.perLayer(key("attention.head_count_kv"), layers) ?? heads,
    headSizeK: number("attention.key_length") ?? headSize,
    headSizeV: number("attention.value_length") ?? headSize,
    feedForwardSize: metadata.perLayer(key("feed_forward_length"), layers),
    parallelResidual: metadata.boolean(key("use_parallel_residual")),
    slidingWindow: number("attention.sliding_window"),
    experts,
    expertsUsed: experts
      ? metadata.perLayer(key("expert_used_count"), layers)?.reduce((a, b) => Math.max(a, b), 0)
      : undefined,
    expertFeedForwardSize: firstNumber(metadata.get(key("expert_feed_forward_length"))?.value),
    vocabularySize: tokens?.count ?? number("vocab_size") ?? rowsOf("token_embd.weight"),
    tokenizer: metadata.string("tokenizer.ggml.model"),
    preTokenizer: metadata.string("tokenizer.ggml.pre"),
    bosTokenId: specialToken("bos"),
    eosTokenId: specialToken("eos"),
    eotTokenId: specialToken("eot"),
    addBos: metadata.boolean("tokenizer.ggml.add_bos_token"),
    addEos: metadata.boolean("tokenizer.ggml.add_eos_token"),
    chatTemplate: metadata.string("tokenizer.chat_template"),
    chatTemplates: namedTemplates(model),
    pooling: poolingType === undefined ? undefined : pooling[poolingType],
    bytes: weightBytes(model.tensors, layers),
  };
  return outline;
}

/** Which part of a model a tensor belongs to. Source: tensor names in src/llama-arch.cpp. */
export function tensorGroup(name: string): "embedding" | "output" | "layer" | "other" {
  if (layerOf(name) !== undefined) return "layer";
  if (/^(token_embd|position_embd|token_types|per_layer_)/.test(name)) return "embedding";
  if (/^(output|cls)/.test(name)) return "output";
  return "other";
}

/** The layer of a tensor `blk.N.…`; undefined for tensors of no layer. */
export function layerOf(name: string): number | undefined {
  const match = /^blk\.(\d{1,4})\./.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** Whether a tensor holds a layer's experts (`ffn_gate_exps`, `ffn_up_exps`, …), stacked or one each. */
export function isExpertTensor(name: string): boolean {
  return /^blk\.\d+\.ffn_(gate|up|down|gate_up)(_ch)?(_exps\.|\.\d+\.)/.test(name);
}

function weightBytes(tensors: readonly ModelTensor[], layers: number): WeightBytes {
  const bytes: WeightBytes = {
    total: 0,
    embedding: 0,
    output: 0,
    layers: new Array<number>(layers).fill(0),
    experts: new Array<number>(layers).fill(0),
    other: 0,
    types: {},
  };
  for (const tensor of tensors) {
    const layer = layerOf(tensor.name);
    const group = tensorGroup(tensor.name);
    bytes.total += tensor.bytes;
    bytes.types[tensor.type] = (bytes.types[tensor.type] ?? 0) + tensor.bytes;
    if (group === "layer" && layer !== undefined && layer < layers) {
      bytes.layers[layer]! += tensor.bytes;
      if (isExpertTensor(tensor.name)) bytes.experts[layer]! += tensor.bytes;
    } else {
      bytes[group === "layer" ? "other" : group] += tensor.bytes;
    }
  }
  return bytes;
}

/** `tokenizer.chat_templates` lists the names, `tokenizer.chat_template.NAME` holds each. */
function namedTemplates({ metadata }: Pick<ModelFile, "metadata">): Record<string, string> {
  const templates: Record<string, string> = {};
  const prefix = "tokenizer.chat_template.";
  for (const [key, entry] of metadata.entries()) {
    if (key.startsWith(prefix) && entry.type === "string") templates[key.slice(prefix.length)] = entry.value;
  }
  return templates;
}

function firstNumber(value: unknown): number | undefined {
  const items = (value as { items?: readonly ScalarValue[] } | undefined)?.items;
  const first = typeof value === "number" ? value : items?.find((item) => Number(item) > 0);
  return first === undefined ? undefined : Number(first);
}

/** Quantisation mixes by the number a file gives them: `enum llama_ftype` of include/llama.h. */
export const fileTypes: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  19: "IQ2_XXS",
  20: "IQ2_XS",
  21: "Q2_K_S",
  22: "IQ3_XS",
  23: "IQ3_XXS",
  24: "IQ1_S",
  25: "IQ4_NL",
  26: "IQ3_S",
  27: "IQ3_M",
  28: "IQ2_S",
  29: "IQ2_M",
  30: "IQ4_XS",
  31: "IQ1_M",
  32: "BF16",
  36: "TQ1_0",
  37: "TQ2_0",
  38: "MXFP4_MOE",
  39: "NVFP4",
  40: "Q1_0",
  41: "Q2_0",
};
