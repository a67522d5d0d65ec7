import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJaugeError, type JaugeError } from "../../src/errors.js";
import type { ModelPlan } from "../../src/plan/model-plan.js";
import { kvTypes } from "../../src/plan/plan.js";
import {
  type Circumstances,
  readSavedPlan,
  refuseChanged,
  refuseContradiction,
  savePlan,
} from "../../src/plan/saved-plan.js";
import {
  gptOssOn64,
  llama3bOnCpu,
  llama70bOn32,
  llama70bOn64,
  llama70bOnTwoCards,
} from "../fixtures/plans/plans.js";

const folder = mkdtempSync(join(tmpdir(), "jauge-plan-"));
const path = join(folder, "plan.json");

async function failure(run: () => unknown): Promise<JaugeError> {
  try {
    await run();
  } catch (error) {
    if (isJaugeError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const bytes = fc.nat({ max: 2 ** 46 });
const some = fc.integer({ min: 1, max: 256 });
const positive = fc.double({ min: 0, max: 1e12, noNaN: true }).map((value) => value + 0);
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const absent = { requiredKeys: [] };
const weights = fc.record({
  attention: bytes,
  feedForward: bytes,
  experts: bytes,
  output: bytes,
  embedding: bytes,
  other: bytes,
});
const device = fc.record({
  name: text,
  kind: fc.constantFrom("gpu", "integrated-gpu", "accelerator", "host"),
  description: text,
  totalBytes: bytes,
  freeBytes: bytes,
  budgetBytes: bytes,
  plannedBytes: bytes,
  breakdown: fc.record({ weights: bytes, kv: bytes, compute: bytes, runtime: bytes }),
  weights,
});
const flashAttention = fc.constantFrom("auto", "on");
const loadMode = fc.constantFrom("auto", "mmap", "mlock", "direct", "read");
const engine = fc
  .tuple(
    fc.record({
      modelPath: text,
      gpuLayers: fc.integer({ min: -1, max: 1000 }),
      tensorOverrides: fc.array(fc.record({ pattern: fc.constantFrom("a", "^blk\\.1$"), placement: text })),
      contextLength: some,
      sequences: some,
      microBatch: some,
      kvLayout: fc.constantFrom("separate", "unified"),
      kvTypeK: fc.constantFrom(...kvTypes),
      kvTypeV: fc.constantFrom(...kvTypes),
      kvOffload: fc.boolean(),
      flashAttention,
      threads: some,
      threadsBatch: some,
      loadMode,
      adapters: fc.array(fc.record({ path: text, scale: positive })),
    }),
    fc.record(
      {
        devices: fc.array(text),
        tensorSplit: fc.array(positive),
        kvCells: some,
        hostMemory: fc.constantFrom("pinned", "repacked"),
        streamWeights: fc.boolean(),
        embeddings: fc.record({ pooling: fc.constantFrom("model", "none", "mean", "cls", "last", "rank") }),
        ropeFrequencyBase: positive,
        ropeFrequencyScale: positive,
        outputs: some,
      },
      absent,
    ),
  )
  .map(([required, optional]) => ({
    ...{ ...required, ...optional },
    // The micro-batch of embeddings divides into their sequences.
    ...(optional.embeddings && { sequences: 1 }),
  }));
const alternative = fc
  .tuple(
    fc.record({
      kind: fc.constantFrom(
        "context",
        "kv-type",
        "quantisation",
        "memory",
        "disk",
        "load-mode",
        "micro-batch",
      ),
      text,
    }),
    fc.record({ flags: text, bytesSaved: bytes }, absent),
  )
  .map(([required, optional]) => ({ ...required, ...optional }));
const anyPlan = fc.record({
  model: fc.record({
    source: text,
    name: text,
    architecture: text,
    parameters: bytes,
    bytes,
    layers: some,
    experts: some,
    expertsUsed: some,
    trainedContextLength: some,
    fileType: text,
    fingerprint: text,
  }),
  devices: fc.array(device, { maxLength: 3 }),
  host: device,
  placement: fc.array(fc.record({ tensor: text, bytes, on: text })),
  settings: fc.record({
    contextLength: some,
    sequences: some,
    microBatch: some,
    kvTypeK: text,
    kvTypeV: text,
    kvOn: fc.array(text),
    flashAttention,
    loadMode,
    threads: some,
    threadsBatch: some,
  }),
  predicted: fc.record({
    prefillTokensPerSecond: positive,
    decodeTokensPerSecond: positive,
    timeToFirstTokenMs: positive,
    limitedBy: text,
    explanation: text,
    decodeSeconds: fc.array(fc.record({ place: text, seconds: positive, bytesRead: bytes })),
  }),
  llamaCppFlags: text,
  fits: fc.boolean(),
  version: fc.constant(1),
  objective: fc.constantFrom("chat", "batch", "context"),
  hardware: fc.record({ name: text, origin: fc.constantFrom("measured", "profile", "assumed") }),
  exactness: fc.constantFrom("measured", "formula"),
  shortfalls: fc.array(
    fc.record({ device: text, neededBytes: bytes, budgetBytes: bytes, missingBytes: bytes }),
  ),
  alternatives: fc.array(alternative),
  warnings: fc.array(text),
  notes: fc.array(text),
  engine,
  libraryVersion: text,
}) as unknown as fc.Arbitrary<ModelPlan>;

describe("a saved plan", () => {
  it("comes back as it was saved, whatever it is, and leaves no other file", async () => {
    await fc.assert(
      fc.asyncProperty(anyPlan, async (plan) => {
        await savePlan(path, plan);
        expect(await readSavedPlan(path)).toEqual(plan);
      }),
      { numRuns: 60 },
    );
    for (const plan of [llama70bOn64(), llama70bOn32(), gptOssOn64(), llama3bOnCpu(), llama70bOnTwoCards()]) {
      await savePlan(path, plan);
      expect(await readSavedPlan(path)).toEqual(plan);
    }
    expect(readdirSync(folder)).toEqual(["plan.json"]);
  });

  const changed = (change: (plan: Record<string, object>) => void) => {
    const plan = JSON.parse(JSON.stringify(llama3bOnCpu()));
    change(plan);
    return JSON.stringify(plan);
  };
  it.each<[string, string, string]>([
    ["another value", "[]", "JSON"],
    ["another version", changed((plan) => Object.assign(plan, { version: 2 })), "version"],
    [
      "a negative size",
      changed((plan) => Object.assign(plan.host!, { budgetBytes: -1 })),
      "host.budgetBytes",
    ],
    [
      "a fraction of a byte",
      changed((plan) => Object.assign(plan.host!, { kind: "host", totalBytes: 0.5 })),
      "host.totalBytes",
    ],
    [
      "a field too few",
      changed((plan) => delete (plan.engine as { threads?: number }).threads),
      "engine.threads",
    ],
    ["a field too many", changed((plan) => Object.assign(plan.engine!, { threds: 1 })), "engine"],
    ["a wrong type", changed((plan) => Object.assign(plan, { fits: "yes" })), "fits"],
    [
      "a wrong place",
      changed((plan) => Object.assign((plan.placement as object[])[0]!, { on: 3 })),
      "placement.0.on",
    ],
    [
      "settings that the engine refuses",
      changed((plan) => Object.assign(plan.engine!, { sequences: 0 })),
      "engine.sequences",
    ],
    [
      "an unknown KV type",
      changed((plan) => Object.assign(plan.engine!, { kvTypeK: "q2_k" })),
      "engine.kvTypeK",
    ],
  ])("is refused with %s", async (_, content, field) => {
    writeFileSync(path, content);
    const error = await failure(() => readSavedPlan(path));
    expect(error.code).toBe("plan-file-invalid");
    expect(error.facts).toMatchObject({ path, field });
    expect(error.message).toContain(`${path}: ${field}: `);
    expect(error.fix).toContain("jauge plan");
  });

  it.each(["", "{", "no plan"])("is refused with %j, which is no JSON", async (content) => {
    writeFileSync(path, content);
    const error = await failure(() => readSavedPlan(path));
    expect(error).toMatchObject({ code: "json-invalid", facts: { source: path } });
  });

  const sound = (changes: Partial<ModelPlan> = {}): ModelPlan => {
    const plan = llama70bOn64();
    const bytes = plan.placement.reduce((sum, tensor) => sum + tensor.bytes, 0);
    return { ...plan, model: { ...plan.model, bytes }, ...changes };
  };
  const { placement, settings } = sound();

  it("that agrees with itself is sound", () => {
    refuseContradiction(sound(), path);
  });

  it.each<[string, Partial<ModelPlan>, string]>([
    [
      "a tensor on a device that it does not have",
      { placement: placement.with(3, { ...placement[3]!, on: "CUDA9" }) },
      "placement.3.on",
    ],
    [
      "a tensor of another size",
      { placement: placement.with(3, { ...placement[3]!, bytes: 1 }) },
      "placement",
    ],
    ["a tensor less", { placement: placement.slice(1) }, "placement"],
    ["other threads than the engine's", { settings: { ...settings, threads: 0 } }, "settings.threads"],
    [
      "another context than the engine's",
      { settings: { ...settings, contextLength: 1 } },
      "settings.contextLength",
    ],
  ])("is refused with %s", async (_, changes, field) => {
    const error = await failure(async () => refuseContradiction(sound(changes), path));
    expect(error).toMatchObject({ code: "plan-file-invalid", facts: { path, field } });
  });

  it("says which file cannot be read or written", async () => {
    const missing = join(folder, "none", "plan.json");
    expect((await failure(() => readSavedPlan(missing))).code).toBe("file-unreadable");
    expect((await failure(() => savePlan(missing, llama3bOnCpu()))).code).toBe("file-unwritable");
    expect((await failure(() => readSavedPlan(folder))).code).toBe("file-unreadable");
  });

  it("is readable JSON", async () => {
    await savePlan(path, llama3bOnCpu());
    expect(readFileSync(path, "utf8")).toMatch(/^\{\n {2}"model": \{\n/);
  });
});

describe("a saved plan that is used again", () => {
  const plan = llama70bOnTwoCards();
  const now: Circumstances = {
    fingerprint: plan.model.fingerprint,
    libraryVersion: plan.libraryVersion,
    devices: plan.devices.map(({ name, description, totalBytes }) => ({ name, description, totalBytes })),
  };
  const [first, second] = now.devices as [Circumstances["devices"][0], Circumstances["devices"][0]];
  const everywhere = { ...plan, engine: { ...plan.engine, devices: undefined } };
  const third = { name: "CUDA2", description: "another", totalBytes: 1 };

  it("holds where nothing changed, and where what it does not use changed", () => {
    refuseChanged(plan, now);
    refuseChanged(plan, { ...now, devices: [second, first, third] });
    refuseChanged({ ...plan, engine: { ...plan.engine, devices: ["CUDA1"] } }, { ...now, devices: [second] });
    refuseChanged(llama3bOnCpu(), { fingerprint: "0123456789abcdef", libraryVersion: "0.5.0", devices: [] });
  });

  it.each<[string, ModelPlan, Circumstances, RegExp]>([
    [
      "the model",
      plan,
      { ...now, fingerprint: "another" },
      /the model was "5a8f2c1e9b7d4036" and is "another"/,
    ],
    ["the version", plan, { ...now, libraryVersion: "0.6.0" }, /llama\.cpp was "0\.5\.0" and is "0\.6\.0"/],
    [
      "a device less",
      plan,
      { ...now, devices: [first] },
      /device CUDA1 was "NVIDIA GeForce RTX 4090, \d+ B" and is "not there"/,
    ],
    [
      "another card",
      plan,
      { ...now, devices: [{ ...first, description: "RTX 5060" }, second] },
      /CUDA0 was "NVIDIA GeForce RTX 3060, 12884901888 B" and is "RTX 5060, 12884901888 B"/,
    ],
    [
      "its memory",
      plan,
      { ...now, devices: [{ ...first, totalBytes: 8e9 }, second] },
      /and is ".* 8000000000 B"/,
    ],
    [
      "a device more, where the choice was left open",
      everywhere,
      { ...now, devices: [first, second, third] },
      /CUDA2 was "not there"/,
    ],
  ])("is refused when %s changed, with both values", async (_, saved, circumstances, message) => {
    const error = await failure(() => refuseChanged(saved, circumstances));
    expect(error.code).toBe("plan-changed");
    expect(error.message).toMatch(message);
  });
});
