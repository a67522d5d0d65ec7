import { type Plan, sharedCells, streams, streamsFrom } from "./plan.js";

/**
 * libllama holds the norms of batches of fewer rows to their layer's device, unless all layers are on devices
 * (`llama_context::graph_get_cb`, src/llama-context.cpp).
 */
const normsMoveFromRows = 32;

/** A batch that a graph can be laid out for: `rows` tokens of `sequences` sequences. */
export interface ReservedBatch {
  rows: number;
  sequences: number;
}

/** Batches of a plan whose graphs are cut into places alike: those of `from` rows and more, up to the next kind. */
export interface GraphKind {
  from: number;
  largest: ReservedBatch;
}

/**
 * The kinds of graphs that a plan's batches have, smallest first; the last one's largest batch is a whole micro-batch.
 * `layers` are all of the model's, those for multi-token prediction included.
 */
export function graphKinds(plan: Plan, layers: number): GraphKind[] {
  const most = Math.min(plan.microBatch, sharedCells(plan));
  const starts = [1, ...changesOfKind(plan, layers).filter((rows) => rows <= most)];
  return starts.map((from, index) => {
    const next = starts[index + 1];
    const whole = { rows: most, sequences: plan.sequences };
    return { from, largest: next === undefined ? whole : largestBatch(plan, from, next - 1) };
  });
}

/**
 * Batches, beside a whole micro-batch, that buffers are made for in advance where graphs of several kinds alternate. Sequences
 * with caches of their own are computed in several parts, for which ggml lays buffers out by itself and by best fit: there the
 * largest batch of a kind may by luck take less than others, so there are some beside it. Streamed batches of fewer than 32
 * rows need none: they take what a streamed micro-batch takes, for far fewer rows.
 */
export function alternatingBatches(plan: Plan, layers: number): ReservedBatch[] {
  const kinds = graphKinds(plan, layers);
  if (kinds.length === 1) return [];
  const isInParts = plan.kvLayout === "separate" && plan.sequences > 1;
  const batches = kinds.flatMap(({ from, largest }, index) => {
    const { rows, sequences } = largest;
    const isLast = index === kinds.length - 1;
    const beside = isInParts ? [rows - sequences, ...(isLast ? [rows + sequences] : [])] : [];
    const others = beside.filter((other) => other >= from).map((other) => ({ rows: other, sequences }));
    if (isLast) return others;
    return streams(plan) && from >= streamsFrom(plan) ? [] : [...others, largest];
  });
  return batches.filter(({ rows, sequences }) => rows >= sequences && rows <= sharedCells(plan));
}

/** Whether a context can lay out a batch: with caches of their own, only one of all its sequences. */
export function canReserve({ kvLayout, sequences }: Plan, batch: ReservedBatch): boolean {
  return kvLayout === "unified" || batch.sequences === sequences;
}

/** Rows from which on graphs are of another kind than below, ascending. */
function changesOfKind(plan: Plan, layers: number): number[] {
  if (plan.devices?.length === 0) return [];
  const isWholeOnDevices = plan.gpuLayers < 0 || plan.gpuLayers > layers;
  const changes = new Set<number>();
  if (!isWholeOnDevices) changes.add(normsMoveFromRows);
  if (streams(plan)) changes.add(streamsFrom(plan));
  return [...changes].sort((a, b) => a - b);
}

/**
 * The largest batch of `from` to `most` rows: whole tokens of all sequences where there is one, or one token of as many as
 * there can be, or one sequence's.
 */
function largestBatch({ sequences }: Plan, from: number, most: number): ReservedBatch {
  if (sequences > most) return { rows: most, sequences: most };
  const rows = most - (most % sequences);
  return rows >= from ? { rows, sequences } : { rows: most, sequences: 1 };
}
