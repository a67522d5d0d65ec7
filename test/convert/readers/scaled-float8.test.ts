import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Config } from "../../../src/convert/architectures/config.js";
import { withFloat8Scales } from "../../../src/convert/readers/scaled-float8.js";
import { float8Scales } from "../../../src/convert/readers/scaled-float8-config.js";
import { failure } from "../../engine/harness.js";
import { seeded } from "../../gguf/random.js";
import { float32Tensor, type MemoryTensor, memoryCheckpoint } from "../memory-checkpoint.js";

/** By the definition of the OCP formats: a sign, 4 and 3 bits with a bias of 7, or 5 and 2 with one of 15. */
function numberOf(bits: number, exponentBits: number): number {
  const fractionBits = 7 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (bits & 0x7f) >> fractionBits;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const size = exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  return bits > 127 ? -size : size;
}

/** Random elements without those that are no numbers. */
function float8(shape: number[], type: "F8_E4M3" | "F8_E5M2" = "F8_E4M3"): MemoryTensor {
  const random = seeded(shape.length + shape[0]!);
  const highest = type === "F8_E4M3" ? 0x7e : 0x7b;
  const bytes = Uint8Array.from(
    { length: shape.reduce((product, size) => product * size, 1) },
    () => Math.floor(random() * (highest + 1)) | (random() < 0.5 ? 0x80 : 0),
  );
  return { type, shape, bytes };
}

/** Scales that are no powers of two. */
function scalesOf(...shape: number[]): MemoryTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return float32Tensor(
    shape,
    Array.from({ length: count }, (_, index) => 0.001 * (index + 1)),
  );
}

const checkpoint = (weight: MemoryTensor, scale: MemoryTensor, name = "w_scale_inv") =>
  memoryCheckpoint([
    ["w", weight],
    [name, scale],
  ]);

/** Each element times the scale that `scaleAt` finds for its place, in float32. */
function expected(
  weight: MemoryTensor,
  scale: MemoryTensor,
  scaleAt: (row: number, column: number) => number,
) {
  const columns = weight.shape.slice(1).reduce((product, size) => product * size, 1);
  const exponentBits = weight.type === "F8_E4M3" ? 4 : 5;
  const factors = new Float32Array(scale.bytes.buffer);
  return Float32Array.from(weight.bytes, (bits, index) => {
    const factor = factors[scaleAt(Math.floor(index / columns), index % columns)]!;
    return Math.fround(numberOf(bits, exponentBits) * factor);
  });
}

async function valuesOf(stored: ReturnType<typeof checkpoint>, block?: [number, number]) {
  const tensor = withFloat8Scales(stored, block ? { block } : {}).tensors.get("w")!;
  const target = new Uint8Array(4 * tensor.shape.reduce((product, size) => product * size, 1));
  await tensor.read(target, 0);
  return new Float32Array(target.buffer);
}

