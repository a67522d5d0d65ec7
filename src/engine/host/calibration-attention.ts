import type { ComputeSpeed, OneRowAttention } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

/** Heads of these sizes are measured. */
const headSizes = [64, 128];
/** Heads of the query that share one of the cache, where they share. */
const sharing = 4;
/** The caches of a measurement together hold at most so much. */
const mostCacheBytes = 128 * 2 ** 20;
/** A case is left out where the one before it says that it would take longer. */
const mostSeconds = 0.3;

/**
 * Measures attention over an F16 KV cache as llama.cpp computes it where it can (`ggml_flash_attn_ext`): one row over
 * caches that `passBytes` are more than the processor's own caches hold, and a prompt that sees what is before it.
 * Undefined where the processor has no such operation.
 */
export async function attentionSpeed(
  workbench: Workbench,
  clock: Clock,
  passBytes: number,
): Promise<ComputeSpeed["attention"] | undefined> {
  const oneRow: OneRowAttention = { headSizes: [], headSeconds: [], cacheBytesPerSecond: [] };
  let work = 0;
  let seconds = 0;
  for (const headSize of headSizes) {
    const shared = await oneRowSeconds(workbench, clock, headSize, sharing, passBytes);
    const alone = shared && (await oneRowSeconds(workbench, clock, headSize, 1, passBytes));
    if (shared === undefined || alone === undefined) return undefined;
    const { headSeconds, cacheSeconds } = shares(shared, alone);
    oneRow.headSizes.push(headSize);
    oneRow.headSeconds.push(headSeconds);
    oneRow.cacheBytesPerSecond.push((2 * headSize * 2) / cacheSeconds);
    work += 2 * headSize;
    seconds += shared;
  }
  const batchPerSecond = await batchRate(workbench, clock);
  return batchPerSecond === undefined
    ? undefined
    : { oneRowPerSecond: work / seconds, batchPerSecond, oneRow };
}

/**
 * What a head of the query and one of the cache take for each cell, from what a head of the query takes in all where
 * several share one of the cache and where each has its own. Neither is less than a fiftieth: noise must not make a
 * cost vanish.
 */
function shares(shared: number, alone: number): { headSeconds: number; cacheSeconds: number } {
  const cacheSeconds = Math.max((alone - shared) / (1 - 1 / sharing), shared / 50);
  return { headSeconds: Math.max(shared - cacheSeconds / sharing, shared / 50), cacheSeconds };
}

/** Seconds for each cell and head of the query, of the larger of two cases that there is time for. */
async function oneRowSeconds(
  workbench: Workbench,
  clock: Clock,
  headSize: number,
  share: number,
  passBytes: number,
): Promise<number | undefined> {
  const small: AttentionCase = { ...{ rows: 1, cells: 512, heads: 8, headSize }, share, layers: 1 };
  const smallSeconds = await attentionSeconds(workbench, clock, small);
  if (smallSeconds === undefined) return undefined;
  const perHead = smallSeconds / (small.cells * small.heads);
  // No power of two: at such distances, the same head's part of all cells would fall on the same sets of a cache.
  const [cells, heads] = [2048, 24];
  const layerBytes = 2 * cells * (heads / share) * headSize * 2;
  const layers = Math.ceil(Math.min(passBytes, mostCacheBytes) / layerBytes);
  if (cells * heads * layers * perHead > mostSeconds) return perHead;
  const seconds = await attentionSeconds(workbench, clock, {
    ...{ rows: 1, cells, heads, headSize, share, layers },
  });
  return seconds === undefined ? perHead : seconds / (cells * heads * layers);
}

/** Rows of prompts, from what the slowest processor computes in no time to what keeps the fastest busy. */
const batchCases = [
  { rows: 64, heads: 4 },
  { rows: 128, heads: 4 },
  { rows: 256, heads: 16 },
  { rows: 512, heads: 32 },
];

/** Multiply-adds per second of the greatest case that there is time for, of cells that are seen. */
async function batchRate(workbench: Workbench, clock: Clock): Promise<number | undefined> {
  let found: number | undefined;
  for (const { rows, heads } of batchCases) {
    const workOf = (headSize: number) => rows * (rows / 2) * heads * 2 * headSize;
    if (found !== undefined && workOf(128) / found > mostSeconds) break;
    let work = 0;
    let seconds = 0;
    for (const headSize of headSizes) {
      const what = { ...{ rows, cells: rows, heads, headSize }, share: sharing, layers: 1 };
      const time = await attentionSeconds(workbench, clock, what);
      if (time === undefined) return found;
      work += workOf(headSize);
      seconds += time;
    }
    found = work / seconds;
  }
  return found;
}

interface AttentionCase {
  rows: number;
  cells: number;
  /** Of the query. */
  heads: number;
  headSize: number;
  /** Heads of the query for each of the KV cache. */
  share: number;
  /** Each has its own KV cache. */
  layers: number;
}

async function attentionSeconds(
  workbench: Workbench,
  clock: Clock,
  { rows, cells, heads, headSize, share, layers }: AttentionCase,
): Promise<number | undefined> {
  const { functions } = workbench;
  using work = workbench.tensors(8 * layers + 8);
  const query = work.make("F32", [headSize, heads, rows]);
  const mask = work.make("F16", [cells, rows]);
  const caches: Pointer[] = [];
  // The axes are as llama.cpp has them: a token's heads lie together, and views exchange the last two axes.
  const byHead = (tensor: Pointer) => functions.permute(work.context, tensor, 0, 2, 1, 3);
  const cache = () => {
    const tensor = work.make("F16", [headSize, heads / share, cells]);
    caches.push(tensor);
    return byHead(tensor);
  };
  const scale = 1 / Math.sqrt(headSize);
  let state = query;
  for (let layer = 0; layer < layers; layer++)
    state = functions.attention(work.context, byHead(state), cache(), cache(), mask, scale, 0, 0);
  if (!functions.supports(workbench.device, state)) return undefined;
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(query, "F32");
  for (const tensor of caches) await workbench.fill(tensor, "F16");
  await workbench.write(mask, (target) => hideLater(target, rows, cells));
  return await clock.time(() => workbench.compute(graph));
}

/** A mask of halves: row by row, zero for what a token sees, minus infinity for what comes after it. */
function hideLater(target: Uint8Array, rows: number, cells: number): void {
  const mask = new Uint16Array(target.buffer, target.byteOffset, rows * cells);
  mask.fill(0);
  for (let row = 0; row < rows; row++)
    mask.fill(0xfc00, row * cells + cells - rows + row + 1, (row + 1) * cells);
}
