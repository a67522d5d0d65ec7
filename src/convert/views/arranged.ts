import { withScratch } from "./scratch.js";
import { type View, workingBytes } from "./view.js";

/** A step through rows: `count` times, `step` rows further each time. */
export interface Axis {
  count: number;
  step: number;
}

/**
 * Rows in another order, or some of them: row `[i, j, …]` of the axes, outermost first, is row
 * `first + i × step + j × step + …` of `view`.
 */
export function arranged(view: View, first: number, axes: readonly Axis[]): View {
  const rows = axes.reduce((product, { count }) => product * count, 1);
  const last = axes.reduce((sum, { count, step }) => sum + (count - 1) * step, first);
  if (rows < 1 || first < 0 || last >= view.rows || axes.some(({ count, step }) => count < 1 || step < 0))
    throw new RangeError(`rows ${first} to ${last} of ${view.rows}`);
  const { rowBytes } = view;
  const mostSpan = Math.max(1, Math.floor(workingBytes / rowBytes));
  // rows of one element would make long lists of row numbers
  const mostRows = Math.min(65_536, mostSpan);
  return {
    type: view.type,
    rows,
    rowBytes,
    async readRows(target, firstRow) {
      const count = target.byteLength / rowBytes;
      const sources = new Float64Array(Math.min(count, mostRows));
      for (let done = 0; done < count; ) {
        const chunk = nextChunk(
          axes,
          first,
          firstRow + done,
          Math.min(count - done, mostRows),
          mostSpan,
          sources,
        );
        const bytes = target.subarray(done * rowBytes, (done + chunk.rows) * rowBytes);
        const isDense = chunk.rows * 2 >= chunk.span && chunk.runs > 1;
        if (isDense) await readSpan(view, chunk, sources, bytes);
        else await readRuns(view, chunk, sources, bytes);
        done += chunk.rows;
      }
    },
  };
}

interface Chunk {
  rows: number;
  /** The lowest source row, and how many from it on hold all of the chunk's. */
  low: number;
  span: number;
  /** Runs of rows that follow each other in the source, too. */
  runs: number;
}

/** Puts the source rows of as many rows from `row` on into `sources` as lie within `mostSpan` source rows. */
function nextChunk(
  axes: readonly Axis[],
  first: number,
  row: number,
  mostRows: number,
  mostSpan: number,
  sources: Float64Array,
): Chunk {
  let [low, high, runs, rows] = [Number.POSITIVE_INFINITY, -1, 0, 0];
  for (; rows < mostRows; rows++) {
    const source = sourceOf(axes, first, row + rows);
    const [newLow, newHigh] = [Math.min(low, source), Math.max(high, source)];
    if (rows > 0 && newHigh - newLow >= mostSpan) break;
    if (rows === 0 || source !== sources[rows - 1]! + 1) runs++;
    sources[rows] = source;
    [low, high] = [newLow, newHigh];
  }
  return { rows, low, span: high - low + 1, runs };
}

function sourceOf(axes: readonly Axis[], first: number, row: number): number {
  let source = first;
  for (let axis = axes.length - 1, rest = row; axis >= 0; axis--) {
    const { count, step } = axes[axis]!;
    source += (rest % count) * step;
    rest = Math.floor(rest / count);
  }
  return source;
}

/** Reads everything between the lowest and the highest row once, then picks. */
function readSpan(view: View, chunk: Chunk, sources: Float64Array, target: Uint8Array): Promise<void> {
  const { rowBytes } = view;
  return withScratch(chunk.span * rowBytes, async (scratch) => {
    await view.readRows(scratch, chunk.low);
    if (rowBytes <= 8) return pickSmall(scratch, chunk, sources, rowBytes, target);
    for (let row = 0; row < chunk.rows; row++) {
      const from = (sources[row]! - chunk.low) * rowBytes;
      target.set(scratch.subarray(from, from + rowBytes), row * rowBytes);
    }
  });
}

/** Single elements, as in biases. */
function pickSmall(
  scratch: Uint8Array,
  { rows, low }: Chunk,
  sources: Float64Array,
  rowBytes: number,
  target: Uint8Array,
): void {
  for (let row = 0, to = 0; row < rows; row++)
    for (let from = (sources[row]! - low) * rowBytes, end = from + rowBytes; from < end; )
      target[to++] = scratch[from++]!;
}

async function readRuns(view: View, chunk: Chunk, sources: Float64Array, target: Uint8Array): Promise<void> {
  for (let row = 0; row < chunk.rows; ) {
    let end = row + 1;
    while (end < chunk.rows && sources[end] === sources[end - 1]! + 1) end++;
    await view.readRows(target.subarray(row * view.rowBytes, end * view.rowBytes), sources[row]!);
    row = end;
  }
}
