import { type BandKeeper, type ElementReader, stridedReader } from "../readers/strided.js";
import { withScratch } from "./scratch.js";
import { elementBytes, type View } from "./view.js";

/**
 * Columns as rows. `bands` keeps what one pass through the matrix turned, for the reads behind; `view` itself must not
 * read by the same ones, which let one in at a time.
 */
export function transposed(view: View, bands: BandKeeper): View {
  if (view.type === "MXFP4") throw new RangeError("blocks cannot be transposed");
  const size = elementBytes[view.type];
  const columns = view.rowBytes / size;
  const layout = { shape: [columns, view.rows], strides: [1, columns], offset: 0 };
  const read = stridedReader(elementsOf(view, size), size, layout, bands);
  return {
    type: view.type,
    rows: columns,
    rowBytes: view.rows * size,
    readRows: (target, firstRow) => read(target, firstRow * view.rows),
  };
}

/** Any elements of a view: it reads the rows that hold them. */
function elementsOf(view: View, size: number): ElementReader {
  const { rowBytes } = view;
  return async (target, firstElement) => {
    const start = firstElement * size;
    const firstRow = Math.floor(start / rowBytes);
    const skipped = start - firstRow * rowBytes;
    const bytes = Math.ceil((skipped + target.byteLength) / rowBytes) * rowBytes;
    if (bytes === target.byteLength) return view.readRows(target, firstRow);
    await withScratch(bytes, async (scratch) => {
      await view.readRows(scratch, firstRow);
      target.set(scratch.subarray(skipped, skipped + target.byteLength));
    });
  };
}
