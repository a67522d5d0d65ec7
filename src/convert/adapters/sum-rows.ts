import { withScratch } from "../views/scratch.js";

/** Rows that are worked on at a time take up to so many bytes. */
const blockBytes = 4 * 1024 * 1024;

/**
 * Reads elements of a matrix that is computed row by row, whatever part of it is asked for: whole rows are computed in
 * the target where they lie in it as floats, all else beside it.
 */
export function byRows(
  columns: number,
  fill: (rows: Float32Array, firstRow: number) => Promise<void>,
): (target: Uint8Array, firstElement: number) => Promise<void> {
  const rowsAtOnce = Math.max(1, Math.floor(blockBytes / (columns * 4)));
  return async (target, firstElement) => {
    const elements = target.byteLength / 4;
    for (let done = 0; done < elements; ) {
      const at = firstElement + done;
      const row = Math.floor(at / columns);
      const skip = at % columns;
      const rows = Math.min(rowsAtOnce, Math.ceil((skip + elements - done) / columns));
      const count = Math.min(rows * columns - skip, elements - done);
      const part = target.subarray(done * 4, (done + count) * 4);
      const isWhole = skip === 0 && count === rows * columns;
      if (isWhole && part.byteOffset % 4 === 0) {
        await fill(new Float32Array(part.buffer, part.byteOffset, count), row);
      } else {
        await withScratch(rows * columns * 4, async (scratch) => {
          await fill(new Float32Array(scratch.buffer, scratch.byteOffset, rows * columns), row);
          part.set(scratch.subarray(skip * 4, (skip + count) * 4));
        });
      }
      done += count;
    }
  };
}