describe("weights in 8-bit floats", () => {
  it("are multiplied by the scale of their block, the last of which may be cut", async () => {
    const [weight, scale] = [float8([300, 200]), scalesOf(3, 2)];
    const values = await valuesOf(checkpoint(weight, scale), [128, 128]);
    const at = (row: number, column: number) => Math.floor(row / 128) * 2 + Math.floor(column / 128);
    expect(values).toEqual(expected(weight, scale, at));
  });

  it.each([
    ["of a row", [40], "w_scale", (row: number) => row],
    ["of a row, as a column", [40, 1], "w_scale", (row: number) => row],
    ["of the whole", [1], "w_scale", () => 0],
    ["of the whole, as a scalar", [], "w_scale_inv", () => 0],
  ] as const)("or by that %s", async (_, shape, name, at) => {
    for (const type of ["F8_E4M3", "F8_E5M2"] as const) {
      const [weight, scale] = [float8([40, 24], type), scalesOf(...shape)];
      expect(await valuesOf(checkpoint(weight, scale, name))).toEqual(expected(weight, scale, at));
    }
  });

  it("are the same wherever a read begins and however it is aligned", async () => {
    const [weight, scale] = [float8([37, 29]), scalesOf(5, 4)];
    const whole = expected(weight, scale, (row, column) => Math.floor(row / 8) * 4 + Math.floor(column / 8));
    const tensor = withFloat8Scales(checkpoint(weight, scale), { block: [8, 8] }).tensors.get("w")!;
    const place = fc.tuple(fc.nat(37 * 29 - 1), fc.nat(200), fc.nat(3));
    await fc.assert(
      fc.asyncProperty(place, async ([first, length, offset]) => {
        const count = Math.min(length, 37 * 29 - first);
        const target = new Uint8Array(offset + 4 * count).subarray(offset);
        await tensor.read(target, first);
        expect(new Float32Array(target.slice().buffer)).toEqual(whole.slice(first, first + count));
      }),
    );
    await expect(tensor.read(new Uint8Array(8), 37 * 29 - 1)).rejects.toThrow(RangeError);
  });

  it("stand alone afterwards: scales and what only runs need are gone, the rest stays", () => {
    const tensors = withFloat8Scales(
      memoryCheckpoint([
        ["a.weight", float8([8, 8])],
        ["a.weight_scale_inv", scalesOf(1, 1)],
        ["a.input_scale", scalesOf()],
        ["norm.weight", scalesOf(8)],
      ]),
      { block: [128, 128] },
    ).tensors;
    expect([...tensors.keys()].sort()).toEqual(["a.weight", "norm.weight"]);
  });

  it("are refused without a scale, with one of another shape, or with one that is no float", async () => {
    const open = (weight: MemoryTensor, scale: MemoryTensor, name?: string) =>
      failure((async () => withFloat8Scales(checkpoint(weight, scale, name), { block: [128, 128] }))());
    expect(await open(float8([8, 8]), scalesOf(1), "v_scale")).toMatchObject({
      code: "weights-missing",
      facts: { tensor: "w_scale_inv" },
    });
    expect(await open(float8([300, 200]), scalesOf(2, 2))).toMatchObject({
      code: "weights-shape",
      facts: { tensor: "w_scale_inv", found: "2, 2", expected: "3, 2" },
    });
    const bytes = { type: "U8", shape: [1, 1], bytes: new Uint8Array(1) } as const;
    expect(await open(float8([8, 8]), bytes)).toMatchObject({ code: "weights-type", facts: { type: "U8" } });
  });
});

describe("a configuration of 8-bit weights", () => {
  const scales = (values: Record<string, unknown>) => float8Scales(new Config("config.json", values));
  const group = (weights: Record<string, unknown>, more = {}) => ({
    ...{ quant_method: "compressed-tensors", format: "float-quantized" },
    config_groups: { group_0: { weights: { type: "float", num_bits: 8, ...weights }, ...more } },
  });

  it("says how scales are laid out", () => {
    expect(scales({ quant_method: "fp8", weight_block_size: [128, 64] })).toEqual({ block: [128, 64] });
    expect(scales({ quant_method: "fp8" })).toEqual({});
    expect(scales({ quant_method: "modelopt", quant_algo: "FP8" })).toEqual({});
    expect(scales(group({ strategy: "channel", group_size: null, block_structure: null }))).toEqual({});
    expect(scales(group({ strategy: "block", block_structure: [128, 128] }))).toEqual({ block: [128, 128] });
  });

  it("is none of other ways, or of several at once", () => {
    expect(scales({ quant_method: "gptq", bits: 4 })).toBeUndefined();
    expect(scales({ quant_method: "modelopt", quant_algo: "NVFP4" })).toBeUndefined();
    expect(scales({ quant_method: "compressed-tensors", format: "pack-quantized" })).toBeUndefined();
    expect(scales(group({ num_bits: 4 }))).toBeUndefined();
    expect(scales(group({ strategy: "group", group_size: 128 }))).toBeUndefined();
    const two = group({});
    const other = { weights: { type: "float", num_bits: 8, block_structure: [64, 64] } };
    expect(scales({ ...two, config_groups: { ...two.config_groups, other } })).toBeUndefined();
    expect(() => scales({ quant_method: "fp8", weight_block_size: [128, 0] })).toThrow(/weight_block_size/);
  });
});
