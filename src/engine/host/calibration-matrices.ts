import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { feedForward, hidden } from "./calibration-buffers.js";
import type { Clock } from "./calibration-clock.js";
import type { Workbench } from "./calibration-workbench.js";

/** The row counts that a matrix is measured with: one token, some sequences at once, and up to a full micro-batch. */
const rowPoints = [1, 8, 32, 128, 512];
/** Smaller matrices, for processors that need long for a whole one and many rows. */
const smaller = [1024, 256];
/** About how long one computation of a graph may take. */
const graphSeconds = 0.04;

/**
 * Measures multiplications by weights of a type that are in memory of `bufferType`, `passBytes` of them where there is
 * time for so many. The matrices follow on each other as in a feed-forward network, each waiting for the one before it.
 * Points that would not fit into the time left, judged by the points before them, are left out; the first never is.
 */
export async function matrixSpeed(
  workbench: Workbench,
  clock: Clock,
  type: TensorTypeName,
  bufferType: Pointer,
  passBytes: number,
): Promise<MatrixSpeed> {
  using small = workbench.tensors(smaller.length);
  const choices = smaller.map((rows) => ({
    chain: [small.make(type, [hidden, rows])],
    bytes: tensorBytes(type, [hidden, rows])!,
  }));
  await workbench.fillWeights(small, type, bufferType);
  const least = choices.at(-1)!;
  let secondsPerByte = (await chainSeconds(workbench, clock, least.chain, 1)) / least.bytes;

  const bytes = tensorBytes(type, [hidden, feedForward])!;
  const pairs = Math.min(passBytes, graphSeconds / secondsPerByte) / bytes / 2;
  using large = workbench.tensors(2 * Math.ceil(pairs));
  const matrices = Array.from({ length: 2 * Math.ceil(pairs) }, (_, index) =>
    large.make(type, index % 2 === 0 ? [hidden, feedForward] : [feedForward, hidden]),
  );
  await workbench.fillWeights(large, type, bufferType);
  // All matrices, or fewer, or a small one: as much as fits into the time of one computation.
  for (let count = 1; count <= matrices.length; count++)
    choices.unshift({ chain: matrices.slice(0, count), bytes: count * bytes });

  const speed: MatrixSpeed = { rows: [], bytesPerSecond: [] };
  let measuredRows = 1;
  for (const rows of rowPoints) {
    const expected = (secondsPerByte * rows) / measuredRows;
    // One row reads memory: there, a part of the matrices could come from a cache.
    const fits = (choice: { bytes: number }) => rows === 1 || choice.bytes * expected < graphSeconds;
    const { chain, bytes } = choices.find(fits) ?? least;
    if (rows > 1 && !clock.allows(2 * bytes * expected)) break;
    const seconds = await chainSeconds(workbench, clock, chain, rows);
    speed.rows.push(rows);
    speed.bytesPerSecond.push(bytes / seconds);
    secondsPerByte = seconds / bytes;
    measuredRows = rows;
  }
  return speed;
}

async function chainSeconds(
  workbench: Workbench,
  clock: Clock,
  matrices: readonly Pointer[],
  rows: number,
): Promise<number> {
  using work = workbench.tensors(matrices.length + 1);
  const input = work.make("F32", [hidden, rows]);
  let state = input;
  for (const matrix of matrices) state = workbench.functions.multiply(work.context, matrix, state);
  const graph = work.graph(state);
  work.allocate();
  await workbench.fill(input, "F32");
  return await clock.time(() => workbench.compute(graph));
}
