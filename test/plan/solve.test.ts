import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { host, type Placement } from "../../src/plan/cost.js";
import { type Fitted, fits, type Machine } from "../../src/plan/fit.js";
import { layoutOf } from "../../src/plan/layout.js";
import { bestPlacement } from "../../src/plan/placement.js";
import { costModels, predict, scored } from "../../src/plan/predict.js";
import { judged, type PlacementProblem } from "../../src/plan/problem.js";
import { solve } from "../../src/plan/solve.js";
import type { ModelSource } from "../../src/plan/source.js";
import { deviceOf, machineFacts, machineOf, type Shape, small, sourceOfShape } from "./machines.js";

const mixture: Shape = { ...small, feedForward: 512, experts: 16, expertsUsed: 2 };

const shapes = fc.record({
  layers: fc.integer({ min: 1, max: 20 }),
  hidden: fc.constantFrom(256, 512, 1024),
  feedForward: fc.constantFrom(256, 768, 1536),
  heads: fc.constant(8),
  kvHeads: fc.constantFrom(1, 2, 8),
  vocabulary: fc.constantFrom(256, 4096, 32_000),
  experts: fc.constantFrom(0, 8),
  expertsUsed: fc.constant(2),
  tied: fc.boolean(),
});

async function planned(
  shape: Shape,
  budgets: { host: number; devices: number[] },
  wishes: Parameters<typeof solve>[0]["wishes"] = { contextLength: 2048 },
  objective: "chat" | "batch" | "context" = "chat",
): Promise<{ fitted: Fitted; machine: Machine }> {
  const devices = budgets.devices.map((_, index) => deviceOf(`CUDA${index}`, 10 - index, 8e9));
  const machine = machineOf(
    machineFacts(devices),
    budgets,
    devices.length > 0 ? {} : { modes: ["repacked"] },
  );
  const { fitted } = await solve({ layout: layoutOf(sourceOfShape(shape)), machine, objective, wishes });
  return { fitted, machine };
}

function predictionOf({ fitted, machine }: { fitted: Fitted; machine: Machine }) {
  return predict(fitted.models, fitted.placement, machine.facts);
}

