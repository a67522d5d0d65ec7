import { describe, expect, it } from "vitest";
import { nativeKernels } from "../../../src/convert/host/kernels.js";
import { findLibraries } from "../../../src/engine/native/libraries.js";
import { openQuantizer } from "../../../src/engine/native/quantizer.js";
import { isJaugeError } from "../../../src/errors.js";
import { type TensorTypeName, tensorBytes } from "../../../src/gguf/tensor-types.js";

const kernels = nativeKernels(openQuantizer(findLibraries({ backend: "cpu" })), 2);
const [rows, rowElements, firstRow] = [5, 256, 70];
const lane = kernels.lane({ sourceBytes: 8192, targetBytes: 8192, elements: 2048, rowElements: 0 });

/** The bits of special values in the types that hold single numbers. */
const bits = {
  F32: { NaN: 0x7fc00000, Infinity: 0x7f800000, "-Infinity": 0xff800000 },
  F16: { NaN: 0x7e01, Infinity: 0x7c00, "-Infinity": 0xfc00 },
  BF16: { NaN: 0xffc0, Infinity: 0x7f80, "-Infinity": 0xff80 },
};
type FloatType = keyof typeof bits;
const floatTypes = Object.keys(bits) as FloatType[];
const targets: readonly TensorTypeName[] = [
  ...(["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q6_K"] as const),
  ...(["IQ4_NL", "IQ4_XS", "IQ3_S", "TQ2_0", "MXFP4"] as const),
];

function setElements(from: FloatType, changed: Record<number, number> = {}): void {
  const { buffer } = lane.source;
  const words = from === "F32" ? new Uint32Array(buffer) : new Uint16Array(buffer);
  // ones of both signs
  const one = { F32: 0x3f800000, F16: 0x3c00, BF16: 0x3f80 }[from];
  const sign = from === "F32" ? 0x80000000 : 0x8000;
  for (let at = 0; at < rows * rowElements; at++) words[at] = at % 3 === 0 ? one + sign : one;
  for (const [at, value] of Object.entries(changed)) words[Number(at)] = value;
}

/** "done", or the error's code and what it says of the place. */
async function outcome(from: TensorTypeName, to: TensorTypeName, isPlaced = true): Promise<string> {
  await kernels.prepare([to]);
  const place = isPlaced ? { firstRow } : {};
  try {
    const made = await lane.convert({
      ...{ tensor: "a.weight", from, to, rows, rowElements, weighted: false, ...place },
    });
    expect(made.byteLength).toBe(tensorBytes(to, [rowElements, rows]));
    return "done";
  } catch (error) {
    if (!isJaugeError(error)) throw error;
    const { row, column, value } = error.facts as Record<string, unknown>;
    return [error.code, row, column, value].filter((fact) => fact !== undefined).join(" ");
  }
}

describe("rows that are converted", () => {
  it.each(floatTypes)("may hold what their type holds, but no infinity and no NaN: %s", async (from) => {
    for (const [number, to] of targets.entries()) {
      setElements(from);
      expect(await outcome(from, to), to).toBe("done");
      for (const [turn, [name, value]] of Object.entries(bits[from]).entries()) {
        // the first and the last element, and one within a block, which those after it hide from some types
        const at = [0, 2 * rowElements + 5, rows * rowElements - 1][(number + turn) % 3]!;
        setElements(from, { [at]: value });
        const [row, column] = [firstRow + Math.floor(at / rowElements), at % rowElements];
        expect(await outcome(from, to), `${name} → ${to}`).toBe(
          `weights-not-finite ${row} ${column} ${name}`,
        );
      }
    }
  });

  it("may hold the greatest numbers, whose squares are infinite", async () => {
    for (const to of ["F32", "Q4_0"] as const) {
      setElements("F32", { 40: 0x7f7fffff });
      expect(await outcome("F32", to), to).toBe(to === "F32" ? "done" : "weights-too-large");
    }
    setElements("BF16", { 40: 0x7f7f });
    for (const to of ["BF16", "F32"] as const) expect(await outcome("BF16", to), to).toBe("done");
    setElements(
      "F16",
      Object.fromEntries(Array.from({ length: rows * rowElements }, (_, at) => [at, 0x7bff])),
    );
    expect(await outcome("F16", "F16")).toBe("done");
  });

  it("are looked at to the last of a row of any length", async () => {
    for (const from of floatTypes) {
      for (const length of [1, 7, 33, 100]) {
        const job = { tensor: "a.bias", firstRow: 0, from, to: from, rows: 1, rowElements: length } as const;
        setElements(from, { [length]: bits[from].NaN });
        await lane.convert({ ...job, weighted: false });
        setElements(from, { [length - 1]: bits[from].NaN });
        await expect(lane.convert({ ...job, weighted: false })).rejects.toMatchObject({
          facts: { row: 0, column: length - 1, value: "NaN" },
        });
      }
    }
  });

  it("name the first that is wrong, without a place where they have none", async () => {
    setElements("F32", { 300: bits.F32.Infinity, 700: bits.F32.NaN });
    expect(await outcome("F32", "Q4_K")).toBe(`weights-not-finite ${firstRow + 1} 44 Infinity`);
    expect(await outcome("F32", "Q4_K", false)).toBe("weights-not-finite Infinity");
  });

  it("are refused where the wanted type would make infinity of finite numbers", async () => {
    const word = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;
    setElements("F32", { 600: word(-65_519) });
    expect(await outcome("F32", "F16")).toBe("done");
    setElements("F32", { 600: word(-65_520) });
    expect(await outcome("F32", "F16")).toBe(`weights-too-large ${firstRow + 2} 88 -65520`);
    expect(await outcome("F32", "BF16")).toBe("done");
    setElements("BF16", { 3: 0x4780 });
    expect(await outcome("BF16", "F16")).toBe(`weights-too-large ${firstRow} 3 65536`);
    setElements("BF16", { 3: 0x7140 });
    for (const to of ["Q8_0", "Q4_0"] as const)
      expect(await outcome("BF16", to), to).toBe("weights-too-large");
    setElements("F32", { 3: 0x7f7fffff });
    expect(await outcome("F32", "BF16")).toBe("weights-too-large");
  });

  it("of blocks are refused where a block's scale is no finite number", async () => {
    for (const to of ["Q8_0", "Q4_0", "F32", "F16", "BF16"] as const) {
      lane.source.fill(0);
      expect(await outcome("Q8_0", to), to).toBe("done");
      new Uint16Array(lane.source.buffer)[17] = bits.F16.NaN;
      expect(await outcome("Q8_0", to), to).toBe("weights-not-finite");
    }
  });
});
