import { describe, expect, it } from "vitest";
import { alternatingBatches, canReserve, graphKinds } from "../../src/plan/graph-kinds.js";
import { type Plan, simplePlan } from "../../src/plan/plan.js";

const layers = 8;
const plan = simplePlan({ modelPath: "model.gguf", threads: 4, gpuLayers: 3, devices: ["Vulkan0"] });
const kinds = (changes: Partial<Plan> = {}) =>
  graphKinds({ ...plan, ...changes }, layers).map(({ from, largest }) => [
    from,
    largest.rows,
    largest.sequences,
  ]);

describe("kinds of graphs", () => {
  it("change where norms move and where weights are streamed", () => {
    expect(kinds()).toEqual([
      [1, 31, 1],
      [32, 32, 1],
      [33, 512, 1],
    ]);
    expect(kinds({ streamWeights: false })).toEqual([
      [1, 31, 1],
      [32, 512, 1],
    ]);
  });

  it("are fewer where all layers are on devices, and one without devices", () => {
    for (const gpuLayers of [-1, layers + 1])
      expect(kinds({ gpuLayers })).toEqual([
        [1, 32, 1],
        [33, 512, 1],
      ]);
    expect(kinds({ gpuLayers: layers })).toHaveLength(3);
    expect(kinds({ gpuLayers: -1, streamWeights: false })).toEqual([[1, 512, 1]]);
    expect(kinds({ devices: [] })).toEqual([[1, 512, 1]]);
  });

  it("have whole tokens of all sequences as their largest batch, where there are any", () => {
    expect(kinds({ sequences: 4 })).toEqual([
      [1, 28, 4],
      [32, 32, 4],
      [33, 512, 4],
    ]);
    // Streamed from 31 rows on, which is one sequence's alone.
    expect(kinds({ sequences: 3 })).toEqual([
      [1, 30, 3],
      [31, 31, 1],
      [32, 512, 3],
    ]);
    expect(kinds({ sequences: 64 })).toEqual([
      [1, 31, 31],
      [32, 32, 32],
      [33, 512, 64],
    ]);
  });

  it("are those of batches that there can be", () => {
    expect(kinds({ microBatch: 20 })).toEqual([[1, 20, 1]]);
    expect(kinds({ contextLength: 16 })).toEqual([[1, 16, 1]]);
  });
});

describe("batches that buffers are made for", () => {
  const rowsOf = (changes: Partial<Plan>) =>
    alternatingBatches({ ...plan, ...changes }, layers).map(({ rows }) => rows);

  it("are the largest of each kind below a micro-batch", () => {
    expect(rowsOf({})).toEqual([31, 32]);
    expect(rowsOf({ sequences: 64, kvLayout: "unified" })).toEqual([31, 32]);
    expect(rowsOf({ devices: [] })).toEqual([]);
  });

  it("are none of few streamed rows", () => {
    expect(rowsOf({ sequences: 3, kvLayout: "unified" })).toEqual([30]);
  });

  it("and some beside them where sequences have caches of their own", () => {
    expect(rowsOf({ sequences: 4 })).toEqual([24, 28, 32, 508, 516]);
  });

  it("can be laid out with one cache, or with all sequences", () => {
    const separate = { ...plan, sequences: 64 };
    expect(canReserve(separate, { rows: 31, sequences: 31 })).toBe(false);
    expect(canReserve(separate, { rows: 64, sequences: 64 })).toBe(true);
    expect(canReserve({ ...separate, kvLayout: "unified" }, { rows: 31, sequences: 31 })).toBe(true);
  });
});
