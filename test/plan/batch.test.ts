import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { throughputOf } from "../../src/plan/batch.js";
import { CostModel } from "../../src/plan/cost.js";
import { fits } from "../../src/plan/fit.js";
import type { JobProfile } from "../../src/plan/job.js";
import { layoutOf } from "../../src/plan/layout.js";
import type { Plan } from "../../src/plan/plan.js";
import { streamFromRows } from "../../src/plan/plan.js";
import { solve } from "../../src/plan/solve.js";
import { deviceOf, machineFacts, machineOf, type Shape, sourceOfShape } from "./machines.js";

const dense: Shape = {
  ...{ layers: 12, hidden: 512, feedForward: 1536, heads: 8, kvHeads: 8, vocabulary: 8192 },
};
const mixture: Shape = { ...dense, feedForward: 512, experts: 64, expertsUsed: 4 };
const job: JobProfile = { promptTokens: 256, answerTokens: 64, longest: 512, requests: 10_000 };

interface Given {
  shape?: Shape;
  host: number;
  device?: number;
  /** Times as fast as the processor. */
  factor?: number;
  wishes?: Partial<Plan>;
  job?: JobProfile;
}

async function planned({ shape = dense, host, device, factor = 10, wishes = {}, job: jobGiven }: Given) {
  const devices = device === undefined ? [] : [deviceOf("CUDA0", factor, 8e9)];
  const budgets = { host, devices: device === undefined ? [] : [device] };
  const machine = machineOf(machineFacts(devices), budgets, devices.length ? {} : { modes: ["repacked"] });
  const layout = layoutOf(sourceOfShape(shape));
  const asked = { layout, machine, objective: "batch" as const, wishes, ...(jobGiven && { job: jobGiven }) };
  const solved = await solve(asked);
  return {
    plan: solved.fitted.plan,
    widthLimit: solved.widthLimit,
    fitted: solved.fitted,
    throughput: throughputOf(solved.fitted, machine),
  };
}

