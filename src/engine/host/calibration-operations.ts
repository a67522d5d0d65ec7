import type { ComputeSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

/**
 * Measures attention over an F16 KV cache as llama.cpp computes it where it can (`ggml_flash_attn_ext`), in
 * multiply-adds of both products per second. Every cell is visible: a cost model counts the visible ones. Heads of 64
 * and 128 elements count equally by their work. Undefined where the processor has no such operation.
 */
export async function attentionSpeed(
  workbench: Workbench,
  clock: Clock,
): Promise<ComputeSpeed["attention"] | undefined> {
  const oneRowPerSecond = await rateOf(workbench, clock, oneRowCases);
  const batchPerSecond = oneRowPerSecond && (await rateOf(workbench, clock, batchCases));
  return oneRowPerSecond && batchPerSecond ? { oneRowPerSecond, batchPerSecond } : undefined;
}

// From what the slowest processor computes in no time to what keeps the fastest busy.
const oneRowCases: AttentionCase[] = [
  { rows: 1, cells: 512, heads: 8, layers: 1 },
  { rows: 1, cells: 2048, heads: 32, layers: 6 },
];
const batchCases: AttentionCase[] = [
  { rows: 64, cells: 256, heads: 4, layers: 1 },
  { rows: 256, cells: 512, heads: 16, layers: 1 },
  { rows: 512, cells: 1024, heads: 32, layers: 1 },
];
/** A case is left out where the one before it says that it would take longer. */
const mostSeconds = 0.3;

/** The rate of the greatest case that there is time for. */
async function rateOf(
  workbench: Workbench,
  clock: Clock,
  cases: readonly AttentionCase[],
): Promise<number | undefined> {
  let found: number | undefined;
  for (const what of cases) {
    if (found !== undefined && workOf(what, 128) / found > mostSeconds) break;
    found = await rate(workbench, clock, what);
    if (found === undefined) break;
  }
  return found;
}

interface AttentionCase {
  rows: number;
  cells: number;
  /** Of the query; a quarter as many of the KV cache. */
  heads: number;
  /** Each has its own KV cache; together they should be more than the processor's cache holds. */
  layers: number;
}

function workOf({ rows, cells, heads, layers }: AttentionCase, headSize: number): number {
  return 2 * rows * cells * heads * headSize * layers;
}

async function rate(workbench: Workbench, clock: Clock, what: AttentionCase): Promise<number | undefined> {
  let work = 0;
  let seconds = 0;
  for (const headSize of [64, 128]) {
    const time = await attentionSeconds(workbench, clock, what, headSize);
    if (time === undefined) return undefined;
    work += workOf(what, headSize);
    seconds += time;
  }
  return work / seconds;
}

async function attentionSeconds(
  workbench: Workbench,
  clock: Clock,
  { rows, cells, heads, layers }: AttentionCase,
  headSize: number,
): Promise<number | undefined> {
  const { functions } = workbench;
  using work = workbench.tensors(8 * layers + 8);
  const query = work.make("F32", [headSize, heads, rows]);
  const mask = work.make("F16", [cells, rows]);
  const caches: Pointer[] = [];
  // The axes are as llama.cpp has them: a token's heads lie together, and views exchange the last two axes.
  const byHead = (tensor: Pointer) => functions.permute(work.context, tensor, 0, 2, 1, 3);
  const cache = () => {
    const tensor = work.make("F16", [headSize, heads / 4, cells]);
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
  await workbench.write(mask, (target) => target.fill(0));
  return await clock.time(() => workbench.compute(graph));
}

/**
 * Measures what a node of a graph costs beside its arithmetic, in seconds: the difference between a long and a short
 * chain of operations on one token's hidden state, so that what a whole graph costs is not in it.
 */
export async function nodeSeconds(workbench: Workbench, clock: Clock): Promise<number> {
  const short = 30;
  const long = 330;
  const shortSeconds = await nodeChainSeconds(workbench, clock, short);
  const longSeconds = await nodeChainSeconds(workbench, clock, long);
  return Math.max(0, longSeconds - shortSeconds) / (long - short);
}

async function nodeChainSeconds(workbench: Workbench, clock: Clock, nodes: number): Promise<number> {
  const { functions } = workbench;
  using work = workbench.tensors(nodes + 2);
  const input = work.make("F32", [2048]);
  let state = input;
  // No two neighbours that backends fuse into one kernel.
  for (let node = 0; node < nodes; node += 3) {
    state = functions.rmsNorm(work.context, state, 1e-5);
    state = functions.scale(work.context, state, 0.5);
    state = functions.add(work.context, state, input);
  }
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return await clock.time(() => workbench.compute(graph));
}
