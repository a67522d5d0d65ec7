import type { TensorTypeName } from "../../gguf/tensor-types.js";

/**
 * A tensor that is made of stored ones while it is read: rows of bytes at random access. Views wrap views; none holds
 * more than a few MiB, whatever the size of the tensor, but for what was transposed last, and none allocates per element.
 */
export interface View {
  /** What the rows hold; `U8` is raw bytes, on the way to a quantised type. */
  readonly type: ViewType;
  readonly rows: number;
  readonly rowBytes: number;
  /** Fills `target`, whole rows of them, from `firstRow` on. May run many times at once. Errors: those of the file. */
  readRows(target: Uint8Array, firstRow: number): Promise<void>;
}

export type FloatType = "F32" | "F16" | "BF16";
export type ViewType = FloatType | "U8" | Extract<TensorTypeName, "MXFP4">;

/** Bytes of an element of the types whose elements stand alone. */
export const elementBytes: Record<FloatType | "U8", number> = { F32: 4, F16: 2, BF16: 2, U8: 1 };

/** Bytes that one step of a view works on where it cannot read straight into its target. */
export const workingBytes = 4 * 1024 * 1024;

/** A `readRows` that makes as many rows at a time, with `readBand`, as its working memory holds. */
export function inBands(
  rowBytes: number,
  readBand: (target: Uint8Array, firstRow: number, rows: number) => Promise<void>,
): View["readRows"] {
  const rowsAtOnce = Math.max(1, Math.floor(workingBytes / rowBytes));
  return async (target, firstRow) => {
    const count = target.byteLength / rowBytes;
    for (let done = 0; done < count; done += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, count - done);
      await readBand(target.subarray(done * rowBytes, (done + rows) * rowBytes), firstRow + done, rows);
    }
  };
}

/** The same bytes in rows of `count` rows each. */
export function grouped(view: View, count: number): View {
  if (count === 1) return view;
  if (view.rows % count !== 0) throw new RangeError(`${view.rows} rows do not make groups of ${count}`);
  return {
    type: view.type,
    rows: view.rows / count,
    rowBytes: view.rowBytes * count,
    readRows: (target, firstRow) => view.readRows(target, firstRow * count),
  };
}

/** One after the other: experts stacked, matrices joined at their rows. All of one type and row length. */
export function joined(parts: readonly View[]): View {
  const [first] = parts;
  if (!first || parts.some(({ type, rowBytes }) => type !== first.type || rowBytes !== first.rowBytes))
    throw new RangeError("joined views differ in type or row length");
  if (parts.length === 1) return first;
  const starts = [0];
  for (const { rows } of parts) starts.push(starts.at(-1)! + rows);
  return {
    type: first.type,
    rows: starts.at(-1)!,
    rowBytes: first.rowBytes,
    async readRows(target, firstRow) {
      const end = firstRow + target.byteLength / first.rowBytes;
      const reads: Promise<void>[] = [];
      for (let row = firstRow, part = indexOf(starts, firstRow); row < end; part++) {
        const until = Math.min(end, starts[part + 1]!);
        const from = (row - firstRow) * first.rowBytes;
        const bytes = target.subarray(from, (until - firstRow) * first.rowBytes);
        reads.push(parts[part]!.readRows(bytes, row - starts[part]!));
        row = until;
        // a few at a time, so that many small parts are neither read one by one nor all at once
        if (reads.length === 8) await Promise.all(reads.splice(0));
      }
      await Promise.all(reads);
    },
  };
}

/** The last index whose start is not behind `row`. */
function indexOf(starts: readonly number[], row: number): number {
  let [low, high] = [0, starts.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= row) low = middle;
    else high = middle;
  }
  return low;
}
