import type { ComputeSpeed } from "../hardware/facts.js";

/** One layer's attention over its KV cache. */
export interface LayerAttention {
  /** Of the query. */
  heads: number;
  /** Elements of K and of V of one head, together. */
  headSizes: number;
  cacheBytesPerCell: number;
}

/** What of a graph attention depends on: see `Load`. */
interface AttentionLoad {
  rows: number;
  sequences: number;
  depth: number;
}

/** Cells that libllama's graphs take at once (`llama_kv_cache::get_n_kv`, v0.5.0). */
const cellsAtOnce = 256;

/**
 * Share of the memory's speed at which a KV cache is read where no figures of its own are known: a head's part of a
 * cell is a hundred bytes, and the next one lies a cell further.
 */
const cacheReading = { host: 0.25, device: 0.7 };

/** Seconds of a layer's attention on a processor; `onHost` says that it is the CPU. */
export function attentionSeconds(
  speed: ComputeSpeed,
  onHost: boolean,
  load: AttentionLoad,
  { heads, headSizes, cacheBytesPerCell }: LayerAttention,
): number {
  const { rows, sequences } = load;
  const { attention, memoryBytesPerSecond } = speed;
  const cacheShare = onHost ? cacheReading.host : cacheReading.device;
  const reading = memoryBytesPerSecond * cacheShare;
  if (rows > 8 * sequences) {
    const multiplies = rows * load.depth * heads * headSizes;
    return multiplies / attention.batchPerSecond + (cacheBytesPerCell * load.depth * sequences) / reading;
  }
  const cells = computedCells(load, onHost);
  const bytes = cacheBytesPerCell * cells * sequences;
  const { oneRow } = attention;
  if (!oneRow) return (rows * cells * heads * headSizes) / attention.oneRowPerSecond + bytes / reading;
  const perHead = at(oneRow.headSizes, oneRow.headSeconds, headSizes / 2);
  const perByte = at(
    oneRow.headSizes,
    oneRow.cacheBytesPerSecond.map((rate) => 1 / rate),
    headSizes / 2,
  );
  return rows * cells * heads * perHead + bytes * perByte;
}

/** From so many cells on, the CPU shares out a single token's cells among its threads, and not its heads. */
const sharedOutFrom = 512;

/**
 * Cells that cost time: those that are masked are skipped on the CPU. But where a single token's cells are shared out
 * equally, with what is masked behind them, the last thread's empty part makes nobody faster
 * (`ggml_compute_forward_flash_attn_ext_f16`, v0.5.0).
 */
function computedCells({ depth, sequences }: AttentionLoad, onHost: boolean): number {
  const cells = Math.ceil((depth + 1) / cellsAtOnce) * cellsAtOnce;
  return onHost && (sequences > 1 || cells < sharedOutFrom) ? depth : cells;
}

/** The value at a size: linear between the points, and with the nearest point's beyond them. */
function at(sizes: readonly number[], values: readonly number[], size: number): number {
  const last = sizes.length - 1;
  if (size <= sizes[0]!) return values[0]!;
  if (size >= sizes[last]!) return values[last]!;
  const above = sizes.findIndex((point) => point >= size);
  const share = (size - sizes[above - 1]!) / (sizes[above]! - sizes[above - 1]!);
  return (1 - share) * values[above - 1]! + share * values[above]!;
}
