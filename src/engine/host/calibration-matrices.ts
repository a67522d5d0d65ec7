import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { feedForward, hidden } from "./calibration-buffers.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

/** The row counts that a matrix is measured with: one token, some sequences at once, and up to a full micro-batch. */
const rowPoints = [1, 8, 32, 128, 512];
/** Row length and rows of smaller matrices, for processors that need long for a whole one and many rows. */
const smaller = [
  [hidden, 1024],
  [hidden, 256],
  [512, 256],
] as const;
/** About how long one computation of a graph may take. */
const graphSeconds = 0.04;

/** Weights whose multiplications are measured. */
export interface WeightsCase {
  type: TensorTypeName;
  bufferType: Pointer;
  /** As many are passed where there is time, for memory to show. */
  passBytes: number;
  /** What a multiplication costs beside them, which is not counted in their speed. */
  multiplySeconds: number;
  /** What each row of a matrix costs beside them where one token is multiplied; neither is counted in their speed. */
  rowSeconds: number;
}

/**
 * Measures multiplications by weights of a type that are in memory of `bufferType`, `passBytes` of them where there is
 * time for so many. The matrices follow on each other as in a feed-forward network, each waiting for the one before it.
 * Points that would not fit into the time left, judged by the points before them, are left out; the first never is.
 */
export async function matrixSpeed(
  workbench: Workbench,
  clock: Clock,
  { type, bufferType, passBytes, multiplySeconds, rowSeconds }: WeightsCase,
): Promise<MatrixSpeed> {
  using small = workbench.tensors(smaller.length);
  const choices: Choice[] = smaller.map((shape) => ({
    chain: [small.make(type, shape)],
    length: shape[0],
    matrixRows: shape[1],
    bytes: tensorBytes(type, shape)!,
  }));
  await workbench.fillWeights(small, type, bufferType);
  const [, first, least] = choices as [Choice, Choice, Choice];
  let secondsPerByte = (await chainSeconds(workbench, clock, first, 1)) / first.bytes;

  const bytes = tensorBytes(type, [hidden, feedForward])!;
  const pairs = Math.min(passBytes, graphSeconds / secondsPerByte) / bytes / 2;
  using large = workbench.tensors(2 * Math.ceil(pairs));
  const matrices = Array.from({ length: 2 * Math.ceil(pairs) }, (_, index) =>
    large.make(type, index % 2 === 0 ? [hidden, feedForward] : [feedForward, hidden]),
  );
  await workbench.fillWeights(large, type, bufferType);
  // All matrices, or fewer, or a small one: as much as fits into the time of one computation.
  for (let count = 1; count <= matrices.length; count++)
    choices.unshift({
      chain: matrices.slice(0, count),
      length: hidden,
      matrixRows: Math.ceil(count / 2) * feedForward + Math.floor(count / 2) * hidden,
      bytes: count * bytes,
    });

  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  let measuredRows = 1;
  for (const rows of rowPoints) {
    const expected = (secondsPerByte * rows) / measuredRows;
    // One row reads memory, and a part of the matrices could come from a cache: there, a pair more than fits is taken.
    const longest = rows === 1 ? 2 * graphSeconds : graphSeconds;
    const fits = (choice: Choice) => choice.bytes * expected < longest;
    const choice = choices.find(fits) ?? least;
    const { chain, bytes, matrixRows } = choice;
    if (rows > 1 && !clock.allows(2 * bytes * expected)) break;
    const took = await chainSeconds(workbench, clock, choice, rows);
    const fixed = chain.length * multiplySeconds + (rows === 1 ? matrixRows * rowSeconds : 0);
    const seconds = withoutFixed(took, fixed);
    speed.rows.push(rows);
    speed.bytesPerSecond.push(bytes / seconds);
    secondsPerByte = seconds / bytes;
    measuredRows = rows;
  }
  return speed;
}

/** Matrices that follow on each other, the first of which takes rows of `length`. */
interface Choice {
  chain: Pointer[];
  length: number;
  /** Rows of all of them. */
  matrixRows: number;
  bytes: number;
}

/** What passing weights took of a chain's time, the rest of which is counted apart: at least half of it. */
export function withoutFixed(seconds: number, fixedSeconds: number): number {
  return Math.max(seconds - fixedSeconds, seconds / 2);
}

async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  { chain, length }: Choice,
  rows: number,
): Promise<number> {
  using work = workbench.tensors(chain.length + 1);
  const input = work.make("F32", [length, rows]);
  let state = input;
  for (const matrix of chain) state = workbench.functions.multiply(work.context, matrix, state);
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return await clock.time(() => workbench.compute(graph));
}
