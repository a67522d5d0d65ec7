import { expect, test } from "vitest";
import { estimatedEnergy } from "../../src/batch/energy.js";
import { estimateOf, measureLines } from "../../src/batch/estimate.js";
import { profileOfLines } from "../../src/batch/profile.js";
import type { BatchItem } from "../../src/batch/request.js";
import type { PowerFacts } from "../../src/hardware/facts.js";
import type { ModelPlan, PlannedDevice } from "../../src/plan/model-plan.js";

function planOf(
  devices: { name: string; kind?: PlannedDevice["kind"]; power?: PowerFacts }[],
  host: { power?: PowerFacts },
  seconds: Record<string, number>,
): ModelPlan {
  const decodeSeconds = Object.entries(seconds).map(([place, value]) => ({ place, seconds: value }));
  return {
    devices: devices.map((device) => ({ kind: "gpu", ...device })),
    host: { name: "host", kind: "host", ...host },
    predicted: { decodeSeconds },
  } as unknown as ModelPlan;
}

const measured = (watts: number): PowerFacts => ({ watts, basis: "measured" });
const cpu = { power: { watts: 65, basis: "limit" } } as const;

test("each processor that computes draws its power all the time; one that idles does not count", () => {
  const both = planOf([{ name: "CUDA0", power: measured(200) }], cpu, {
    CUDA0: 0.01,
    host: 0.02,
    link: 0.001,
  });
  expect(estimatedEnergy(both, 100)).toEqual({
    joules: 26_500,
    drawn: [
      { place: "CUDA0", watts: 200, basis: "measured" },
      { place: "host", watts: 65, basis: "limit" },
    ],
    unknown: [],
  });
  const one = planOf([{ name: "CUDA0", power: measured(200) }], cpu, { CUDA0: 0.01, host: 0.0001 });
  expect(estimatedEnergy(one, 100)!.joules).toBe(20_000);
});

test("what nothing tells is named, and nothing at all is no estimate", () => {
  const half = planOf([{ name: "Vulkan0" }], cpu, { Vulkan0: 0.01, host: 0.02 });
  expect(estimatedEnergy(half, 10)).toMatchObject({ joules: 650, unknown: ["Vulkan0"] });
  expect(estimatedEnergy(planOf([{ name: "Vulkan0" }], {}, { Vulkan0: 1 }), 10)).toBeUndefined();
});

test("graphics within the processor's package are in its power", () => {
  const devices = [{ name: "Vulkan0", kind: "integrated-gpu" as const, power: measured(30) }];
  expect(estimatedEnergy(planOf(devices, cpu, { Vulkan0: 1 }), 10)).toMatchObject({
    joules: 650,
    unknown: [],
  });
  expect(estimatedEnergy(planOf(devices, {}, { Vulkan0: 1 }), 10)).toMatchObject({ joules: 300 });
});

test("a text to embed is as long as itself, not as its line", async () => {
  const item: BatchItem = {
    ...{ number: 1, customId: "a" },
    request: { kind: "embedding", input: ["a b", "a b c d", "a"], encoding: "float" },
  };
  const tokenize = async (text: string) => new Int32Array(text.split(" ").length);
  const options = { defaults: {}, expectedTokens: 5 };
  const items = async function* () {
    yield item;
  };
  expect(estimateOf(await measureLines(items(), tokenize, options))).toMatchObject({
    ...{ isEmbedding: true, promptTokens: 7, outputTokens: 0, longestTokens: 4 },
  });
});

test("an answer is no longer than its context leaves it", async () => {
  const items = async function* () {
    for (const [number, prompt] of ["a b c d", "a b", "a b c d e f g h i j k"].entries())
      yield { number, customId: prompt, request: { kind: "completion" as const, prompt, options: {} } };
  };
  const tokenize = async (text: string) => new Int32Array(text.split(" ").length);
  const options = { defaults: { maxTokens: 100_000 }, expectedTokens: 5 };
  const measured = await measureLines(items(), tokenize, options);
  expect(estimateOf(measured, 10)).toMatchObject({
    outputTokens: 6 + 8,
    longestTokens: 11,
    areLimited: true,
  });
  expect(estimateOf(measured).outputTokens).toBe(300_000);
});

test("a job of embeddings answers nothing", () => {
  const lines = {
    ...{
      lines: 12,
      badLines: 1,
      otherKindLines: 1,
      sampledLines: 10,
      requests: 10,
      isEmbedding: true,
      areLimited: true,
    },
    ...{ promptTokens: 500, outputTokens: 0, sharedTokens: 0, longestTokens: 80 },
  };
  expect(profileOfLines(lines, true)).toEqual({
    promptTokens: 50,
    answerTokens: 0,
    longest: 152,
    requests: 10,
  });
});
