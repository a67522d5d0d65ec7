import { median } from "../../statistics.js";
import type { Pointer } from "../native/ffi.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

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

/**
 * Measures what a multiplication of one row costs beside passing its weights and its rows, in seconds. Undefined where the
 * processor does not multiply by eight bits.
 */
export async function multiplySeconds(
  workbench: Workbench,
  clock: Clock,
  isHost: boolean,
): Promise<number | undefined> {
  // So small that any cache holds it.
  const small = 256;
  const smallSeconds = await multiplicationSeconds(workbench, clock, [small, small], 30);
  if (smallSeconds === undefined) return undefined;
  if (isHost) return smallSeconds;
  // As many bytes with four times the rows, of the lengths that models have.
  const [many, few] = [[512, 2048] as const, [2048, 512] as const];
  const rows: number[] = [];
  const fewTimes: number[] = [];
  for (let round = 0; round < 5; round++) {
    const manySeconds = (await multiplicationSeconds(workbench, clock, many, 2)) ?? 0;
    const fewSeconds = (await multiplicationSeconds(workbench, clock, few, 2)) ?? 0;
    fewTimes.push(fewSeconds);
    rows.push((manySeconds - fewSeconds) / (many[1] - few[1]));
  }
  const row = Math.min(Math.max(0, median(rows)), smallSeconds / small);
  // What is left without the rows and the weights, of which the large matrix has so many times as many.
  const times = (few[0] * few[1]) / small ** 2;
  const withoutRows = { few: median(fewTimes) - few[1] * row, small: smallSeconds - small * row };
  return Math.max(0, (times * withoutRows.small - withoutRows.few) / (times - 1));
}

/** Seconds of one multiplication of so many by a matrix, each waiting for the one before it where the matrix is square. */
async function multiplicationSeconds(
  workbench: Workbench,
  clock: Clock,
  [length, rows]: readonly [number, number],
  count: number,
): Promise<number | undefined> {
  const { functions } = workbench;
  using weights = workbench.tensors(1);
  const matrix = weights.make("Q8_0", [length, rows]);
  await workbench.fillWeights(weights, "Q8_0", workbench.bufferType);
  using work = workbench.tensors(count + 1);
  const input = work.make("F32", [length]);
  const results: Pointer[] = [];
  for (let index = 0; index < count; index++) {
    const state = length === rows ? (results.at(-1) ?? input) : input;
    results.push(functions.multiply(work.context, matrix, state));
  }
  if (!functions.supports(workbench.device, results[0]!)) return undefined;
  const graph = work.graph(...results);
  work.allocate();
  await workbench.fill(input, "F32");
  return (await clock.time(() => workbench.compute(graph))) / count;
}

/** Scalings and additions of this many tokens are measured: as many as stay in a last-level cache, as a prompt's do. */
const passRows = 256;
/** What a scaling and an addition read and write of their operands' size. */
const passesOfTwo = 5;

/** Measures what small operations on many tokens read and write per second, in bytes. */
export async function passBytesPerSecond(
  workbench: Workbench,
  clock: Clock,
  nodeSeconds: number,
): Promise<number> {
  const nodes = 6;
  const seconds = await nodeChainSeconds(workbench, clock, nodes, passRows);
  const bytes = (nodes / 2) * passesOfTwo * chainLength * passRows * 4;
  // What a node costs by itself is counted apart.
  return bytes / Math.max(seconds - nodes * nodeSeconds, seconds / 2);
}

const chainLength = 2048;

async function nodeChainSeconds(
  workbench: Workbench,
  clock: Clock,
  nodes: number,
  rows = 1,
): Promise<number> {
  const { functions } = workbench;
  using work = workbench.tensors(nodes + 2);
  const input = work.make("F32", [chainLength, rows]);
  let state = input;
  // No two neighbours that backends fuse into one kernel.
  for (let node = 0; node < nodes; node += 2) {
    state = functions.scale(work.context, state, 0.5);
    state = functions.add(work.context, state, input);
  }
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return await clock.time(() => workbench.compute(graph));
}
