/** A matrix as it lies in `source`, and where its columns go in `target`; offsets and strides in bytes. */
export interface Transposition {
  readonly source: DataView;
  readonly from: number;
  /** From a row of the source to the next; the elements of a row stand side by side. */
  readonly rowStride: number;
  readonly target: DataView;
  readonly to: number;
  /** From a column in the target to the next; the elements of a column stand side by side. */
  readonly columnStride: number;
  readonly rows: number;
  readonly columns: number;
}

/** Sides of the tiles that are turned at a time: the lines of both sides stay in the second cache. */
const [tileRows, tileColumns] = [512, 256];
/**
 * Rows of a tile that are turned before those below: rows of most matrices lie a multiple of 4 KiB apart, where a first
 * cache has room for eight lines.
 */
const stripRows = 8;

/**
 * Writes the columns of a matrix of elements of 1, 2, 4 or 8 bytes as rows. Both sides may start anywhere and have any
 * stride: everything moves in words of four bytes, squares of 4 × 4 or 2 × 2 of the small elements at a time.
 */
export function transpose(elementBytes: number, matrix: Transposition): void {
  const { rows, columns } = matrix;
  const side = Math.max(1, 4 / elementBytes);
  if (rows < side || columns < side) turnBytes(elementBytes, matrix);
  // what is beyond whole squares is turned by squares that reach back over others
  else if (columns % side !== 0) {
    transpose(elementBytes, cut(elementBytes, matrix, 0, rows, 0, columns - (columns % side)));
    transpose(elementBytes, cut(elementBytes, matrix, 0, rows, columns - side, columns));
  } else if (rows % side !== 0) {
    transpose(elementBytes, cut(elementBytes, matrix, 0, rows - (rows % side), 0, columns));
    transpose(elementBytes, cut(elementBytes, matrix, rows - side, rows, 0, columns));
  } else {
    for (let left = 0; left < columns; left += tileColumns)
      for (let top = 0; top < rows; top += tileRows) {
        const [bottom, right] = [Math.min(rows, top + tileRows), Math.min(columns, left + tileColumns)];
        turn(elementBytes, cut(elementBytes, matrix, top, bottom, left, right));
      }
  }
}

/** The part of a matrix from row `top` to before row `bottom`, and likewise its columns. */
function cut(
  elementBytes: number,
  matrix: Transposition,
  top: number,
  bottom: number,
  left: number,
  right: number,
): Transposition {
  return {
    ...matrix,
    from: matrix.from + top * matrix.rowStride + left * elementBytes,
    to: matrix.to + left * matrix.columnStride + top * elementBytes,
    rows: bottom - top,
    columns: right - left,
  };
}

function turn(elementBytes: number, tile: Transposition): void {
  if (elementBytes === 1) turnOnes(tile);
  else if (elementBytes === 2) turnTwos(tile);
  else turnWords(tile, elementBytes / 4);
}

function turnWords(
  { source, from, rowStride, target, to, columnStride, rows, columns }: Transposition,
  words: number,
): void {
  const bytes = 4 * words;
  for (let column = 0; column < columns; column++) {
    let [read, write] = [from + column * bytes, to + column * columnStride];
    for (let row = 0; row < rows; row++, read += rowStride, write += bytes) {
      target.setUint32(write, source.getUint32(read, true), true);
      if (words === 2) target.setUint32(write + 4, source.getUint32(read + 4, true), true);
    }
  }
}

