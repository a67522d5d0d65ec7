import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StoredType } from "../../../src/convert/checkpoint.js";
import { BandKeeper } from "../../../src/convert/readers/strided.js";
import { arranged } from "../../../src/convert/views/arranged.js";
import { asFloat32, plusOne } from "../../../src/convert/views/decoded.js";
import { mxfp4 } from "../../../src/convert/views/mxfp4.js";
import { storedView } from "../../../src/convert/views/stored.js";
import { transposed } from "../../../src/convert/views/transposed.js";
import { grouped, joined, type View } from "../../../src/convert/views/view.js";
import { memoryTensor } from "../memory-checkpoint.js";

/** A view of bytes that count up, in rows of `columns` elements. */
function counting(type: StoredType, rows: number, columns: number, size: number): View {
  return storedView(
    memoryTensor("x", { type, shape: [rows, columns], bytes: counted(rows * columns * size) }),
    columns,
  );
}

function counted(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >> 8) * 7) % 251;
  return bytes;
}

/** Rows `[first, first + count)`, read at any place of a buffer. */
async function read(view: View, first: number, count: number, misplaced = 0): Promise<Uint8Array> {
  const target = new Uint8Array(misplaced + count * view.rowBytes).subarray(misplaced);
  await view.readRows(target, first);
  return target;
}

const whole = (view: View) => read(view, 0, view.rows);

/** Every range of rows, wherever the target lies, is that part of all rows. */
async function expectRanges(
  view: View,
  expected: Uint8Array,
  first: number,
  count: number,
  misplaced: number,
) {
  const from = first % view.rows;
  const rows = Math.min(view.rows - from, 1 + (count % view.rows));
  const part = expected.subarray(from * view.rowBytes, (from + rows) * view.rowBytes);
  expect(expected.length).toBe(view.rows * view.rowBytes);
  expect(Buffer.from(await read(view, from, rows, misplaced)).equals(part)).toBe(true);
}

const range = [fc.nat(), fc.nat(), fc.nat(9)] as const;
const small = fc.integer({ min: 1, max: 9 });
const types = fc.constantFrom<[StoredType, number]>(["F32", 4], ["BF16", 2], ["U8", 1]);

describe("a view at any rows equals the whole computed at once", () => {
  it("rows in another order, or some of them", async () => {
    const shape = fc.record({
      axes: fc.array(fc.record({ count: small, step: fc.nat(20) }), { minLength: 1, maxLength: 3 }),
      first: fc.nat(10),
      columns: small,
      type: types,
    });
    await fc.assert(
      fc.asyncProperty(shape, ...range, async ({ axes, first, columns, type: [type, size] }, ...where) => {
        const rows = axes.reduce((sum, { count, step }) => sum + (count - 1) * step, first + 1);
        const source = counting(type, rows, columns, size);
        const bytes = await whole(source);
        let order = [first];
        for (const { count, step } of axes)
          order = order.flatMap((row) => Array.from({ length: count }, (_, index) => row + index * step));
        const expected = order.map((row) =>
          bytes.subarray(row * source.rowBytes, (row + 1) * source.rowBytes),
        );
        await expectRanges(arranged(source, first, axes), Buffer.concat(expected), ...where);
      }),
      { numRuns: 150 },
    );
  });

  it("rows that lie further apart than what is read at once", async () => {
    // 3 heads of 4 rows of 1 MiB: neither a head nor the pairs of one fit 4 MiB with their neighbours
    const columns = 2 ** 18;
    const source = counting("F32", 12, columns, 4);
    const bytes = await whole(source);
    const axes = [
      { count: 3, step: 4 },
      { count: 2, step: 1 },
      { count: 2, step: 2 },
    ];
    const order = [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11];
    const expected = Buffer.concat(
      order.map((row) => bytes.subarray(row * columns * 4, (row + 1) * columns * 4)),
    );
    await expectRanges(arranged(source, 0, axes), expected, 0, 11, 0);
    await expectRanges(arranged(source, 0, axes), expected, 3, 5, 1);
  });

  it("transposed", async () => {
    const sides = fc.integer({ min: 1, max: 80 });
    await fc.assert(
      fc.asyncProperty(sides, sides, types, ...range, async (rows, columns, [type, size], ...where) => {
        const source = counting(type, rows, columns, size);
        const bytes = await whole(source);
        const expected = new Uint8Array(bytes.length);
        for (let row = 0; row < rows; row++)
          for (let column = 0; column < columns; column++)
            for (let byte = 0; byte < size; byte++)
              expected[(column * rows + row) * size + byte] = bytes[(row * columns + column) * size + byte]!;
        await expectRanges(transposed(source, new BandKeeper()), expected, ...where);
      }),
      { numRuns: 60 },
    );
  });

  it("transposed in several bands", async () => {
    const [rows, columns] = [3, 2 ** 19];
    const source = counting("F32", rows, columns, 4);
    const values = new Uint32Array((await whole(source)).buffer);
    const expected = new Uint32Array(rows * columns);
    for (let at = 0; at < expected.length; at++)
      expected[at] = values[(at % rows) * columns + Math.floor(at / rows)]!;
    await expectRanges(
      transposed(source, new BandKeeper(2 ** 20)),
      new Uint8Array(expected.buffer),
      0,
      columns - 1,
      0,
    );
    await expectRanges(transposed(source, new BandKeeper()), new Uint8Array(expected.buffer), 777, 1000, 2);
  });

  it("joined, and rows taken together", async () => {
    const parts = fc.array(small, { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        parts,
        small,
        types,
        small,
        ...range,
        async (rows, columns, [type, size], group, ...where) => {
          const views = rows.map((count) => counting(type, count * group, columns, size));
          const expected = Buffer.concat(await Promise.all(views.map(whole)));
          await expectRanges(joined(views), expected, ...where);
          await expectRanges(grouped(joined(views), group), expected, ...where);
        },
      ),
      { numRuns: 80 },
    );
  });

  it("as F32, plus one", async () => {
    const sizes = { F32: 4, F16: 2, BF16: 2, F64: 8 } as const;
    const type = fc.constantFrom(...(Object.keys(sizes) as (keyof typeof sizes)[]));
    await fc.assert(
      fc.asyncProperty(type, small, small, ...range, async (name, rows, columns, ...where) => {
        const source = counting(name, rows, columns, sizes[name]);
        const plain = new Float32Array((await whole(asFloat32(source))).buffer);
        const expected = plain.map((value) => value + 1);
        await expectRanges(plusOne(source), new Uint8Array(expected.buffer), ...where);
        await expectRanges(asFloat32(source), new Uint8Array(plain.buffer), ...where);
      }),
      { numRuns: 80 },
    );
  });

  it("MXFP4, each value at its new place", async () => {
    const count = fc.integer({ min: 1, max: 5 });
    await fc.assert(
      fc.asyncProperty(count, count, ...range, async (rows, perRow, ...where) => {
        const blocks = counting("U8", rows, perRow * 16, 1);
        const scales = counting("U8", rows, perRow, 1);
        const [values, exponents] = [await whole(blocks), await whole(scales)];
        const expected = new Uint8Array(rows * perRow * 17);
        for (let block = 0; block < rows * perRow; block++) {
          expected[block * 17] = exponents[block]!;
          for (let value = 0; value < 32; value++) {
            const nibble = (values[block * 16 + (value >> 1)]! >> (4 * (value & 1))) & 15;
            expected[block * 17 + 1 + (value % 16)]! |= nibble << (value < 16 ? 0 : 4);
          }
        }
        await expectRanges(mxfp4(blocks, scales), expected, ...where);
      }),
      { numRuns: 60 },
    );
  });
});

