import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import { checkPlan } from "../../src/plan/check.js";
import { type KvType, kvTypes, type Plan, simplePlan, streamsFrom } from "../../src/plan/plan.js";

const plan = simplePlan({ modelPath: "model.gguf", threads: 2 });

/** The field that a plan is refused for; undefined where it is accepted. */
function refused(changes: Partial<Record<keyof Plan, unknown>>): string | undefined {
  try {
    checkPlan({ ...plan, ...changes } as Plan);
    return undefined;
  } catch (error) {
    if (!isJaugeError(error, "plan-invalid")) throw error;
    return error.facts.field;
  }
}

const ranges: [field: keyof Plan, least: number, most: number][] = [
  ["gpuLayers", -1, 100_000],
  ["contextLength", 1, 2 ** 24],
  ["sequences", 1, 256],
  ["microBatch", 1, 2 ** 16],
  ["kvCells", 1, 2 ** 28],
  ["threads", 1, 512],
  ["threadsBatch", 1, 512],
  ["outputs", 1, 2 ** 16],
];

describe("a plan", () => {
  it("with every setting at its default is accepted, and survives JSON", () => {
    expect(refused({})).toBeUndefined();
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  it.each(ranges)("takes %s from %i to %i, whole, and names it where it is not", (field, least, most) => {
    expect(refused({ [field]: least })).toBeUndefined();
    expect(refused({ [field]: most })).toBeUndefined();
    fc.assert(
      fc.property(fc.integer({ min: least, max: most }), (value) => {
        expect(refused({ [field]: value })).toBeUndefined();
      }),
    );
    const outside = fc.oneof(
      fc.integer({ max: least - 1 }),
      fc.integer({ min: most + 1 }),
      fc.double().filter((value) => !Number.isInteger(value)),
      fc.constantFrom<unknown>("12", null, [], {}, true, Number.NaN, Number.POSITIVE_INFINITY),
    );
    fc.assert(
      fc.property(outside, (value) => {
        expect(refused({ [field]: value })).toBe(field);
      }),
    );
  });

  it("has no more cells than libllama counts", () => {
    expect(refused({ sequences: 127, contextLength: 2 ** 24 })).toBeUndefined();
    expect(refused({ sequences: 128, contextLength: 2 ** 24 })).toBe("contextLength");
  });

  it("takes every KV cache type; a quantised V cache needs flash attention", () => {
    for (const type of kvTypes) {
      expect(refused({ kvTypeK: type, flashAttention: "off" })).toBeUndefined();
      expect(refused({ kvTypeV: type })).toBeUndefined();
      const plain = (["f32", "f16", "bf16"] as KvType[]).includes(type);
      expect(refused({ kvTypeV: type, flashAttention: "off" })).toBe(plain ? undefined : "kvTypeV");
    }
    expect(refused({ kvTypeK: "q2_k" })).toBe("kvTypeK");
    expect(refused({ kvTypeV: "" })).toBe("kvTypeV");
  });

  it("has patterns that are regular expressions", () => {
    expect(
      refused({ tensorOverrides: [{ pattern: "blk\\.\\d+\\.ffn_.*_exps", placement: "host" }] }),
    ).toBeUndefined();
    expect(refused({ tensorOverrides: [{ pattern: "blk.(", placement: "host" }] })).toBe("tensorOverrides");
  });
});

describe("batches that are not streamed", () => {
  const from = (sequences: number, changes: Partial<Plan> = {}) =>
    streamsFrom({ ...plan, sequences, ...changes });

  it("are whole tokens of all sequences at most", () => {
    for (let sequences = 1; sequences <= 32; sequences++) {
      expect((from(sequences) - 1) % sequences).toBe(0);
      expect(from(sequences)).toBeLessThanOrEqual(33);
      expect(from(sequences) + sequences).toBeGreaterThan(33);
    }
    expect([1, 8, 32, 3, 7, 24].map((sequences) => from(sequences))).toEqual([33, 33, 33, 31, 29, 25]);
  });

  it("are the usual ones where none is streamed, or too many sequences run", () => {
    expect(from(33)).toBe(33);
    expect(from(256)).toBe(33);
    expect(from(3, { streamWeights: false })).toBe(33);
    expect(from(3, { microBatch: 32 })).toBe(33);
    expect(from(3, { devices: [] })).toBe(33);
  });
});
