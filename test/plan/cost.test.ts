import { describe, expect, it } from "vitest";
import type { ComputeSpeed } from "../../src/hardware/facts.js";
import { attentionSeconds } from "../../src/plan/attention-cost.js";
import { CostModel, host, type Load } from "../../src/plan/cost.js";
import { layoutOf } from "../../src/plan/layout.js";
import { deviceOf, machineFacts, type Shape, sourceOfShape } from "./machines.js";

const endless = 1e30;
/** All but what a test sets takes no time. */
const freeSpeed: ComputeSpeed = {
  ...{ memoryBytesPerSecond: endless, nodeSeconds: 0, multiplySeconds: 0 },
  matrix: { Q4_K: { rows: [1], bytesPerSecond: [endless] } },
  attention: { oneRowPerSecond: endless, batchPerSecond: endless },
};
const dense: Shape = {
  ...{ layers: 1, hidden: 512, feedForward: 1024, heads: 8, kvHeads: 2, vocabulary: 512 },
};
const mixture: Shape = { ...dense, experts: 8, expertsUsed: 4 };
const token: Load = { rows: 1, sequences: 1, outputs: 1, depth: 100 };

/** The same, but each row of a matrix takes a second. */
const rowOfOne: Partial<ComputeSpeed> = {
  matrix: { Q4_K: { rows: [1], bytesPerSecond: [endless], rowSeconds: 1 } },
};

function secondsOf(shape: Shape, speed: Partial<ComputeSpeed>, load = token): number {
  const layout = layoutOf(sourceOfShape(shape));
  const facts = machineFacts([]);
  facts.host.speed = { ...freeSpeed, ...speed };
  const layers = layout.layers.map((parts) => ({ on: host, parts: parts.map(() => host) }));
  return new CostModel(layout, facts, load, "pinned", []).cost({ layers }).seconds;
}

describe("the fixed costs of a graph", () => {
  it("are those of its operations, as llama.cpp builds it", () => {
    // Norms of two; RoPE of Q and K, both stored; attention, sum; two for the next norm; SwiGLU, sum. Three at the end.
    expect(secondsOf(dense, { nodeSeconds: 1 })).toBeCloseTo(12 + 3, 6);
    // Softmax, sorting, picking, sum, clamp and quotient of the weights; their product with four results, three sums.
    expect(secondsOf(mixture, { nodeSeconds: 1 })).toBeCloseTo(12 + 6 + 4 + 3, 6);
  });

  it("are those of its multiplications", () => {
    expect(secondsOf(dense, { multiplySeconds: 1 })).toBeCloseTo(4 + 3 + 1, 6);
    // The router is one more.
    expect(secondsOf(mixture, { multiplySeconds: 1 })).toBeCloseTo(4 + 1 + 3 + 1, 6);
  });

  it("are those of the rows of matrices, for one token, and less for some", () => {
    // Q, K, V and output; gate, up and down; the vocabulary.
    const rows = 512 + 2 * 128 + 512 + 2 * 1024 + 512 + 512;
    expect(secondsOf(dense, rowOfOne)).toBeCloseTo(rows, 6);
    const several: Load = { rows: 4, sequences: 4, outputs: 4, depth: 100 };
    expect(secondsOf(dense, rowOfOne, several)).toBeCloseTo((rows * 4) / 7, 6);
    expect(secondsOf(dense, rowOfOne, { ...several, rows: 64, outputs: 64 })).toBeCloseTo(0, 6);
    // Of a mixture the rows of the experts that a token uses, four of eight, and the router's.
    const used = 512 + 2 * 128 + 512 + 8 + 4 * (2 * 1024 + 512) + 512;
    expect(secondsOf(mixture, rowOfOne)).toBeCloseTo(used, 6);
  });

  it("count a multiplication as any operation where nothing else is known", () => {
    const plain: Partial<ComputeSpeed> = { nodeSeconds: 1 };
    const layout = layoutOf(sourceOfShape(dense));
    const { multiplySeconds: _, ...speed } = { ...freeSpeed, ...plain };
    const facts = machineFacts([]);
    facts.host.speed = speed;
    const layers = layout.layers.map((parts) => ({ on: host, parts: parts.map(() => host) }));
    expect(new CostModel(layout, facts, token, "pinned", []).cost({ layers }).seconds).toBeCloseTo(15 + 8, 6);
  });

  it("are paid on the device that computes", () => {
    const layout = layoutOf(sourceOfShape(dense));
    const device = deviceOf("CUDA0", 1, 8e9);
    const link = { ...device.link, crossingSeconds: 0 };
    const facts = machineFacts([{ ...device, link, speed: { ...freeSpeed, multiplySeconds: 1 } }]);
    facts.host.speed = freeSpeed;
    const layers = layout.layers.map((parts) => ({ on: 0, parts: parts.map(() => 0) }));
    const { places } = new CostModel(layout, facts, token, "pinned", []).cost({ layers });
    expect(places.map(({ seconds }) => Math.round(seconds))).toEqual([0, 8]);
  });
});

