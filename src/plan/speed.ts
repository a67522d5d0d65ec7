import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import type { ComputeSpeed, MatrixSpeed, RowsSpeed } from "../hardware/facts.js";

/** What is passed of a matrix when it is multiplied: of experts, those that are used. */
export interface Passed {
  bytes: number;
  /** The matrix's own. */
  matrixRows: number;
}

/** Seconds in which weights of a type are multiplied by `rows` rows. */
export function matrixSeconds(
  table: Record<string, MatrixSpeed>,
  type: string,
  { bytes, matrixRows }: Passed,
  rows: number,
): number {
  const speed = table[type] ?? nearest(table, type);
  return speed === undefined
    ? 0
    : bytes * secondsPerByte(speed, rows) + matrixRows * secondsPerRow(speed, rows);
}

/**
 * Interpolated in the number of rows: the time of a multiplication grows by steps with them, and linearly beyond the
 * last point measured.
 */
export function secondsPerByte({ rows: points, bytesPerSecond }: MatrixSpeed, rows: number): number {
  const last = points.length - 1;
  if (rows <= points[0]!) return 1 / bytesPerSecond[0]!;
  if (rows >= points[last]!) return rows / points[last]! / bytesPerSecond[last]!;
  const above = points.findIndex((point) => point >= rows);
  const [low, high] = [points[above - 1]!, points[above]!];
  const share = (rows - low) / (high - low);
  return (1 - share) / bytesPerSecond[above - 1]! + share / bytesPerSecond[above]!;
}

/** From so many rows on the speeds of a table have all in them. */
const wholeFromRows = 8;

/** Seconds that each row of a matrix costs beside its bytes: of one token, and less and less of more. */
function secondsPerRow({ rowSeconds = 0 }: MatrixSpeed, rows: number): number {
  return rowSeconds * Math.max(0, (wholeFromRows - rows) / (wholeFromRows - 1));
}

/** Seconds of an operation on so many rows of so many elements. */
export function rowsSeconds(speed: RowsSpeed, rows: number, elements: number): number {
  return speed.seconds + rows * (speed.rowSeconds + elements * speed.elementSeconds);
}

/** The speeds of the type whose elements have the most similar size. */
function nearest(table: Record<string, MatrixSpeed>, type: string): MatrixSpeed | undefined {
  const bits = (name: string) => {
    const known = tensorTypes[name as TensorTypeName];
    return known ? known.blockBytes / known.blockElements : 1;
  };
  let best: string | undefined;
  for (const name of Object.keys(table)) {
    if (best === undefined || Math.abs(bits(name) - bits(type)) < Math.abs(bits(best) - bits(type)))
      best = name;
  }
  return best === undefined ? undefined : table[best];
}

/** How the weights on the host are multiplied, as `Plan.hostMemory` and `Plan.streamWeights` say. */
export type HostMode = "repacked" | "pinned" | "streamed";

/** The table for a matrix on the CPU. */
export function hostTable(
  speed: ComputeSpeed,
  type: string,
  isExpert: boolean,
  mode: HostMode,
): Record<string, MatrixSpeed> {
  if (isExpert && mode === "repacked" && speed.repackedExperts?.[type]) return speed.repackedExperts;
  if (isExpert && speed.experts?.[type]) return speed.experts;
  if (mode === "repacked" && speed.repacked?.[type]) return speed.repacked;
  return speed.matrix;
}

export function deviceTable(
  speed: ComputeSpeed,
  type: string,
  isExpert: boolean,
): Record<string, MatrixSpeed> {
  return isExpert && speed.experts?.[type] ? speed.experts : speed.matrix;
}
