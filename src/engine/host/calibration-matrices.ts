import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { MatrixSpeed } from "../../hardware/facts.js";
import type { Pointer } from "../native/ffi.js";
import { feedForward, hidden } from "./calibration-buffers.js";
import type { Clock } from "./calibration-clock.js";
import { longGraphNodes, type Workbench } from "./calibration-workbench.js";

/** The row counts that a matrix is measured with: one token, some sequences at once, and up to a full micro-batch. */
const rowPoints = [1, 8, 32, 128, 512];
/** Repacked weights meet kernels with tiles, of 32 rows with AMX: 48 sequences may cost as much as 64. */
const repackedRowPoints = [1, 8, 32, 48, 64, 128, 512];
/** Row length and rows of smaller matrices, for processors that need long for a whole one and many rows. */
const smaller = [
  [hidden, 1024],
  [hidden, 256],
  [512, 256],
] as const;
/** Square matrices whose rows are as short as models have them: their time beyond that of their bytes is that of rows. */
const shortRows = { length: 512, count: 3 * longGraphNodes };
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
  /** On a CPU, whose threads share out the rows of a matrix in large parts: a row costs nothing beside its bytes there. */
  isHost: boolean;
}

/**
 * Measures multiplications by weights of a type that are in memory of `bufferType`, `passBytes` of them where there is
 * time for so many. The matrices follow on each other as in a feed-forward network, each waiting for the one before it.
 * Points that would not fit into the time left, judged by the points before them, are left out; the first never is.
 */
export async function matrixSpeed(
  workbench: Workbench,
  clock: Clock,
  { type, bufferType, passBytes, multiplySeconds, isHost }: WeightsCase,
): Promise<MatrixSpeed> {
  using small = workbench.tensors(smaller.length + shortRows.count);
  const choices: Choice[] = smaller.map((shape) => ({
    chain: [small.make(type, shape)],
    length: shape[0],
    matrixRows: shape[1],
    bytes: tensorBytes(type, shape)!,
  }));
  const { length: shortLength, count: shortCount } = shortRows;
  const short: Choice = {
    chain: Array.from({ length: shortCount }, () => small.make(type, [shortLength, shortLength])),
    length: shortLength,
    matrixRows: shortCount * shortLength,
    bytes: shortCount * tensorBytes(type, [shortLength, shortLength])!,
  };
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
  const points = bufferType === workbench.bufferType ? rowPoints : repackedRowPoints;
  // A software device's time grows in proportion beyond, which is what is assumed beyond the last point.
  for (const rows of workbench.isSoftware ? points.filter((rows) => rows < 512) : points) {
    const expected = (secondsPerByte * rows) / measuredRows;
    // One row reads memory, and a part of the matrices could come from a CPU's cache: there, a pair more than fits is taken.
    const longest = rows === 1 && isHost ? 2 * graphSeconds : graphSeconds;
    const fits = (choice: Choice) => choice.bytes * expected < longest;
    const choice = choices.find(fits) ?? least;
    const { chain, bytes, matrixRows } = choice;
    if (rows > 1 && !clock.allows(2 * bytes * expected)) break;
    const isAlone = rows === 1 && !isHost;
    const measure = (what: Choice) =>
      steadySeconds(isAlone, () => chainSeconds(workbench, clock, what, rows));
    let seconds = withoutFixed(await measure(choice), chain.length * multiplySeconds);
    if (isAlone) {
      // Layers' matrices are in long graphs where a device has whole layers, and in short ones where it has parts.
      const inLong = await measure(short);
      const few = longGraphNodes - 1;
      const inShort = await measure({ ...short, chain: short.chain.slice(0, few) });
      const shortTook = (inLong + (inShort / few) * shortCount) / 2;
      const shortSeconds = withoutFixed(shortTook, shortCount * multiplySeconds);
      speed.rowSeconds = rowSecondsOf({ ...choice, seconds }, { ...short, seconds: shortSeconds });
      seconds = withoutFixed(seconds, matrixRows * speed.rowSeconds);
    }
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

/**
 * A measurement, or the lesser of two where one token is measured on a device, which reaches its speed after a while: what
 * rows cost is a difference of two of these.
 */
export async function steadySeconds(isTwice: boolean, measure: () => Promise<number>): Promise<number> {
  const seconds = await measure();
  return isTwice ? Math.min(seconds, await measure()) : seconds;
}

/** What passing weights took of a chain's time, the rest of which is counted apart: at least half of it. */
export function withoutFixed(seconds: number, fixedSeconds: number): number {
  return Math.max(seconds - fixedSeconds, seconds / 2);
}

/**
 * What each row of a matrix costs, from two measurements of one token whose time is that of their bytes and of their rows:
 * one of long rows and one of short ones, whose rows have fewer bytes each.
 */
export function rowSecondsOf(long: Timed, short: Timed): number {
  const moreRows = long.bytes * short.matrixRows - short.bytes * long.matrixRows;
  // Rows as short as those: nothing tells them from bytes.
  if (moreRows <= 0) return 0;
  const perRow = (long.bytes * short.seconds - short.bytes * long.seconds) / moreRows;
  return Math.min(Math.max(0, perRow), short.seconds / short.matrixRows);
}

interface Timed {
  bytes: number;
  matrixRows: number;
  seconds: number;
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
