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
 * Measures what a multiplication of one row costs beside passing its weights, in seconds: in all, and of that for each row
 * of the matrix. Undefined where the processor does not multiply by eight bits.
 */
export async function multiplySeconds(
  workbench: Workbench,
  clock: Clock,
  isHost: boolean,
): Promise<{ each: number; row: number } | undefined> {
  // So small that any cache holds it.
  const small = await multiplyChainSeconds(workbench, clock, [256, 256], 50);
  if (small === undefined) return undefined;
  // A CPU's threads share out the rows of a matrix in large parts: a row alone costs nothing.
  if (isHost) return { each: small, row: 0 };
  // Two pairs of matrices of as many bytes, the first with far more rows.
  const [many, few, pairs] = [[128, 4096] as const, [512, 1024] as const, 4];
  const manySeconds = (await multiplyChainSeconds(workbench, clock, many, pairs)) ?? 0;
  const fewSeconds = (await multiplyChainSeconds(workbench, clock, few, pairs)) ?? 0;
  const rowsMore = (many[0] + many[1] - few[0] - few[1]) / 2;
  const row = Math.min(Math.max(0, manySeconds - fewSeconds) / rowsMore, small / 256);
  return { each: small - 256 * row, row };
}

/** Seconds of one multiplication in a chain of pairs of matrices, from one length to another and back. */
async function multiplyChainSeconds(
  workbench: Workbench,
  clock: Clock,
  [from, to]: readonly [number, number],
  pairs: number,
): Promise<number | undefined> {
  const { functions } = workbench;
  using weights = workbench.tensors(2);
  const there = weights.make("Q8_0", [from, to]);
  const back = weights.make("Q8_0", [to, from]);
  await workbench.fillWeights(weights, "Q8_0", workbench.bufferType);
  using work = workbench.tensors(2 * pairs + 1);
  const input = work.make("F32", [from]);
  let state = input;
  for (let pair = 0; pair < pairs; pair++)
    state = functions.multiply(work.context, back, functions.multiply(work.context, there, state));
  if (!functions.supports(workbench.device, state)) return undefined;
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return (await clock.time(() => workbench.compute(graph))) / (2 * pairs);
}

/** Norms, scalings and additions of this many tokens are measured: as many as stay in a last-level cache, as a prompt's do. */
const passRows = 256;
/** What a norm, a scaling and an addition read and write of their operands' size. */
const passesOfThree = 7;

/** Measures what small operations on many tokens read and write per second, in bytes. */
export async function passBytesPerSecond(
  workbench: Workbench,
  clock: Clock,
  nodeSeconds: number,
): Promise<number> {
  const nodes = 6;
  const seconds = await nodeChainSeconds(workbench, clock, nodes, passRows);
  const bytes = (nodes / 3) * passesOfThree * chainLength * passRows * 4;
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
