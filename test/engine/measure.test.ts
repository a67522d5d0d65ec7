import { beforeAll, describe, expect, it, vi } from "vitest";
import { type EngineOptions, measure } from "../../src/engine/engine.js";
import type { MemoryUse } from "../../src/engine/protocol.js";
import { readModel } from "../../src/gguf/model-file.js";
import { outlineOf } from "../../src/gguf/outline.js";
import { kvBytesEstimate } from "../../src/plan/estimate.js";
import type { Plan } from "../../src/plan/plan.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { cpu, failure, hasVulkan, openStories, storiesPlan, vulkan } from "./harness.js";
import { writeRandomModel } from "./models.js";

vi.setConfig({ testTimeout: 300_000 });
const temporary = temporaryFolder();
/** Heads of 32, so that every KV cache type fits. */
let modelPath: string;
beforeAll(async () => {
  modelPath = temporary.path("random.gguf");
  await writeRandomModel(modelPath);
});

const shapes: [name: string, settings: Partial<Plan>][] = [
  ["one sequence", {}],
  ["a long context and a small micro-batch", { contextLength: 3000, microBatch: 64 }],
  ["8 sequences in streams", { sequences: 8, contextLength: 300 }],
  ["8 sequences in one cache", { sequences: 8, kvLayout: "unified", kvCells: 1024 }],
  ["a q8_0 cache", { kvTypeK: "q8_0", kvTypeV: "q8_0", flashAttention: "on" }],
  ["a mixed cache", { kvTypeK: "f32", kvTypeV: "q4_0", sequences: 3, contextLength: 700 }],
  ["no flash attention", { flashAttention: "off" }],
  ["many outputs", { outputs: 256, sequences: 4 }],
];
const gpuShapes: typeof shapes = [
  ["2 layers", { gpuLayers: 2 }],
  ["no layer", { gpuLayers: 0 }],
  ["the cache on the host", { kvOffload: false }],
  ["tensors on the host", { tensorOverrides: [{ pattern: "ffn_(up|down)", placement: "host" }] }],
  ["8 sequences in streams", { sequences: 8, contextLength: 300 }],
  ["a q8_0 cache", { kvTypeK: "q8_0", kvTypeV: "q8_0", flashAttention: "on" }],
];

describe("a dry run on the CPU", () => {
  it.each(shapes)("gives the bytes that are allocated then: %s", (_, settings) => holds(settings, cpu));
});

describe.runIf(hasVulkan)("a dry run on Vulkan", () => {
  it.each(gpuShapes)("gives the bytes that are allocated then: %s", (_, settings) => holds(settings, vulkan));
});

describe("a dry run", () => {
  it("has the weights of the file and the KV cache that the header lets expect", async () => {
    const model = await readModel(modelPath);
    for (const [, settings] of shapes) {
      const plan = storiesPlan({ modelPath, contextLength: 512, ...settings });
      const [host] = await measure(plan, cpu);
      const tensorBytes = model.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
      expect(host!.weightsBytes).toBeGreaterThanOrEqual(tensorBytes);
      expect(host!.weightsBytes).toBeLessThan(tensorBytes + 64 * model.tensors.length);
      // libllama rounds a sequence's cells up to 256.
      const cells = (count: number) => Math.ceil(count / 256) * 256;
      const rounded = { ...plan, contextLength: cells(plan.contextLength) };
      if (plan.kvCells !== undefined) rounded.kvCells = cells(plan.kvCells);
      expect(host!.kvBytes).toBe(kvBytesEstimate(rounded, outlineOf(model)));
    }
  });

  it("ends with the error that the load would end with", async () => {
    expect(await failure(measure(storiesPlan({ modelPath: temporary.path("none") }), cpu))).toMatchObject({
      code: "model-load-failed",
    });
    expect(await failure(measure(storiesPlan({ devices: ["Vulkan7"] }), cpu))).toMatchObject({
      code: "device-unknown",
    });
    expect(await failure(measure(storiesPlan({ sequences: 0 }), cpu))).toMatchObject({
      code: "plan-invalid",
    });
  });
});

async function holds(settings: Partial<Plan>, options: EngineOptions): Promise<void> {
  const plan = { modelPath, contextLength: 512, ...settings };
  const measured = await measure(storiesPlan(plan), options);
  const engine = await openStories(plan, options);
  expect(sorted(measured)).toEqual(sorted(engine.info.memory));
  expect(sorted(await engine.memory())).toEqual(sorted(measured));
  expect(measured.reduce((sum, { weightsBytes }) => sum + weightsBytes, 0)).toBeGreaterThan(0);
  await engine.close();
}

function sorted(uses: MemoryUse[]): MemoryUse[] {
  return uses
    .filter((use) => use.weightsBytes + use.kvBytes + use.computeBytes > 0)
    .sort((a, b) => a.device.localeCompare(b.device));
}