describe("small operations on many tokens", () => {
  it("read and write at their own rate, more of it for each expert that a token uses", () => {
    const load: Load = { rows: 512, sequences: 1, outputs: 512, depth: 256 };
    const rate = 1e9;
    const state = 512 * 512 * 4;
    const passes = (shape: Shape) => (secondsOf(shape, { passBytesPerSecond: rate }, load) * rate) / state;
    // The feed-forward state is twice as long as the hidden state, or four of as many experts.
    expect(passes(dense)).toBeCloseTo(22 + 4 + 3 * 2, 6);
    expect(passes(mixture)).toBeCloseTo(22 + 4 + 3 * 2 * 4 + 17, 6);
  });
});

describe("norms and RoPE where they were measured", () => {
  const norm = { seconds: 100, rowSeconds: 10, elementSeconds: 1 };
  const rope = { seconds: 7, rowSeconds: 5, elementSeconds: 0.5 };

  it("take what their rows and elements take, and no more as other operations", () => {
    // Two norms of a layer, and the output's.
    expect(secondsOf(dense, { nodeSeconds: 1, norm })).toBeCloseTo(15 - 3 * 2 + 3 * (100 + 10 + 512), 6);
    // Eight heads of queries, two of keys.
    const heads = 2 * 7 + (8 + 2) * (5 + 64 * 0.5);
    expect(secondsOf(dense, { nodeSeconds: 1, rope })).toBeCloseTo(15 - 2 + heads, 6);
    const load: Load = { rows: 512, sequences: 1, outputs: 512, depth: 256 };
    const passes = (speed: Partial<ComputeSpeed>) =>
      secondsOf(dense, { ...speed, passBytesPerSecond: 1e9 }, load) / ((512 * 512 * 4) / 1e9);
    const nothing = { seconds: 0, rowSeconds: 0, elementSeconds: 0 };
    expect(passes({})).toBeCloseTo(22 + 4 + 3 * 2, 6);
    expect(passes({ norm: nothing, rope: nothing })).toBeCloseTo(22 + 4 + 3 * 2 - 3 * 4 - 4, 6);
  });

  it("go by the tokens that reach them: behind the last attention, those that give logits", () => {
    const load: Load = { rows: 64, sequences: 1, outputs: 1, depth: 32 };
    const rows = { seconds: 0, rowSeconds: 1, elementSeconds: 0 };
    expect(secondsOf(dense, { norm: rows }, load)).toBeCloseTo(64 + 1 + 1, 6);
    expect(secondsOf({ ...dense, layers: 3 }, { norm: rows }, load)).toBeCloseTo(5 * 64 + 1 + 1, 6);
    expect(secondsOf(dense, { rope: rows }, load)).toBeCloseTo(64 * 10, 6);
  });
});