describe("numbers of other types as F32", () => {
  it("every F16 is what the formula of IEEE 754 gives", async () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, index) => index);
    const view = storedView(
      memoryTensor("x", { type: "F16", shape: [65_536], bytes: new Uint8Array(bits.buffer) }),
      65_536,
    );
    const found = new Float32Array((await whole(asFloat32(view))).buffer);
    for (const half of bits) {
      const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
      const magnitude =
        exponent === 31
          ? fraction
            ? Number.NaN
            : Number.POSITIVE_INFINITY
          : exponent === 0
            ? fraction * 2 ** -24
            : (1024 + fraction) * 2 ** (exponent - 25);
      if (!Object.is(found[half], sign * magnitude)) expect(found[half], `${half}`).toBe(sign * magnitude);
    }
  });

  it.each([
    ["F8_E4M3", [0x00, 0x80, 0x01, 0x38, 0x7e, 0xfe, 0x7f], [0, -0, 2 ** -9, 1, 448, -448, Number.NaN]],
    [
      "F8_E5M2",
      [0x01, 0x3c, 0x7b, 0x7c, 0xfc, 0x7e],
      [2 ** -16, 1, 57_344, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
    ],
  ] as const)("%s", async (type, bits, values) => {
    const view = storedView(
      memoryTensor("x", { type, shape: [bits.length], bytes: Uint8Array.from(bits) }),
      bits.length,
    );
    expect(view.type).toBe("F32");
    expect([...new Float32Array((await whole(view)).buffer)]).toEqual([...values]);
  });

  it("BF16 and F64", async () => {
    const bf16 = Uint16Array.from([0x3f80, 0xc049]);
    const half = storedView(
      memoryTensor("x", { type: "BF16", shape: [2], bytes: new Uint8Array(bf16.buffer) }),
      2,
    );
    expect([...new Float32Array((await whole(asFloat32(half))).buffer)]).toEqual([1, -3.140625]);
    const f64 = Float64Array.from([1.5, -(2 ** -130)]);
    const double = storedView(
      memoryTensor("x", { type: "F64", shape: [2], bytes: new Uint8Array(f64.buffer) }),
      2,
    );
    expect([...new Float32Array((await whole(double)).buffer)]).toEqual([1.5, -(2 ** -130)]);
  });
});

describe("a view that cannot be", () => {
  it("is refused when it is made", () => {
    const view = counting("F32", 4, 2, 4);
    expect(() => arranged(view, 1, [{ count: 4, step: 1 }])).toThrow(RangeError);
    expect(() => arranged(view, 0, [{ count: 0, step: 1 }])).toThrow(RangeError);
    expect(() => grouped(view, 3)).toThrow(RangeError);
    expect(() => joined([view, counting("F32", 4, 3, 4)])).toThrow(RangeError);
    expect(() => joined([])).toThrow(RangeError);
    expect(() => plusOne(counting("U8", 1, 1, 1))).toThrow(RangeError);
    expect(() => mxfp4(counting("U8", 2, 16, 1), counting("U8", 1, 1, 1))).toThrow(RangeError);
    expect(() =>
      storedView(memoryTensor("x", { type: "F32", shape: [3], bytes: new Uint8Array(12) }), 2),
    ).toThrow(RangeError);
    expect(() => counting("I64", 1, 1, 8)).toThrow(RangeError);
  });
});
