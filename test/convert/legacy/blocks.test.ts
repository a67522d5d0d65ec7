import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { halfOfFloatBits, halfValues } from "../../../src/convert/legacy/half.js";
import { openLegacyGgml } from "../../../src/convert/legacy/open.js";
import { readModel } from "../../../src/gguf/model-file.js";
import { validateModel } from "../../../src/gguf/validate.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { contentsOf, digestsOf, floatsOf, writeAsGguf } from "./rows.js";
import { type MadeTensor, tinyModel } from "./tiny.js";
import { type BlockKind, fromHalf, kinds, legacyBytes, scalesFirstRow, toHalf } from "./writer.js";

const folder = temporaryFolder();
const cases = Object.entries(kinds).flatMap(([container, all]) =>
  all.map((kind) => ({ container, kind, name: kind.name })),
);
const early = kinds.ggml!.map((kind) => ({ kind, name: kind.name }));

/** The values that blocks stand for: single precision, product and sum each rounded. */
function valuesOf(tensor: MadeTensor, kind: BlockKind, scale: (value: number) => number): Float32Array {
  return Float32Array.from(
    tensor.rows!.flatMap((row) =>
      row.flatMap((block) =>
        block.quants.map((quant) => {
          const product = Math.fround((quant - kind.zero) * scale(block.scale));
          return kind.minimum ? Math.fround(product + scale(block.minimum)) : product;
        }),
      ),
    ),
  );
}

const asIs = (value: number) => value;
const rounded = (value: number) => fromHalf(toHalf(value));

/** Reads today's blocks, from their definition in ggml-common.h: scale, minimum, fifth bits, then halves. */
function todaysValues(type: string, bytes: Buffer): Float32Array {
  if (type === "F32") return floatsOf(bytes);
  const size = { Q4_0: 18, Q4_1: 20, Q5_0: 22, Q5_1: 24, Q8_0: 34 }[type]!;
  const values: number[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const scale = fromHalf(bytes.readUInt16LE(at));
    const withMinimum = type.endsWith("_1");
    const minimum = withMinimum ? fromHalf(bytes.readUInt16LE(at + 2)) : -0;
    let quants = at + (withMinimum ? 4 : 2);
    const bits = type.startsWith("Q5") ? bytes.readUInt32LE(quants) : 0;
    if (type.startsWith("Q5")) quants += 4;
    const zero = { Q4_0: 8, Q5_0: 16 }[type] ?? 0;
    for (let element = 0; element < 32; element++) {
      const byte = bytes[quants + (element % 16)]!;
      const nibble = element < 16 ? byte & 15 : byte >> 4;
      const quant =
        type === "Q8_0" ? bytes.readInt8(quants + element) : nibble + 16 * ((bits >>> element) & 1) - zero;
      values.push(Math.fround(Math.fround(quant * scale) + minimum));
    }
  }
  return Float32Array.from(values);
}