describe("a streamed batch", () => {
  const layout = layoutOf(sourceOfShape({ ...dense, layers: 2 }));
  const free = deviceOf("CUDA0", 1, 8e9);
  const copies = { pageableBytesPerSecond: 1e9, pinnedBytesPerSecond: 2e9 };
  const link = { toDevice: copies, toHost: copies, crossingSeconds: 0 };
  const onHost = layout.layers.map((parts) => ({ on: host, parts: parts.map(() => host) }));
  const load: Load = { rows: 64, sequences: 1, outputs: 1, depth: 32 };
  const costOf = (speed: { host?: Partial<ComputeSpeed>; device?: Partial<ComputeSpeed> }, crossing = 0) => {
    const device = { ...free, link: { ...link, crossingSeconds: crossing } };
    const facts = machineFacts([{ ...device, speed: { ...freeSpeed, ...speed.device } }]);
    facts.host.speed = { ...freeSpeed, ...speed.host };
    return new CostModel(layout, facts, load, "streamed", [1000, 1000]).cost({ layers: onHost });
  };

  it("is computed on the device with all that lies between its matrices", () => {
    // Two layers without what comes behind the last attention, which one token goes through on the host: norm of two
    // and SwiGLU and sum, then three at the end.
    const { places } = costOf({ host: { nodeSeconds: 1 }, device: { nodeSeconds: 1 } });
    expect(places.map(({ seconds }) => Math.round(seconds))).toEqual([4 + 3, 24 - 4]);
    const attention = { oneRowPerSecond: 1, batchPerSecond: 1 };
    const attending = costOf({ host: { attention }, device: { attention } }).places;
    expect(attending.map(({ seconds }) => Math.round(seconds))).toEqual([0, 2 * 64 * 32 * 8 * 128]);
  });

  it("copies the host's weights that it needs, and the KV cache", () => {
    const streamed = layout.layers
      .flatMap((parts, layer) => parts.filter(({ stage }) => layer === 0 || stage.startsWith("attention")))
      .filter(({ name, isMatrix }) => isMatrix && name !== "output.weight");
    const weights = streamed.reduce((sum, { bytes }) => sum + bytes, 0);
    const cache = 2 * 1000 * 32;
    const { streamedBytes, streamSeconds } = costOf({});
    expect(streamedBytes).toBe(weights + cache);
    expect(streamSeconds).toBeCloseTo(weights / 2e9 + cache / 1e9, 12);
    // K and V of each layer go back to their cache, and both cache and weights come: the state itself stays.
    expect(costOf({}, 1).seconds - costOf({}).seconds).toBeCloseTo(2 * 4 + 2, 6);
  });
});

describe("attention of one token", () => {
  const layer = { heads: 4, headSizes: 2 * 64, cacheBytesPerCell: 1000 };
  const speed: ComputeSpeed = {
    ...freeSpeed,
    attention: {
      ...freeSpeed.attention,
      oneRow: { headSizes: [64, 128], headSeconds: [1, 3], cacheBytesPerSecond: [1000, 2000] },
    },
  };
  const one: Load = { rows: 1, sequences: 1, outputs: 1, depth: 512 };

  it("takes what each head and what reading the cache takes, of cells by 256", () => {
    expect(attentionSeconds(speed, true, one, layer)).toBeCloseTo(768 * (4 * 1 + 1), 6);
    expect(attentionSeconds(speed, true, { ...one, depth: 511 }, layer)).toBeCloseTo(512 * 5, 6);
  });

  it("skips the CPU's masked cells where its threads share out heads: of few cells, or several sequences", () => {
    expect(attentionSeconds(speed, true, { ...one, depth: 255 }, layer)).toBeCloseTo(255 * 5, 6);
    expect(attentionSeconds(speed, false, { ...one, depth: 255 }, layer)).toBeCloseTo(256 * 5, 6);
    const eight: Load = { rows: 8, sequences: 8, outputs: 8, depth: 512 };
    expect(attentionSeconds(speed, true, eight, layer)).toBeCloseTo(8 * 512 * 5, 6);
    expect(attentionSeconds(speed, false, eight, layer)).toBeCloseTo(8 * 768 * 5, 6);
  });

  it("is interpolated between sizes of heads, and as the nearest beyond them", () => {
    const seconds = (headSize: number) =>
      attentionSeconds(speed, true, one, { ...layer, headSizes: 2 * headSize }) / 768;
    expect(seconds(96)).toBeCloseTo(4 * 2 + 0.75, 6);
    expect(seconds(32)).toBeCloseTo(5, 6);
    expect(seconds(256)).toBeCloseTo(4 * 3 + 0.5, 6);
  });

  it("is known from multiply-adds and memory where it was not measured so", () => {
    const plain: ComputeSpeed = {
      ...freeSpeed,
      memoryBytesPerSecond: 4000,
      attention: { oneRowPerSecond: 128, batchPerSecond: 256 },
    };
    expect(attentionSeconds(plain, true, one, layer)).toBeCloseTo(768 * (4 + 1), 6);
  });
});

it("counts a prompt's attention by what its tokens see", () => {
  const speed = { ...freeSpeed, attention: { oneRowPerSecond: 1, batchPerSecond: 1e6 } };
  const load: Load = { rows: 512, sequences: 1, outputs: 1, depth: 256 };
  const layer = { heads: 4, headSizes: 128, cacheBytesPerCell: 1000 };
  expect(attentionSeconds(speed, true, load, layer)).toBeCloseTo((512 * 256 * 4 * 128) / 1e6, 6);
});
