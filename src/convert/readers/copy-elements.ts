import { transpose } from "./transpose.js";

/** A dimension of a block, by its strides in the source (`from`) and in the target (`to`), in elements. */
export interface CopiedDimension {
  size: number;
  from: number;
  to: number;
}

/** Sides of the tiles that are copied at a time: their lines on both sides stay in the first cache. */
const [outerTile, innerTile] = [16, 32];

/** Copies a block of elements of 1, 2, 4 or 8 bytes between memories of other strides. */
export function copyElements(
  elementBytes: number,
  source: Uint8Array,
  from: number,
  target: Uint8Array,
  to: number,
  dimensions: readonly CopiedDimension[],
): void {
  // two are copied at a time, the others around them: what the target has side by side, and what the source has
  const order = [...dimensions].sort((a, b) => b.to - a.to);
  const one = { size: 1, from: 0, to: 0 };
  const columns = order.pop() ?? one;
  const neighbours = columns.from === 1 ? -1 : order.findIndex((dimension) => dimension.from === 1);
  const rows = order.splice(neighbours, 1)[0] ?? one;
  const [input, output] = [viewOf(source), viewOf(target)];

  const copy = (level: number, from: number, to: number): void => {
    const dimension = order[level];
    if (!dimension) {
      if (columns.from === 1 && columns.to === 1)
        copyRuns(elementBytes, source, from, target, to, rows, columns.size);
      else if (rows.from === 1 && columns.to === 1)
        transpose(elementBytes, {
          ...{ source: input, from: from * elementBytes, rowStride: columns.from * elementBytes },
          ...{ target: output, to: to * elementBytes, columnStride: rows.to * elementBytes },
          ...{ rows: columns.size, columns: rows.size },
        });
      else copyTiles(elementBytes, input, from, output, to, rows, columns);
      return;
    }
    for (let index = 0; index < dimension.size; index++)
      copy(level + 1, from + index * dimension.from, to + index * dimension.to);
  };
  copy(0, from, to);
}

function copyRuns(
  elementBytes: number,
  source: Uint8Array,
  from: number,
  target: Uint8Array,
  to: number,
  rows: CopiedDimension,
  length: number,
): void {
  const input = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  const bytes = length * elementBytes;
  for (let row = 0; row < rows.size; row++) {
    const start = (from + row * rows.from) * elementBytes;
    input.copy(target, (to + row * rows.to) * elementBytes, start, start + bytes);
  }
}

/** By tiles; within one, along the dimension that the source has closer together. */
function copyTiles(
  elementBytes: number,
  input: DataView,
  from: number,
  output: DataView,
  to: number,
  rows: CopiedDimension,
  columns: CopiedDimension,
): void {
  const [outer, inner] = rows.from < columns.from ? [columns, rows] : [rows, columns];
  const [outerFrom, outerTo] = [outer.from * elementBytes, outer.to * elementBytes];
  const [innerFrom, innerTo] = [inner.from * elementBytes, inner.to * elementBytes];
  for (let second = 0; second < inner.size; second += innerTile) {
    const innerEnd = Math.min(second + innerTile, inner.size);
    for (let first = 0; first < outer.size; first += outerTile) {
      const outerEnd = Math.min(first + outerTile, outer.size);
      for (let o = first; o < outerEnd; o++) {
        let read = from * elementBytes + o * outerFrom + second * innerFrom;
        let write = to * elementBytes + o * outerTo + second * innerTo;
        for (let i = second; i < innerEnd; i++, read += innerFrom, write += innerTo) {
          if (elementBytes === 1) output.setUint8(write, input.getUint8(read));
          else if (elementBytes === 2) output.setUint16(write, input.getUint16(read, true), true);
          else output.setUint32(write, input.getUint32(read, true), true);
          if (elementBytes === 8) output.setUint32(write + 4, input.getUint32(read + 4, true), true);
        }
      }
    }
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
