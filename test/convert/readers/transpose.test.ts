import fc from "fast-check";
import { expect, it } from "vitest";
import { transpose } from "../../../src/convert/readers/transpose.js";

const side = fc.oneof(
  { arbitrary: fc.integer({ min: 1, max: 9 }), weight: 2 },
  // over the edges of tiles
  fc.constantFrom(31, 32, 33, 64, 67, 255, 256, 257, 259),
);
const matrices = fc.record({
  elementBytes: fc.constantFrom(1, 2, 4, 8),
  rows: side,
  columns: side,
  from: fc.nat(9),
  to: fc.nat(9),
  rowGap: fc.nat(11),
  columnGap: fc.nat(11),
});

it("equals the transposition of single bytes, and writes nothing beside it", () => {
  fc.assert(
    fc.property(matrices, ({ elementBytes, rows, columns, from, to, rowGap, columnGap }) => {
      const rowStride = columns * elementBytes + rowGap;
      const columnStride = rows * elementBytes + columnGap;
      const source = Buffer.alloc(from + rows * rowStride);
      for (let at = 0; at < source.length; at++) source[at] = (at * 167 + (at >> 8) * 59) % 256;
      const expected = Buffer.alloc(to + columns * columnStride, 0xee);
      const target = Buffer.from(expected);
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          for (let byte = 0; byte < elementBytes; byte++)
            expected[to + column * columnStride + row * elementBytes + byte] =
              source[from + row * rowStride + column * elementBytes + byte]!;
      transpose(elementBytes, {
        ...{ source: viewOf(source), from, rowStride, rows, columns },
        ...{ target: viewOf(target), to, columnStride },
      });
      expect(target.equals(expected)).toBe(true);
    }),
    { numRuns: 150 },
  );
});

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