describe("a batch's plan", () => {
  test("keeps its budgets, and is never predicted much slower with more RAM", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 150e6, max: 600e6 }),
        fc.integer({ min: 0, max: 2e9 }),
        async (host, more) => {
          const less = await planned({ host, job });
          const roomier = await planned({ host: host + more, job });
          expect(fits(less.fitted) && fits(roomier.fitted)).toBe(true);
          // Fewer sequences win within two hundredths, and another cache from a tenth on.
          expect(roomier.throughput).toBeGreaterThanOrEqual(less.throughput * 0.9);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("has a context for the longest request, and no more sequences than requests", async () => {
    const { plan, widthLimit } = await planned({ host: 8e9, job: { ...job, requests: 5 } });
    expect(widthLimit).toEqual({ by: "requests", requests: 5 });
    expect(plan.contextLength).toBe(512);
    expect(plan.sequences).toBe(5);
  });

  test("says what ends its width", async () => {
    const cache = { kvTypeK: "f16", kvTypeV: "f16", kvLayout: "separate" } as const;
    const tight = await planned({ host: 180e6, wishes: cache, job });
    expect(tight.widthLimit).toMatchObject({ by: "memory" });
    expect(tight.plan.sequences).toBeGreaterThan(1);
    const next = (tight.widthLimit as { next: number }).next;
    expect(next).toBeGreaterThan(tight.plan.sequences);
    const wider = await planned({ host: 180e6, wishes: { ...cache, sequences: next }, job });
    // Where the number is the person's, nothing is given up for it but the budget.
    expect(fits(wider.fitted) && wider.plan.sequences === next).toBe(false);
    expect(
      (await planned({ host: 30e9, wishes: { ...cache, sequences: 3 }, job })).widthLimit,
    ).toBeUndefined();
    const roomy = await planned({ host: 30e9, job });
    expect(roomy.widthLimit?.by).toBe(roomy.plan.sequences === 256 ? "most" : "speed");
  });

  test("leaves what the person fixed", async () => {
    const wishes = { sequences: 3, kvTypeK: "f16", kvTypeV: "f16", contextLength: 1024 } as const;
    const { plan } = await planned({ host: 140e6, wishes, job });
    expect(plan).toMatchObject({ ...wishes, kvLayout: "separate" });
  });

  test("takes a coarser KV cache where that makes room for clearly faster batches", async () => {
    const uniform: JobProfile = { ...job, promptTokens: 400, answerTokens: 100, longest: 512 };
    const roomy = await planned({ host: 8e9, job: uniform });
    const tight = await planned({ host: 180e6, job: uniform });
    const fixed = await planned({ host: 180e6, job: uniform, wishes: { kvTypeK: "f16", kvTypeV: "f16" } });
    expect(roomy.plan.kvTypeK).toBe("f16");
    expect(tight.plan.kvTypeK).toBe("q8_0");
    expect(tight.plan.sequences).toBeGreaterThan(fixed.plan.sequences);
    expect(tight.throughput).toBeGreaterThan(1.1 * fixed.throughput);
  });

  test("shares one KV cache among all where one long request would make each sequence's too large", async () => {
    const uneven: JobProfile = { promptTokens: 60, answerTokens: 20, longest: 8192 };
    const wishes = { kvTypeK: "f16", kvTypeV: "f16" } as const;
    const { plan } = await planned({ host: 450e6, job: uneven, wishes });
    expect(plan.kvLayout).toBe("unified");
    expect(plan.contextLength).toBe(8192);
    expect(plan.kvCells).toBeGreaterThanOrEqual(8192);
    expect(plan.kvCells).toBeLessThan(8192 * plan.sequences);
  });

  test("makes batches large enough to be streamed to a device that computes far faster", async () => {
    // Large weights beside a small cache: the device has no room for them, but computes them at once.
    const wide: Shape = { ...dense, layers: 6, hidden: 2048, feedForward: 8192, kvHeads: 1 };
    const { plan, fitted } = await planned({
      shape: wide,
      host: 8e9,
      device: 120e6,
      factor: 50,
      job,
    });
    expect(plan.sequences).toBeGreaterThanOrEqual(streamFromRows);
    expect(plan.streamWeights).toBe(true);
    expect(fitted.models.decode.cost(fitted.placement).streamedBytes).toBeGreaterThan(0);
    const reading: JobProfile = { ...job, promptTokens: 480, answerTokens: 8 };
    const prompts = await planned({ shape: wide, host: 8e9, device: 120e6, factor: 50, job: reading });
    expect(prompts.plan.microBatch).toBeGreaterThan(512);
  });
});

test("streaming experts pays from larger batches on than streaming dense weights", () => {
  const device = deviceOf("CUDA0", 10, 8e9);
  const toDevice = { pageableBytesPerSecond: 3e9, pinnedBytesPerSecond: 6e9 };
  const facts = machineFacts([{ ...device, link: { ...device.link, toDevice } }]);
  const breakEven = (shape: Shape) => {
    const layout = layoutOf(sourceOfShape(shape));
    const layers = layout.layers.map((parts) => ({ on: -1, parts: parts.map(() => -1) }));
    const seconds = (rows: number, mode: "streamed" | "pinned") =>
      new CostModel(layout, facts, { rows, sequences: rows, outputs: rows, depth: 64 }, mode, []).cost({
        layers,
      }).seconds;
    for (let rows = streamFromRows; rows < 4096; rows += 8)
      if (seconds(rows, "streamed") < seconds(rows, "pinned")) return rows;
    return Number.POSITIVE_INFINITY;
  };
  const total = { ...mixture, feedForward: 1536 };
  expect(breakEven(total)).toBeGreaterThan(2 * breakEven(dense));
  expect(breakEven(total)).toBeLessThan(4096);
});
