/** A dimension of a block, by its strides in the source (`from`) and in the target (`to`), in elements. */
export interface CopiedDimension {
  size: number;
  from: number;
  to: number;
}

/** Tiles of so many elements a side keep the lines of both sides in the first cache. */
const tile = 32;
type Words = Uint8Array | Uint16Array | Uint32Array;

/**
 * Copies a block of elements of 1, 2, 4 or 8 bytes between memories of other strides. `source` starts at a multiple of
 * an element, as `target` does.
 */
export function copyElements(
  elementBytes: number,
  source: Uint8Array,
  from: number,
  target: Uint8Array,
  to: number,
  dimensions: readonly CopiedDimension[],
): void {
  // the two that the target has closest together are copied by tiles, the others around them
  const order = [...dimensions].sort((a, b) => b.to - a.to);
  const one = { size: 1, from: 0, to: 0 };
  const columns = order.pop() ?? one;
  const rows = order.pop() ?? one;
  const words = elementBytes === 8 ? 2 : 1;
  const [input, output] = [wordsOf(source, elementBytes), wordsOf(target, elementBytes)];
  const isRun = columns.from === 1 && columns.to === 1;

  const copy = (level: number, from: number, to: number): void => {
    const dimension = order[level];
    if (!dimension) {
      if (isRun) copyRuns(elementBytes, source, from, target, to, rows, columns.size);
      else copyTiles(input, from, output, to, rows, columns, words);
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

function copyTiles(
  input: Words,
  from: number,
  output: Words,
  to: number,
  rows: CopiedDimension,
  columns: CopiedDimension,
  words: number,
): void {
  const [rowFrom, rowTo, columnFrom, columnTo] = [rows.from, rows.to, columns.from, columns.to];
  for (let row = 0; row < rows.size; row += tile) {
    const rowEnd = Math.min(row + tile, rows.size);
    for (let column = 0; column < columns.size; column += tile) {
      const columnEnd = Math.min(column + tile, columns.size);
      for (let r = row; r < rowEnd; r++) {
        let source = (from + r * rowFrom + column * columnFrom) * words;
        let target = (to + r * rowTo + column * columnTo) * words;
        for (let c = column; c < columnEnd; c++) {
          output[target] = input[source]!;
          if (words === 2) output[target + 1] = input[source + 1]!;
          source += columnFrom * words;
          target += columnTo * words;
        }
      }
    }
  }
}

function wordsOf(bytes: Uint8Array, elementBytes: number): Words {
  if (elementBytes === 1) return bytes;
  const { buffer, byteOffset, byteLength } = bytes;
  if (elementBytes === 2) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}