/** Bit for bit; a deep comparison of so many numbers takes seconds. */
function expectSame(found: Float32Array, expected: Float32Array): void {
  expect(Buffer.from(found.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
}

describe.each(cases)("$name of $container", ({ container, kind }) => {
  const { file, made } = tinyModel(container, kind);

  it("becomes today's blocks of the same quants", async () => {
    const path = await folder.file(`${container}-${kind.name}.bin`, legacyBytes(file));
    const contents = await contentsOf(await openLegacyGgml(path));
    expect(contents.size).toBe(made.length);
    for (const tensor of made) {
      const today = [...contents.values()][made.indexOf(tensor)]!;
      expect(today.shape).toEqual(tensor.shape);
      expect(today.type).toBe(tensor.rows ? (kind.today ?? "F32") : "F32");
      if (tensor.rows) expectSame(todaysValues(today.type, today.bytes), valuesOf(tensor, kind, rounded));
      else expect([...floatsOf(today.bytes)]).toEqual(tensor.floats);
    }
  });

  it("is exact where asked", async () => {
    const path = await folder.file(`${container}-${kind.name}.bin`, legacyBytes(file));
    const contents = [...(await contentsOf(await openLegacyGgml(path, { exact: true }))).values()];
    for (const [index, tensor] of made.entries()) {
      const { type, bytes } = contents[index]!;
      if (!tensor.rows) continue;
      expect(type).toBe(kind.halfScale && kind.today ? kind.today : "F32");
      expectSame(todaysValues(type, bytes), valuesOf(tensor, kind, asIs));
    }
  });
});

describe.each(early)("$name with scales first", ({ kind }) => {
  it.each([false, true])("is told from the numbers, and the same as in blocks (exact: %s)", async (exact) => {
    const first = tinyModel("ggml", kind, { encodeRow: scalesFirstRow });
    const blocks = tinyModel("ggml", kind);
    const open = async (name: string, { file }: typeof first) =>
      openLegacyGgml(await folder.file(name, legacyBytes(file)), { exact });
    const [a, b] = [await open("first.bin", first), await open("blocks.bin", blocks)];
    expect([a.format, b.format]).toEqual(["GGML of 2023 (ggml, scales first)", "GGML of 2023 (ggml)"]);
    expect(digestsOf(await contentsOf(a))).toEqual(digestsOf(await contentsOf(b)));
  });
});

it("gives a model that the reader accepts", async () => {
  const { file } = tinyModel("ggjt v1", kinds["ggjt v1"]![0]!);
  const path = folder.path("accepted.gguf");
  await writeAsGguf(await openLegacyGgml(await folder.file("accepted.bin", legacyBytes(file))), path);
  await validateModel(await readModel(path));
});

it("takes the Q8_0 of 25 April 2023, which had the number that Q5_0 got a day later", async () => {
  const kind = kinds["ggjt v1"]!.find(({ name }) => name === "Q8_0")!;
  const [day, later] = [6, 8].map((number) => tinyModel("ggjt v1", { ...kind, number }, { fileType: 7 }));
  const open = async (name: string, { file }: NonNullable<typeof day>) =>
    digestsOf(await contentsOf(await openLegacyGgml(await folder.file(name, legacyBytes(file)))));
  expect(await open("day.bin", day!)).toEqual(await open("later.bin", later!));
});

it("refuses scales that half precision cannot hold, unless values are to be exact", async () => {
  const kind = kinds["ggjt v1"]![0]!;
  for (const scale of [65520, Number.POSITIVE_INFINITY, Number.NaN]) {
    const { file, made } = tinyModel("ggjt v1", kind);
    made[3]!.data.writeFloatLE(scale, 20 * 5);
    const path = await folder.file("scale.bin", legacyBytes(file));
    await expect(contentsOf(await openLegacyGgml(path))).rejects.toMatchObject({
      code: "legacy-scale",
      facts: { tensor: "layers.0.attention.wq.weight" },
    });
    const exact = await contentsOf(await openLegacyGgml(path, { exact: true }));
    if (scale === 65520)
      expect(Math.abs(floatsOf(exact.get("blk.0.attn_q.weight")!.bytes)[160]! % 65520)).toBe(0);
  }
});

describe("half precision", () => {
  it("is the nearest number, ties to even", () => {
    const view = new DataView(new ArrayBuffer(4));
    const bits = (value: number) => {
      view.setFloat32(0, value);
      return view.getUint32(0);
    };
    const check = (value: number) => expect(halfOfFloatBits(bits(value)), String(value)).toBe(toHalf(value));
    for (let half = 0; half < 0x7c00; half += 37) {
      check(fromHalf(half));
      const middle = (fromHalf(half) + (half === 0x7bff ? 65536 : fromHalf(half + 1))) / 2;
      for (const near of [middle, middle * (1 - 2 ** -20), middle * (1 + 2 ** -20)]) check(Math.fround(near));
    }
    fc.assert(fc.property(fc.float({ noNaN: true, min: -65519, max: 65519 }), (value) => void check(value)));
    expect(halfOfFloatBits(bits(65520))).toBe(0x7c00);
    expect(halfOfFloatBits(bits(Number.NEGATIVE_INFINITY))).toBe(0xfc00);
    expect(halfOfFloatBits(bits(Number.NaN)) & 0x7fff).toBeGreaterThan(0x7c00);
  });

  it("has the values of its bits", () => {
    const values = halfValues();
    const wrong = Array.from({ length: 0x7c00 }, (_, half) => half).filter(
      (half) => values[half] !== fromHalf(half),
    );
    expect(wrong).toEqual([]);
    expect(values[0xfc00]).toBe(Number.NEGATIVE_INFINITY);
    expect(values[0x7c01]).toBeNaN();
  });
});
