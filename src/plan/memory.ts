import type { ModelOutline } from "../gguf/outline.js";
import { host, type Placement } from "./cost.js";
import { elementBytes } from "./estimate.js";
import type { ModelLayout, Part } from "./layout.js";
import { mostOutputs, type Plan } from "./plan.js";

/** Bytes on one device or on the host, as llama.cpp counts them, and what its report leaves out. */
export interface PlaceMemory {
  weights: number;
  kv: number;
  compute: number;
  /** Not in llama.cpp's report: the runtime itself, logits, the cells' bookkeeping, adapters. */
  runtime: number;
}

export function totalBytes({ weights, kv, compute, runtime }: PlaceMemory): number {
  return weights + kv + compute + runtime;
}

/** ggml's CPU buffers align tensors so (`TENSOR_ALIGNMENT`, ggml-impl.h v0.5.0). */
const hostAlignmentBytes = 32;

/**
 * Bytes of weights on each place: each tensor padded to the buffer's alignment
 * (`ggml_backend_alloc_ctx_tensors_from_buft`, ggml-alloc.c v0.5.0). The first entry is the host.
 */
export function weightBytes(
  layout: ModelLayout,
  placement: Placement,
  alignments: readonly number[],
): number[] {
  const places = [0, ...alignments.map(() => 0)];
  for (const part of layout.input) places[0]! += padded(part.bytes, hostAlignmentBytes);
  for (const [layer, { parts }] of placement.layers.entries()) {
    for (const [index, place] of parts.entries()) {
      // On the host it is there already, as the token embedding.
      if (place === host && layout.layers[layer]![index]!.isTied) continue;
      places[place + 1]! += alignedBytes(layout.layers[layer]![index]!.bytes, place, alignments);
    }
  }
  return places;
}

/**
 * Bytes that llama.cpp maps for weights on the host: of each file, from the first of them to the last, whatever lies between
 * (`get_mapping_range`, llama-model-loader.cpp v0.5.0).
 */
export function mappedBytes({ input, layers, source }: ModelLayout, placement: Placement): number {
  const spans = new Map<number, { start: number; end: number }>();
  const add = ({ index }: Part) => {
    const { shard, fileOffset: start, bytes } = source.tensors[index]!;
    const end = start + bytes;
    const span = spans.get(shard) ?? { start, end };
    spans.set(shard, { start: Math.min(span.start, start), end: Math.max(span.end, end) });
  };
  for (const part of input) add(part);
  for (const [layer, { parts }] of placement.layers.entries())
    for (const [index, place] of parts.entries()) if (place === host) add(layers[layer]![index]!);
  return [...spans.values()].reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Bytes of adapters on each place, the host first: each lies where the tensor is that it changes. */
export function adapterBytes(layout: ModelLayout, placement: Placement): number[] {
  const places: number[] = [0];
  if (!layout.hasAdapters) return places;
  for (const part of layout.input) places[0]! += part.adapterBytes;
  for (const [layer, { parts }] of placement.layers.entries()) {
    for (const [index, place] of parts.entries())
      places[place + 1] = (places[place + 1] ?? 0) + layout.layers[layer]![index]!.adapterBytes;
  }
  return Array.from(places, (bytes) => bytes ?? 0);
}

/** Bytes that a part takes at a place, what adapters add included. */
export function partBytes(part: Part, place: number, alignments: readonly number[]): number {
  return alignedBytes(part.bytes, place, alignments) + part.adapterBytes;
}

function alignedBytes(bytes: number, place: number, alignments: readonly number[]): number {
  return padded(bytes, place === host ? hostAlignmentBytes : alignments[place]!);
}

function padded(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Cells of each sequence's KV cache: llama.cpp rounds the context length up to a multiple of this. */
export const cellsMultiple = 256;

/** Whether a KV cache can be q8_0: its blocks of 32 must divide each head (llama-context.cpp v0.5.0). */
export function canQuantiseKv({ headSizeK = 0, headSizeV = 0 }: ModelOutline): boolean {
  return headSizeK > 0 && headSizeK % 32 === 0 && headSizeV % 32 === 0;
}

/** KV cells of a plan, all sequences together. */
export function kvCells(plan: Plan): number {
  const rounded = Math.ceil(plan.contextLength / cellsMultiple) * cellsMultiple;
  if (plan.kvLayout === "unified" && plan.kvCells !== undefined)
    return Math.ceil(plan.kvCells / cellsMultiple) * cellsMultiple;
  return rounded * plan.sequences;
}

/**
 * Bytes that a cell takes in each layer, by the closed formula: KV heads × head size × element size for K and V. The
 * last entry, of the output, is 0. Layers with recurrent state and compressed attention differ: see `fitKvToMeasured`.
 */
export function kvBytesPerCell(outline: ModelOutline, plan: Pick<Plan, "kvTypeK" | "kvTypeV">): number[] {
  const perHead =
    (outline.headSizeK ?? 0) * elementBytes[plan.kvTypeK] +
    (outline.headSizeV ?? 0) * elementBytes[plan.kvTypeV];
  return [...outline.kvHeads.map((heads) => heads * perHead), 0];
}

/**
 * KV bytes of each layer that add up to what the engine's dry run says: the closed formula where it does, else the
 * difference spread over the layers (recurrent state, compressed attention). Whatever a placement then takes is measured
 * again, so this only guides the search.
 */
export function fitKvToMeasured(formula: readonly number[], measuredTotal: number): number[] {
  const total = formula.reduce((sum, bytes) => sum + bytes, 0);
  if (total === measuredTotal) return [...formula];
  const layers = formula.length - 1;
  const without = formula.slice(0, layers).filter((bytes) => bytes === 0).length;
  if (measuredTotal > total && without > 0) {
    const each = (measuredTotal - total) / without;
    return formula.map((bytes, layer) => (bytes === 0 && layer < layers ? each : bytes));
  }
  if (total === 0) return formula.map((_, layer) => (layer < layers ? measuredTotal / layers : 0));
  return formula.map((bytes) => (bytes * measuredTotal) / total);
}

/**
 * Host bytes that llama.cpp's report leaves out: 52 bytes for each KV cell (llama-kv-cells.h), and the logits of a
 * micro-batch (`output_reserve`, llama-context.cpp v0.5.0), in F32.
 */
export function unreportedHostBytes(plan: Plan, outline: ModelOutline): number {
  const perOutput = 4 * ((outline.vocabularySize ?? 0) + (plan.embeddings ? (outline.hiddenSize ?? 0) : 0));
  return 52 * kvCells(plan) + mostOutputs(plan) * perOutput;
}

/**
 * A guess at the compute buffer of a whole graph, for the first step of the search and for machines that are not
 * this one: the widest activations of a micro-batch, the attention mask and the logits, in F32.
 */
export function computeEstimate(plan: Plan, outline: ModelOutline): number {
  const hidden = outline.hiddenSize ?? 4096;
  const wide = Math.max(
    ...(outline.feedForwardSize ?? [hidden * 4]),
    (outline.expertFeedForwardSize ?? 0) * (outline.expertsUsed ?? 1),
  );
  const activations = plan.microBatch * (4 * hidden + 2 * wide) * 4;
  const mask = plan.microBatch * Math.ceil(plan.contextLength / cellsMultiple) * cellsMultiple * 4;
  return Math.ceil(activations + mask + mostOutputs(plan) * (outline.vocabularySize ?? 0) * 4);
}
