import { isExpertTensor, layerOf } from "../gguf/outline.js";
import type { WeightKinds } from "./model-plan.js";
import type { ModelSource, SourceTensor } from "./source.js";

/**
 * Where in its layer a tensor is used, in the order of computation: a hidden state that changes place between two of
 * these crosses between processors.
 */
export const stages = [
  "attentionNorm",
  "attentionIn",
  "attentionOut",
  "feedForwardNorm",
  "feedForwardIn",
  "feedForwardOut",
] as const;
export type Stage = (typeof stages)[number];

/** A tensor as the planner sees it. */
export interface Part {
  name: string;
  type: string;
  shape: readonly number[];
  bytes: number;
  /** What adapters add beside it, in the same place. */
  adapterBytes: number;
  kind: keyof WeightKinds;
  stage: Stage;
  /** Chosen per token: not all of it is read for each. */
  isExpert: boolean;
  /**
   * What a layer on a device leaves on the host first, because it is most bytes for least work beside the KV cache:
   * routed experts, or the feed-forward matrices of a layer without them; of the output, its matrix where it has its own.
   */
  isHeavy: boolean;
  /** The output matrix that is the token embedding a second time: it cannot be placed by name. */
  isTied: boolean;
  /** A matrix that rows are multiplied by; the others (norms, biases) cost next to nothing. */
  isMatrix: boolean;
  /** Index into `tensors` of the source. */
  index: number;
}

/** A model cut into what can be placed: its layers, and the output behind them. */
export interface ModelLayout {
  source: ModelSource;
  /** Parts of each layer `blk.N`; the last entry is the output. */
  layers: Part[][];
  /** What stays on the host in any plan: looked up row by row (token embeddings). */
  input: Part[];
  outputLayer: number;
  /** One number for each layer, the same for layers whose parts and heads are alike. */
  signatures: number[];
  /** Whether any part has adapter bytes. */
  hasAdapters: boolean;
}

/**
 * The layout of a model; `adapterBytes` by the name of the tensor that an adapter changes. Source of the roles: tensor names and their layers in src/llama-arch.cpp, and how
 * `llama_model_base::load_tensors` assigns them, v0.5.0.
 */
export function layoutOf(
  source: ModelSource,
  adapterBytes: ReadonlyMap<string, number> = new Map(),
): ModelLayout {
  const outputLayer = source.outline.layers;
  const layers: Part[][] = Array.from({ length: outputLayer + 1 }, () => []);
  const input: Part[] = [];
  for (const [index, tensor] of source.tensors.entries()) {
    const part = partOf(tensor, index, adapterBytes.get(tensor.name) ?? 0);
    const layer = layerOf(tensor.name);
    if (layer !== undefined && layer < outputLayer) layers[layer]!.push(part);
    else if (isOutput(tensor.name)) layers[outputLayer]!.push(part);
    else input.push(part);
  }
  for (const parts of layers.slice(0, outputLayer)) markHeavy(parts);
  for (const part of layers[outputLayer]!) part.isHeavy = part.isMatrix;
  const hasOutput = layers[outputLayer]!.some(({ name }) => name === "output.weight");
  const embedding = input.find(({ name }) => name === "token_embd.weight");
  // On a device it is there a second time, beside the host's.
  if (!hasOutput && embedding)
    layers[outputLayer]!.push({
      ...embedding,
      kind: "output",
      isMatrix: true,
      isTied: true,
      adapterBytes: 0,
    });
  const signatures = signaturesOf(layers, source);
  return { source, layers, input, outputLayer, signatures, hasAdapters: adapterBytes.size > 0 };
}

/** What `make` gives for each layer, which is asked once for layers that are alike. */
export function ofLayers<T>(
  { layers, signatures }: ModelLayout,
  make: (parts: Part[], layer: number) => T,
): T[] {
  const made = new Map<number, T>();
  return signatures.map((signature, layer) => {
    const one = made.get(signature) ?? make(layers[layer]!, layer);
    made.set(signature, one);
    return one;
  });
}

function signaturesOf(layers: Part[][], { outline }: ModelSource): number[] {
  const known = new Map<string, number>();
  return layers.map((parts, layer) => {
    const key = JSON.stringify([
      layer === outline.layers,
      outline.heads[layer],
      outline.kvHeads[layer],
      parts.map(({ name, type, bytes, adapterBytes }) => [
        name.replace(/^blk\.\d+/, ""),
        type,
        bytes,
        adapterBytes,
      ]),
    ]);
    const number = known.get(key) ?? known.size;
    known.set(key, number);
    return number;
  });
}

/** Tensors of `LLM_TENSOR_LAYER_OUTPUT`, by name. */
function isOutput(name: string): boolean {
  return /^(output|cls|dense_[23]|hc_head|altup_(unembd_)?proj|dec\.output_norm|enc\.output_norm)/.test(name);
}

function markHeavy(parts: Part[]): void {
  const hasExperts = parts.some(({ isExpert }) => isExpert);
  for (const part of parts)
    part.isHeavy = hasExperts
      ? part.isExpert
      : part.isMatrix && (part.stage === "feedForwardIn" || part.stage === "feedForwardOut");
}

function partOf(tensor: SourceTensor, index: number, adapterBytes: number): Part {
  const { name, type, shape, bytes } = tensor;
  const isMatrix = name.endsWith(".weight") && shape.filter((length) => length > 1).length > 1;
  const isExpert = isExpertTensor(name);
  return {
    ...{ name, type, shape, bytes, adapterBytes, index, isExpert, isMatrix, isHeavy: false, isTied: false },
    kind: kindOf(name, isExpert),
    stage: stageOf(name),
  };
}

function kindOf(name: string, isExpert: boolean): keyof WeightKinds {
  if (isExpert) return "experts";
  if (layerOf(name) === undefined) return isOutput(name) ? "output" : "embedding";
  if (/\.(ffn_|layer_output_norm|exp_probs)/.test(name)) return "feedForward";
  if (/\.(attn|ssm|time_mix|channel_mix|shortconv)/.test(name)) return "attention";
  return "other";
}

function stageOf(name: string): Stage {
  if (/\.(attn_norm|attn_norm_2)\./.test(name)) return "attentionNorm";
  if (/\.(ffn_norm|post_attention_norm|ffn_gate_inp)/.test(name)) return "feedForwardNorm";
  if (/\.ffn_(down|post_norm)|\.post_ffw_norm|\.layer_output_norm|\.channel_mix_value/.test(name))
    return "feedForwardOut";
  if (/\.ffn_|\.channel_mix|\.exp_probs/.test(name)) return "feedForwardIn";
  if (/\.(attn_output|attn_out|ssm_out|time_mix_output|shortconv.out_proj)/.test(name)) return "attentionOut";
  return "attentionIn";
}