function turnTwos(tile: Transposition): void {
  const { source, from, rowStride, target, to, columnStride, rows, columns } = tile;
  const [wholeRows, wholeColumns] = [rows - (rows % 4), columns - (columns % 4)];
  for (let top = 0; top < wholeRows; top += stripRows) {
    const bottom = Math.min(wholeRows, top + stripRows);
    for (let column = 0; column < wholeColumns; column += 4) {
      let read = from + top * rowStride + 2 * column;
      let write = to + column * columnStride + 2 * top;
      for (let row = top; row < bottom; row += 4, read += 4 * rowStride, write += 8) {
        const [second, third, fourth] = [read + rowStride, read + 2 * rowStride, read + 3 * rowStride];
        const a = source.getUint32(read, true);
        const b = source.getUint32(second, true);
        const c = source.getUint32(third, true);
        const d = source.getUint32(fourth, true);
        target.setUint32(write, (a & 0xffff) | (b << 16), true);
        target.setUint32(write + 4, (c & 0xffff) | (d << 16), true);
        const odd = write + columnStride;
        target.setUint32(odd, (a >>> 16) | (b & 0xffff0000), true);
        target.setUint32(odd + 4, (c >>> 16) | (d & 0xffff0000), true);
        const e = source.getUint32(read + 4, true);
        const f = source.getUint32(second + 4, true);
        const g = source.getUint32(third + 4, true);
        const h = source.getUint32(fourth + 4, true);
        const even = odd + columnStride;
        target.setUint32(even, (e & 0xffff) | (f << 16), true);
        target.setUint32(even + 4, (g & 0xffff) | (h << 16), true);
        const last = even + columnStride;
        target.setUint32(last, (e >>> 16) | (f & 0xffff0000), true);
        target.setUint32(last + 4, (g >>> 16) | (h & 0xffff0000), true);
      }
    }
  }
  if (wholeColumns < columns) turnPairs(cut(2, tile, 0, rows, wholeColumns, columns));
  if (wholeRows < rows) turnPairs(cut(2, tile, wholeRows, rows, 0, wholeColumns));
}

function turnPairs({
  source,
  from,
  rowStride,
  target,
  to,
  columnStride,
  rows,
  columns,
}: Transposition): void {
  for (let column = 0; column < columns; column += 2) {
    let [read, write] = [from + 2 * column, to + column * columnStride];
    for (let row = 0; row < rows; row += 2, read += 2 * rowStride, write += 4) {
      const upper = source.getUint32(read, true);
      const lower = source.getUint32(read + rowStride, true);
      target.setUint32(write, (upper & 0xffff) | (lower << 16), true);
      target.setUint32(write + columnStride, (upper >>> 16) | (lower & 0xffff0000), true);
    }
  }
}

function turnOnes({ source, from, rowStride, target, to, columnStride, rows, columns }: Transposition): void {
  for (let column = 0; column < columns; column += 4) {
    let [read, write] = [from + column, to + column * columnStride];
    for (let row = 0; row < rows; row += 4, read += 4 * rowStride, write += 4) {
      const first = source.getUint32(read, true);
      const second = source.getUint32(read + rowStride, true);
      const third = source.getUint32(read + 2 * rowStride, true);
      const fourth = source.getUint32(read + 3 * rowStride, true);
      // columns 0 and 2, then 1 and 3, of the upper and of the lower two rows
      const upperEven = (first & 0x00ff00ff) | ((second & 0x00ff00ff) << 8);
      const upperOdd = ((first >>> 8) & 0x00ff00ff) | (second & 0xff00ff00);
      const lowerEven = (third & 0x00ff00ff) | ((fourth & 0x00ff00ff) << 8);
      const lowerOdd = ((third >>> 8) & 0x00ff00ff) | (fourth & 0xff00ff00);
      target.setUint32(write, (upperEven & 0xffff) | (lowerEven << 16), true);
      target.setUint32(write + columnStride, (upperOdd & 0xffff) | (lowerOdd << 16), true);
      target.setUint32(write + 2 * columnStride, (upperEven >>> 16) | (lowerEven & 0xffff0000), true);
      target.setUint32(write + 3 * columnStride, (upperOdd >>> 16) | (lowerOdd & 0xffff0000), true);
    }
  }
}

/** Matrices of one to three rows or columns. */
function turnBytes(
  elementBytes: number,
  { source, from, rowStride, target, to, columnStride, rows, columns }: Transposition,
): void {
  for (let column = 0; column < columns; column++)
    for (let row = 0; row < rows; row++) {
      const read = from + row * rowStride + column * elementBytes;
      const write = to + column * columnStride + row * elementBytes;
      for (let byte = 0; byte < elementBytes; byte++)
        target.setUint8(write + byte, source.getUint8(read + byte));
    }
}
