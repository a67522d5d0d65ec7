import fc from "fast-check";
import { expect, it } from "vitest";
import { BandKeeper, stridedReader } from "../../../src/convert/readers/strided.js";

/** A storage in memory whose elements hold their own index, whatever their size. */
function storage(elements: number, elementBytes: number) {
  const bytes = Buffer.alloc(elements * elementBytes);
  for (let at = 0; at < bytes.length; at++) {
    const byte = at % elementBytes;
    // of eight bytes, both halves hold it
    bytes[at] = ((at - byte) / elementBytes) >>> (8 * (byte % 4));
  }
  const read = async (target: Uint8Array, first: number) => {
    const start = first * elementBytes;
    if (start < 0 || start + target.byteLength > bytes.length) throw new Error("read outside the storage");
    target.set(bytes.subarray(start, start + target.byteLength));
  };
  return { bytes, read };
}

/** The elements by their definition, one by one. */
function expected(
  bytes: Buffer,
  elementBytes: number,
  shape: number[],
  strides: number[],
  offset: number,
): Buffer {
  const count = shape.reduce((product, size) => product * size, 1);
  const result = Buffer.alloc(count * elementBytes);
  for (let index = 0; index < count; index++) {
    let [rest, at] = [index, offset];
    for (let level = shape.length - 1; level >= 0; level--) {
      at += (rest % shape[level]!) * strides[level]!;
      rest = Math.floor(rest / shape[level]!);
    }
    bytes.copy(result, index * elementBytes, at * elementBytes, (at + 1) * elementBytes);
  }
  return result;
}

const layout = fc
  .array(fc.record({ size: fc.integer({ min: 1, max: 7 }), stride: fc.integer({ min: 0, max: 40 }) }), {
    maxLength: 5,
  })
  .chain((dimensions) =>
    fc.record({
      shape: fc.constant(dimensions.map(({ size }) => size)),
      strides: fc.constant(dimensions.map(({ stride }) => stride)),
      offset: fc.nat(9),
      elementBytes: fc.constantFrom(1, 2, 4, 8),
      misaligned: fc.boolean(),
      range: fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    }),
  );

it("any strides give the elements that they mean", async () => {
  await fc.assert(
    fc.asyncProperty(layout, async ({ shape, strides, offset, elementBytes, misaligned, range }) => {
      const last = shape.reduce((sum, size, level) => sum + (size - 1) * strides[level]!, offset);
      const { bytes, read } = storage(last + 1, elementBytes);
      const reader = stridedReader(read, elementBytes, { shape, strides, offset }, new BandKeeper());
      const all = expected(bytes, elementBytes, shape, strides, offset);
      const count = all.length / elementBytes;
      const first = Math.floor(range[0] * (count - 1));
      const length = 1 + Math.floor(range[1] * (count - first - 1));
      const target = Buffer.alloc(length * elementBytes + 1)
        .subarray(misaligned ? 1 : 0)
        .subarray(0, length * elementBytes);
      await reader(target, first);
      expect(target).toEqual(all.subarray(first * elementBytes, (first + length) * elementBytes));
    }),
    { numRuns: 300 },
  );
});

it.each([
  ["a transposed matrix larger than a block", 1500, 2100, 2, undefined],
  ["one of bytes", 1300, 2500, 1, undefined],
  ["one of eight bytes", 700, 900, 8, undefined],
  ["one of many bands of whole lines", 600, 1501, 2, 400_000],
  ["one of bands of a few rows", 601, 1000, 2, 9_000],
  ["one of three equal bands", 512, 300, 4, 260_000],
])("%s, also in pieces at the same time", async (_, rows, columns, elementBytes, bandBytes) => {
  const { bytes, read } = storage(rows * columns, elementBytes);
  const layout = { shape: [columns, rows], strides: [1, columns], offset: 0 };
  const reader = stridedReader(read, elementBytes, layout, new BandKeeper(bandBytes));
  const all = expected(bytes, elementBytes, layout.shape, layout.strides, 0);
  const whole = Buffer.alloc(all.length);
  await reader(whole, 0);
  expect(whole.equals(all)).toBe(true);
  const pieces = Array.from({ length: 5 }, (_, piece) => Math.floor((piece * rows * columns) / 5));
  const parts = pieces.map((first, index) => {
    const end = pieces[index + 1] ?? rows * columns;
    return { first, target: Buffer.alloc((end - first) * elementBytes) };
  });
  await Promise.all(parts.toReversed().map(({ first, target }) => reader(target, first)));
  expect(Buffer.concat(parts.map(({ target }) => target)).equals(all)).toBe(true);
});

it("elements that lie far apart", async () => {
  const { bytes, read } = storage(5_000_000, 1);
  const layout = { shape: [3, 4, 5], strides: [7, 1_500_000, 100_000], offset: 11 };
  const reader = stridedReader(read, 1, layout, new BandKeeper());
  const target = Buffer.alloc(60);
  await reader(target, 0);
  expect(target).toEqual(expected(bytes, 1, layout.shape, layout.strides, 11));
});

it("columns of rows that lie far apart", async () => {
  const columns = 70_000;
  const { bytes, read } = storage(40 * columns, 2);
  const layout = { shape: [301, 40], strides: [1, columns], offset: 5 };
  const reader = stridedReader(read, 2, layout, new BandKeeper());
  const target = Buffer.alloc(2 * 301 * 40);
  await reader(target, 0);
  expect(target.equals(expected(bytes, 2, layout.shape, layout.strides, 5))).toBe(true);
});

it("an error of the storage reaches every reader, and the next read tries anew", async () => {
  let fails = true;
  const { read } = storage(64, 1);
  const flaky = async (target: Uint8Array, first: number) => {
    if (fails) throw new Error("the disk failed");
    await read(target, first);
  };
  const reader = stridedReader(flaky, 1, { shape: [8, 8], strides: [1, 8], offset: 0 }, new BandKeeper());
  const attempts = await Promise.allSettled([reader(Buffer.alloc(4), 0), reader(Buffer.alloc(4), 4)]);
  expect(attempts.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  const target = Buffer.alloc(3);
  await reader(target, 0);
  expect([...target]).toEqual([0, 8, 16]);
});
