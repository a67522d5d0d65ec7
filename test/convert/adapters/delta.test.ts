import { describe, expect, it } from "vitest";
import { withDelta } from "../../../src/convert/adapters/delta.js";
import { roundToBf16, roundToF16 } from "../../../src/convert/adapters/rounding.js";
import { decoders } from "../../../src/convert/views/decoded.js";
import { float32Tensor, type MemoryTensor, memoryCheckpoint } from "../memory-checkpoint.js";
import { elementsOf } from "../readers/checkpoint-files.js";

const count = (length: number, start = 0) => Array.from({ length }, (_, index) => start + index);

function halves(type: "F16" | "BF16", shape: number[], values: number[]): MemoryTensor {
  const rounded = new Uint16Array(values.length);
  (type === "F16" ? roundToF16 : roundToBf16)(Float32Array.from(values), rounded);
  return { type, shape, bytes: new Uint8Array(rounded.buffer) };
}

describe("a delta", () => {
  const base = memoryCheckpoint([
    ["embed", float32Tensor([3, 2], count(6))],
    ["half", halves("F16", [4], [1, 1.5, -2, 1024])],
    ["brain", halves("BF16", [2], [1, 256])],
    ["mixed", halves("F16", [2], [1, 2])],
    ["a.rotary_emb.inv_freq", float32Tensor([2], [7, 8])],
  ]);
  const delta = memoryCheckpoint([
    ["embed", float32Tensor([5, 2], count(10, 100))],
    ["half", halves("F16", [4], [0.25, 0.0001, 2, 0.4])],
    ["brain", halves("BF16", [2], [0.5, 1])],
    ["mixed", float32Tensor([2], [0.125, 0.1])],
    ["b.rotary_emb.inv_freq", float32Tensor([2], [0, 0])],
  ]);

  it("is added, its further rows stand alone, 16-bit types stay", async () => {
    const sum = withDelta(base, delta, "zeros");
    const read = (name: string) => elementsOf(sum.tensors.get(name)!);
    expect([...sum.tensors].map(([name, { type, shape }]) => [name, type, shape])).toEqual([
      ["embed", "F32", [5, 2]],
      ["half", "F16", [4]],
      ["brain", "BF16", [2]],
      ["mixed", "F32", [2]],
    ]);
    const embedding = [100, 102, 104, 106, 108, 110, 106, 107, 108, 109];
    expect(await read("embed")).toEqual(embedding);
    for (let first = 0; first < 10; first++)
      for (let length = 1; length <= 10 - first; length++)
        expect(await elementsOf(sum.tensors.get("embed")!, first, length)).toEqual(
          embedding.slice(first, first + length),
        );
    // a half has steps of 2⁻¹⁰ at 1.5, of 1 from 1024 on; bfloat16 of 2 from 256 on
    expect(await read("half")).toEqual([1.25, 1.5, 0, 1024]);
    expect(await read("brain")).toEqual([1.5, 256]);
    expect(await read("mixed")).toEqual([1.125, Math.fround(2 + Math.fround(0.1))]);
    expect(sum.fingerprint).not.toBe(base.fingerprint);
    await sum.close();
  });

  it("is added to the mean of the base's rows where its makers filled up with that", async () => {
    const rows = [0.5, -3, 2, 1, 0.25, 8, 1e-3, -1];
    const change = [...rows.map((value) => -value), 10, 20, 0, -1];
    const small = memoryCheckpoint([["embed", float32Tensor([4, 2], rows)]]);
    const tuned = memoryCheckpoint([["embed", float32Tensor([6, 2], change)]]);
    const sum = withDelta(small, tuned, "mean").tensors.get("embed")!;
    const mean = [(0.5 + 2 + 0.25 + Math.fround(1e-3)) / 4, (-3 + 1 + 8 - 1) / 4].map(Math.fround);
    const added = [10 + mean[0]!, 20 + mean[1]!, mean[0]!, mean[1]! - 1].map(Math.fround);
    const expected = [0, 0, 0, 0, 0, 0, 0, 0, ...added];
    for (let first = 0; first < 12; first++)
      for (let length = 1; length <= 12 - first; length++)
        expect(await elementsOf(sum, first, length)).toEqual(expected.slice(first, first + length));
    // halves: the sum is rounded once
    const halved = withDelta(
      memoryCheckpoint([["embed", halves("F16", [2, 1], [1, 2])]]),
      memoryCheckpoint([["embed", halves("F16", [3, 1], [0, 0, 1024])]]),
      "mean",
    );
    expect(await elementsOf(halved.tensors.get("embed")!)).toEqual([1, 2, 1026]);
  });

  it("with more rows than its base is refused until it is said what the base had there", () => {
    const [small, long] = [[1], [1, 2]].map((values) =>
      memoryCheckpoint([["embed", float32Tensor([values.length, 1], values)]]),
    );
    expect(() => withDelta(small!, long!)).toThrow(
      expect.objectContaining({ code: "delta-new-rows", facts: expect.objectContaining({ rows: 1 }) }),
    );
  });

  it.each<[string, [string, MemoryTensor][], [string, MemoryTensor][], string]>([
    ["lacks a tensor", [["a", float32Tensor([1], [1])]], [], "a"],
    ["has one more", [], [["a", float32Tensor([1], [1])]], "a"],
    ["has fewer rows", [["a", float32Tensor([2, 1], [1, 2])]], [["a", float32Tensor([1, 1], [1])]], "a"],
    ["has other columns", [["a", float32Tensor([1, 2], [1, 2])]], [["a", float32Tensor([1, 1], [1])]], "a"],
    [
      "holds integers",
      [["a", float32Tensor([2], [1, 2])]],
      [["a", { type: "I8", shape: [2], bytes: new Uint8Array(2) }]],
      "a",
    ],
  ])("that %s is refused", (_, base, delta, tensor) => {
    expect(() => withDelta(memoryCheckpoint(base), memoryCheckpoint(delta))).toThrow(
      expect.objectContaining({ code: "delta-differs", facts: expect.objectContaining({ tensor }) }),
    );
  });
});

describe("rounding to 16 bits", () => {
  it.each([
    ["F16", roundToF16],
    ["BF16", roundToBf16],
  ] as const)("%s gives back every number it has, and the nearest for those between", (type, round) => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, index) => index);
    const values = new Float32Array(bits.length);
    decoders[type].decode(new Uint8Array(bits.buffer), values, values.length);
    const back = new Uint16Array(bits.length);
    round(values, back);
    for (let index = 0; index < bits.length; index++)
      if (Number.isNaN(values[index]!)) {
        const nan = new Float32Array(1);
        decoders[type].decode(new Uint8Array(back.slice(index, index + 1).buffer), nan, 1);
        expect(nan[0]).toBeNaN();
      } else if (back[index] !== index) expect(back[index]).toBe(index);

    // halves between neighbours go to the even one, all else to the nearer
    const largest = type === "F16" ? 0x7bff : 0x7f7f;
    const between = new Float32Array(largest);
    for (let index = 0; index < largest; index++) between[index] = (values[index]! + values[index + 1]!) / 2;
    const rounded = new Uint16Array(largest);
    round(between, rounded);
    for (let index = 0; index < largest; index++) {
      const even = index % 2 === 0 ? index : index + 1;
      if (rounded[index] !== even) expect([index, rounded[index]]).toEqual([index, even]);
    }
  });

  it("overflows to infinity", () => {
    const rounded = new Uint16Array(3);
    roundToF16(Float32Array.of(65_519, 65_520, -1e30), rounded);
    expect([...rounded]).toEqual([0x7bff, 0x7c00, 0xfc00]);
  });
});
