import { withScratch } from "./scratch.js";
import { elementBytes, type View, workingBytes } from "./view.js";

/**
 * Columns as rows. A read goes through the whole matrix once, in bands of a few MiB, and picks its columns, so ask for
 * many rows at once.
 */
export function transposed(view: View): View {
  if (view.type === "MXFP4") throw new RangeError("blocks cannot be transposed");
  const size = elementBytes[view.type];
  const rowBytes = view.rows * size;
  const bandRows = Math.max(1, Math.floor(workingBytes / view.rowBytes));
  return {
    type: view.type,
    rows: view.rowBytes / size,
    rowBytes,
    async readRows(target, firstRow) {
      const isAligned = target.byteOffset % size === 0;
      if (isAligned) return fill(target, firstRow);
      await withScratch(target.byteLength, async (scratch) => {
        await fill(scratch, firstRow);
        target.set(scratch);
      });
    },
  };

  function fill(target: Uint8Array, firstRow: number): Promise<void> {
    return withScratch(bandRows * view.rowBytes, async (scratch) => {
      const output = elementsOf(target, size);
      const columns = target.byteLength / rowBytes;
      for (let band = 0; band < view.rows; band += bandRows) {
        const rows = Math.min(bandRows, view.rows - band);
        const bytes = scratch.subarray(0, rows * view.rowBytes);
        await view.readRows(bytes, band);
        const across = view.rowBytes / size;
        scatter(
          elementsOf(bytes, size),
          { across, rows, firstColumn: firstRow, columns },
          output,
          view.rows,
          band,
        );
      }
    });
  }
}

type Elements = Uint8Array | Uint16Array | Uint32Array;

/** Elements as numbers of their size: NaNs keep their bits. */
function elementsOf(bytes: Uint8Array, size: number): Elements {
  const count = bytes.byteLength / size;
  if (size === 4) return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
  if (size === 2) return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  return bytes;
}

/** Side of the squares that are turned at a time: their lines stay in the cache. */
const square = 32;

function scatter(
  source: Elements,
  band: { across: number; rows: number; firstColumn: number; columns: number },
  output: Elements,
  outputAcross: number,
  outputColumn: number,
): void {
  const { across, rows, firstColumn, columns } = band;
  for (let left = 0; left < columns; left += square) {
    const right = Math.min(columns, left + square);
    for (let top = 0; top < rows; top += square) {
      const bottom = Math.min(rows, top + square);
      for (let column = left; column < right; column++) {
        const to = column * outputAcross + outputColumn;
        const from = firstColumn + column;
        for (let row = top; row < bottom; row++) output[to + row] = source[row * across + from]!;
      }
    }
  }
}
