/** A dimension of a block, by its strides in the source (`from`) and in the target (`to`), in elements. */
export interface CopiedDimension {
  size: number;
  from: number;
  to: number;
}

/** Sides of the tiles that are copied at a time: their lines on both sides stay in the first cache. */
const [outerTile, innerTile] = [16, 32];
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

/** By tiles; within one, along the dimension that the source has closer together. */
function copyTiles(
  input: Words,
  from: number,
  output: Words,
  to: number,
  rows: CopiedDimension,
  columns: CopiedDimension,
  words: number,
): void {
  const [outer, inner] = rows.from < columns.from ? [columns, rows] : [rows, columns];
  const [outerFrom, outerTo] = [outer.from * words, outer.to * words];
  const [innerFrom, innerTo] = [inner.from * words, inner.to * words];
  for (let second = 0; second < inner.size; second += innerTile) {
    const innerEnd = Math.min(second + innerTile, inner.size);
    for (let first = 0; first < outer.size; first += outerTile) {
      const outerEnd = Math.min(first + outerTile, outer.size);
      for (let o = first; o < outerEnd; o++) {
        let source = from * words + o * outerFrom + second * innerFrom;
        let target = to * words + o * outerTo + second * innerTo;
        for (let i = second; i < innerEnd; i++) {
          output[target] = input[source]!;
          if (words === 2) output[target + 1] = input[source + 1]!;
          source += innerFrom;
          target += innerTo;
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
