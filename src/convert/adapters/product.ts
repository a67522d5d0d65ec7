/** The two matrices of a product, row by row: `left` has as many columns as `right` has rows. */
export interface Factors {
  left: Float32Array;
  right: Float32Array;
}

export interface ProductPlace {
  /** The row of `left` that the block's first row belongs to. */
  firstRow: number;
  columns: number;
  rank: number;
  scale: number;
}

/** Adds rows of `scale × left × right` to a block of rows. */
export function addProduct(block: Float32Array, { left, right }: Factors, place: ProductPlace): void {
  const { firstRow, columns, rank, scale } = place;
  const rows = block.length / columns;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const from = (firstRow + row) * rank;
    let k = 0;
    // four at a time: the block is read and written a quarter as often
    for (; k + 4 <= rank; k += 4) {
      const [w, x, y, z] = [left[from + k]!, left[from + k + 1]!, left[from + k + 2]!, left[from + k + 3]!];
      const [a, b, c, d] = [scale * w, scale * x, scale * y, scale * z];
      let at = k * columns;
      for (let column = 0; column < columns; column++, at++) {
        block[start + column]! +=
          a * right[at]! +
          b * right[at + columns]! +
          c * right[at + 2 * columns]! +
          d * right[at + 3 * columns]!;
      }
    }
    for (; k < rank; k++) {
      const a = scale * left[from + k]!;
      const at = k * columns;
      for (let column = 0; column < columns; column++) block[start + column]! += a * right[at + column]!;
    }
  }
}

/** Keeps the factors of the matrices that were read last: a model is read matrix after matrix. */
export class FactorCache {
  private readonly kept = new Map<object, Promise<Factors>>();

  /** Those of `owner`, loaded where they are not kept. */
  of(owner: object, load: () => Promise<Factors>): Promise<Factors> {
    const factors = this.kept.get(owner) ?? load();
    this.kept.delete(owner);
    this.kept.set(owner, factors);
    // a read that failed is tried again
    factors.catch(() => this.kept.delete(owner));
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= mostKept) break;
      this.kept.delete(oldest);
    }
    return factors;
  }
}
const mostKept = 3;