describe("a plan", () => {
  test("keeps every budget, whatever the tensors and however many devices", async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.array(fc.integer({ min: 0, max: 300_000_000 }), { maxLength: 3 }),
        fc.integer({ min: 100_000_000, max: 900_000_000 }),
        async (shape, devices, ram) => {
          const { fitted } = await planned(shape, { host: ram, devices });
          const allowed = [ram, ...devices];
          const used = fitted.memory.map(
            ({ weights, kv, compute, runtime }) => weights + kv + compute + runtime,
          );
          const isOver = used.some((bytes, index) => bytes > allowed[index]!);
          expect(fits(fitted)).toBe(!isOver);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("is never predicted slower with more device memory", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(small, mixture),
        fc.integer({ min: 1, max: 200_000_000 }),
        fc.integer({ min: 0, max: 60_000_000 }),
        async (shape, bytes, more) => {
          const less = await planned(shape, { host: 4e9, devices: [bytes] });
          const with_ = await planned(shape, { host: 4e9, devices: [bytes + more] });
          // Filling a budget to the last percent may cost two thousandths.
          expect(with_.fitted.score).toBeLessThanOrEqual(less.fitted.score * 1.002);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("fills a device that a model does not fit into", async () => {
    for (const bytes of [30e6, 37e6, 44e6, 51e6]) {
      const { fitted } = await planned(small, { host: 4e9, devices: [bytes] });
      const outside = fitted.placement.layers.flatMap(({ parts }, layer) =>
        parts.flatMap((place, index) => {
          const part = layoutOf(sourceOfShape(small)).layers[layer]![index]!;
          return place === host && part.isMatrix ? [part.bytes] : [];
        }),
      );
      const left = -fitted.over[1]!;
      expect(left < bytes * 0.01 || left < Math.min(...outside)).toBe(true);
    }
  });

  test("fills what is left with other tensors where those that seem best enlarge the compute buffers", async () => {
    const layout = layoutOf(sourceOfShape({ ...small, layers: 24 }));
    const device = deviceOf("CUDA0", 10, 8e9);
    const facts = machineFacts([{ ...device, link: { ...device.link, crossingSeconds: 1e-7 } }]);
    for (const bytes of [6.6e6, 7.2e6, 9.2e6, 12.4e6, 15.6e6]) {
      const machine = machineOf(facts, { host: 4e9, devices: [bytes] });
      const enlarging: Machine = {
        ...machine,
        measure: async (plan, modelled) => {
          const uses = await machine.measure(plan, modelled);
          const hasQueries = plan.tensorOverrides.some(
            ({ pattern, placement }) => placement === "CUDA0" && /attn_q/.test(pattern),
          );
          return uses.map((use) =>
            use.device === "CUDA0" && hasQueries ? { ...use, computeBytes: use.computeBytes + 3e5 } : use,
          );
        },
      };
      const { fitted } = await solve({
        layout,
        machine: enlarging,
        objective: "chat",
        wishes: { contextLength: 512, microBatch: 256 },
      });
      expect(fits(fitted)).toBe(true);
      expect(-fitted.over[1]! / bytes).toBeLessThan(0.01);
    }
  });

  test("predicts of empty devices what the CPU computes alone", async () => {
    const withoutDevices = await planned(small, { host: 4e9, devices: [] });
    const { prefillTokensPerSecond } = predictionOf(withoutDevices);
    for (const bytes of [0, 1e6, 1.3e6]) {
      const empty = await planned(small, { host: 4e9, devices: [bytes] });
      expect(empty.fitted.plan.devices).toEqual([]);
      expect(predictionOf(empty).prefillTokensPerSecond).toBeCloseTo(prefillTokensPerSecond, 6);
    }
  });

  test("has smaller micro-batches where their compute buffers leave a small device to weights", async () => {
    // In micro-batches of 512 they take 5 MB.
    const budgets = { host: 4e9, devices: [6e6] };
    for (const objective of ["chat", "batch"] as const) {
      const wishes = { contextLength: 2048, sequences: 4 };
      const { fitted } = await planned(small, budgets, wishes, objective);
      const usual = await planned(small, budgets, { ...wishes, microBatch: 512 }, objective);
      expect(fitted.plan.microBatch).toBeLessThan(512);
      expect(fitted.score).toBeLessThan(usual.fitted.score * 0.98);
    }
  });

  test("fills the last percent with small projections of recurrent layers, but not with what reads the state", async () => {
    const shape: Shape = { ...small, layers: 24, recurrent: true };
    const layout = layoutOf(sourceOfShape(shape));
    const device = deviceOf("CUDA0", 10, 8e9);
    const facts = machineFacts([{ ...device, link: { ...device.link, crossingSeconds: 1e-7 } }]);
    for (const bytes of [9e6, 12.3e6, 15.1e6, 21e6]) {
      const machine = machineOf(facts, { host: 4e9, devices: [bytes] });
      const { fitted } = await solve({ layout, machine, objective: "chat", wishes: { contextLength: 512 } });
      const outside = fitted.placement.layers.flatMap(({ on, parts }, layer) =>
        parts.flatMap((place, index) => {
          const part = layout.layers[layer]![index]!;
          return place === host && part.isMatrix && !/ssm_conv1d/.test(part.name) ? [{ on, part }] : [];
        }),
      );
      const left = -fitted.over[1]!;
      expect(left < bytes * 0.01 || outside.every(({ part }) => part.bytes > left)).toBe(true);
      const convolutions = fitted.placement.layers.filter(({ on, parts }, layer) =>
        parts.some((place, index) => place !== on && /ssm_conv1d/.test(layout.layers[layer]![index]!.name)),
      );
      expect(convolutions).toEqual([]);
    }
  });

  test("moves projections before attention away from a KV cache in RAM, and never the one behind it", async () => {
    const plain = sourceOfShape(small);
    // What attention itself adds up with, as gpt-oss has it.
    const sinks = plain.tensors
      .filter(({ name }) => name.endsWith("attn_q.weight"))
      .map((tensor) => ({
        ...tensor,
        ...{ name: tensor.name.replace("attn_q", "attn_sinks"), type: "F32" as const, shape: [8], bytes: 32 },
      }));
    const layout = layoutOf({ ...plain, tensors: [...plain.tensors, ...sinks] });
    const machine = machineOf(machineFacts([deviceOf("CUDA0", 10, 8e9)]), { host: 64e9, devices: [60e6] });
    // Caches so large that no layer's finds room on the device, which holds all matrices.
    const wishes = { contextLength: 8192, sequences: 256 };
    const { fitted } = await solve({ layout, machine, objective: "chat", wishes });
    for (const [layer, { on, parts }] of fitted.placement.layers.entries()) {
      if (layer === layout.outputLayer) continue;
      expect(on).toBe(host);
      const onDevice = parts.flatMap((place, index) =>
        place === host ? [] : [layout.layers[layer]![index]!.name.replace(/^blk\.\d+\./, "")],
      );
      expect(onDevice).toEqual(expect.arrayContaining(["attn_q.weight", "attn_k.weight", "attn_v.weight"]));
      expect(onDevice.filter((name) => /attn_(output|sinks)/.test(name))).toEqual([]);
    }
  });

  test("leaves what comes next behind attention in RAM with the KV cache", async () => {
    const plain = sourceOfShape(small);
    const outside = { host: 64e9, devices: [60e6] };
    const movedIn = async (source: ModelSource) => {
      const layout = layoutOf(source);
      const machine = machineOf(machineFacts([deviceOf("CUDA0", 10, 8e9)]), outside);
      const wishes = { contextLength: 8192, sequences: 256 };
      const { fitted } = await solve({ layout, machine, objective: "chat", wishes });
      const names = fitted.placement.layers.flatMap(({ parts }, layer) =>
        parts.flatMap((place, index) => (place === host ? [] : [layout.layers[layer]![index]!.name])),
      );
      return new Set(names.map((name) => name.replace(/^blk\.\d+\.|\.weight$/g, "")));
    };
    // A parallel residual: the feed-forward part has no norm of its own, and is computed before the output projection.
    const parallel = await movedIn({
      ...plain,
      tensors: plain.tensors.filter(({ name }) => !/ffn_norm/.test(name)),
    });
    expect([...parallel].filter((name) => /ffn_(gate|up)/.test(name))).toEqual([]);
    expect([...parallel]).toEqual(expect.arrayContaining(["ffn_down", "attn_output"]));
    // GPT-NeoX has a norm there, and the same order.
    const neox = await movedIn({ ...plain, outline: { ...plain.outline, parallelResidual: true } });
    expect([...neox]).toEqual(expect.arrayContaining(["ffn_up", "attn_output"]));
    expect(neox).not.toContain("ffn_norm");
    const sequential = await movedIn({ ...plain, outline: { ...plain.outline, parallelResidual: false } });
    for (const moved of [sequential, await movedIn(plain)]) {
      expect(moved).toContain("ffn_norm");
      expect(moved).not.toContain("attn_output");
    }
  });

  test("moves routers with their experts, and biases with their matrices", async () => {
    const plain = sourceOfShape(mixture);
    const biases = plain.tensors
      .filter(({ name }) => /ffn_(up_exps|gate_inp)\.weight$/.test(name))
      .map((tensor) => ({
        ...tensor,
        ...{ name: tensor.name.replace(/weight$/, "bias"), type: "F32" as const },
        ...{ shape: tensor.shape.slice(1), bytes: 4 * tensor.shape.slice(1).reduce((all, one) => all * one) },
      }));
    const layout = layoutOf({ ...plain, tensors: [...plain.tensors, ...biases] });
    // Caches so large that no layer's finds room on the device.
    const wishes = { contextLength: 8192, sequences: 256 };
    const machine = machineOf(machineFacts([deviceOf("CUDA0", 10, 8e9)]), { host: 64e9, devices: [50e6] });
    const { fitted } = await solve({ layout, machine, objective: "chat", wishes });
    let moved = 0;
    for (const [layer, { on, parts }] of fitted.placement.layers.entries()) {
      const placeOf = (name: string) =>
        parts[layout.layers[layer]!.findIndex((part) => part.name.endsWith(name))];
      if (layer === layout.outputLayer) continue;
      expect(placeOf("ffn_up_exps.bias")).toBe(placeOf("ffn_up_exps.weight"));
      expect(placeOf("ffn_gate_inp.bias")).toBe(placeOf("ffn_gate_inp.weight"));
      const isMoved =
        on === host &&
        [placeOf("ffn_up_exps.weight"), placeOf("ffn_gate_exps.weight")].every((place) => place === 0);
      if (!isMoved) continue;
      moved++;
      expect(placeOf("ffn_gate_inp.weight")).toBe(0);
    }
    expect(moved).toBeGreaterThan(0);
  });

  test("keeps attention on the device and experts in RAM", async () => {
    const { fitted } = await planned(mixture, { host: 4e9, devices: [45e6] });
    const layout = layoutOf(sourceOfShape(mixture));
    const places = fitted.placement.layers.flatMap(({ parts }, layer) =>
      parts.map((place, index) => ({ place, part: layout.layers[layer]![index]! })),
    );
    const of = (isExpert: boolean) =>
      places.filter(({ part }) => part.isMatrix && part.isExpert === isExpert);
    expect(of(false).every(({ place }) => place === 0)).toBe(true);
    expect(of(true).filter(({ place }) => place === host).length).toBeGreaterThan(of(true).length / 2);
  });

  test("leaves a device empty that would only slow things down", async () => {
    const slow = { ...deviceOf("CUDA0", 0.1, 8e9) };
    const machine = machineOf(machineFacts([slow]), { host: 4e9, devices: [1e9] });
    const layout = layoutOf(sourceOfShape(small));
    const { fitted } = await solve({ layout, machine, objective: "chat", wishes: { contextLength: 1024 } });
    expect(fitted.plan.gpuLayers).toBe(0);
    expect(fitted.plan.devices).toEqual([]);
  });

  test("uses a slow device where RAM alone does not suffice", async () => {
    const slow = { ...deviceOf("CUDA0", 0.1, 8e9) };
    const machine = machineOf(machineFacts([slow]), { host: 130e6, devices: [1e9] });
    const layout = layoutOf(sourceOfShape(small));
    const { fitted } = await solve({ layout, machine, objective: "chat", wishes: { contextLength: 1024 } });
    expect(fits(fitted)).toBe(true);
    expect(fitted.memory[1]!.weights).toBeGreaterThan(0);
  });

  test("is the same for the same inputs", async () => {
    const first = await planned(mixture, { host: 4e9, devices: [60e6, 20e6] });
    const second = await planned(mixture, { host: 4e9, devices: [60e6, 20e6] });
    expect(second.fitted.plan).toEqual(first.fitted.plan);
  });

  test("gives up a free context before it fails, and never a fixed one", async () => {
    // RAM for the weights and a short context only.
    const budgets = { host: 165e6, devices: [] };
    const free = await planned({ ...small, kvHeads: 8 }, budgets, {});
    expect(fits(free.fitted)).toBe(true);
    expect(free.fitted.plan.contextLength).toBeLessThan(8192);
    const fixed = await planned({ ...small, kvHeads: 8 }, budgets, { contextLength: 8192, kvTypeK: "f16" });
    expect(fits(fixed.fitted)).toBe(false);
    expect(fixed.fitted.plan.contextLength).toBe(8192);
  });

  test("never gives up KV precision that its heads cannot give up", async () => {
    // Heads of 8: no whole block of q8_0.
    const odd = { ...small, hidden: 256, heads: 32, kvHeads: 32 };
    const { fitted } = await planned(odd, { host: 110e6, devices: [] }, {});
    expect(fits(fitted)).toBe(false);
    expect(fitted.plan.kvTypeK).toBe("f16");
  });

  test("for context is never shorter with more memory, nor than for a chat", async () => {
    let before = 0;
    for (const host of [136e6, 138e6, 140e6, 143e6, 146e6, 150e6, 155e6, 165e6, 180e6]) {
      const lengthFor = async (objective: "chat" | "context") => {
        const { fitted } = await planned({ ...small, kvHeads: 8 }, { host, devices: [] }, {}, objective);
        return fits(fitted) ? fitted.plan.contextLength : 0;
      };
      const length = await lengthFor("context");
      expect(length, `${host} bytes`).toBeGreaterThanOrEqual(Math.max(before, await lengthFor("chat")));
      before = length;
    }
    expect(before).toBeGreaterThan(2048);
  });

  test("for context finds the longest that fits, to one step", async () => {
    const { fitted } = await planned(small, { host: 190e6, devices: [] }, {}, "context");
    expect(fits(fitted)).toBe(true);
    const longer = fitted.plan.contextLength + 512;
    const next = await planned(small, { host: 190e6, devices: [] }, { contextLength: longer });
    expect(longer > 8192 || !fits(next.fitted)).toBe(true);
  });

  test("for a batch runs as many sequences as pay", async () => {
    const { fitted, machine } = await planned(
      small,
      { host: 8e9, devices: [4e9] },
      { contextLength: 512 },
      "batch",
    );
    const one = await planned(small, { host: 8e9, devices: [4e9] }, { contextLength: 512, sequences: 1 });
    expect(fitted.plan.sequences).toBeGreaterThan(1);
    const speed = (of: Fitted) => predict(of.models, of.placement, machine.facts).decodeTokensPerSecond;
    expect(speed(fitted)).toBeGreaterThan(speed(one.fitted));
  });
});

test("the search comes within two hundredths of trying everything", () => {
  const shape: Shape = { ...small, layers: 2, vocabulary: 2048 };
  const layout = layoutOf(sourceOfShape(shape));
  const device = deviceOf("CUDA0", 10, 8e9);
  // A model of two layers makes few steps: at the price of real ones, one hand-over more would weigh like a tensor.
  const facts = machineFacts([{ ...device, link: { ...device.link, crossingSeconds: 1e-6 } }]);
  const kvBytes = [1e6, 1e6, 0];
  const models = scored(
    costModels(
      layout,
      facts,
      { sequences: 1, microBatch: 512, contextLength: 2048, kvLayout: "separate", loadMode: "read" },
      "repacked",
      [488, 488, 0],
    ),
  );
  for (const capacity of [2e6, 3e6, 4e6, 5e6, 6e6, 7e6, 9e6]) {
    const problem: PlacementProblem = {
      ...{ layout, facts, models, kvBytes, alignments: [128], order: [0], pinned: new Map() },
      capacities: { host: 1e9, devices: [capacity] },
    };
    const best = exhaustive(problem);
    const found = bestPlacement(problem)!;
    expect(found.score).toBeLessThanOrEqual(best * 1.02);
  }
});

/**
 * The best score over every number of layers and every subset of feed-forward and output matrices; attention goes with
 * its KV cache, and norms with what they precede.
 */
function exhaustive(problem: PlacementProblem): number {
  const { layout } = problem;
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0; count <= layout.layers.length; count++) {
    const first = layout.layers.length - count;
    const free = layout.layers.flatMap((parts, layer) =>
      parts.flatMap((part, index) => {
        const isAttention = part.stage.startsWith("attention") && layer < layout.outputLayer;
        // The output is moved by name, and so stays where it is on the host's side.
        const isFixed = isAttention || (layer === layout.outputLayer && layer < first);
        return part.isMatrix && !isFixed ? [{ layer, index }] : [];
      }),
    );
    for (let subset = 0; subset < 1 << free.length; subset++) {
      const layers: Placement["layers"] = layout.layers.map((parts, layer) => ({
        on: layer >= first ? 0 : host,
        parts: parts.map(() => (layer >= first ? 0 : host)),
      }));
      for (const [bit, { layer, index }] of free.entries())
        layers[layer]!.parts[index] = subset & (1 << bit) ? 0 : host;
      for (const [layer, parts] of layout.layers.entries()) {
        for (const [index, part] of parts.entries()) {
          if (part.isMatrix) continue;
          const next = parts.findIndex((other, at) => at > index && other.isMatrix);
          if (next >= 0) layers[layer]!.parts[index] = layers[layer]!.parts[next]!;
        }
      }
      const { score, left } = judged(problem, { layers });
      if (left.every((bytes) => bytes >= 0)) best = Math.min(best, score);
    }
  }
  return best;
}
