import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Backend } from "../../src/engine/native/libraries.js";
import type { GenerationResult } from "../../src/executor/request.js";
import { StepTiming } from "../../src/executor/timing.js";
import { greedyTokens, tokensOf } from "../oracles/plain.js";
import { prompts } from "../oracles/prompts.js";
import { completeAll, expectGreedy, killHost, observe, type Served, serve } from "./helpers.js";

// Every prompt of the fixed set, run in every way there is, gives the tokens of a plain libllama loop with one
// sequence. Where micro-batches of another size round differently, see `logitTolerance`.

const count = 48;
const endOfText = 2;
let tokens: Int32Array[];
let plain: number[][];

beforeAll(async () => {
  [tokens, plain] = await Promise.all([tokensOf(prompts), greedyTokens(prompts, count)]);
  plain = plain.map(untilEnd);
});

afterEach(() => vi.restoreAllMocks());

function untilEnd(tokens: number[]): number[] {
  const end = tokens.indexOf(endOfText);
  return end < 0 ? tokens : tokens.slice(0, end);
}

async function expectPlainTokens(served: Served, texts: readonly string[] = prompts): Promise<void> {
  const results = await completeAll(served, texts, { maxTokens: count });
  const indices = texts.map((text) => prompts.indexOf(text));
  await expectGreedy(
    indices.map((index) => tokens[index]!),
    results.map((result) => result.tokens),
    indices.map((index) => plain[index]!),
  );
}

const layouts = ["separate", "unified"] as const;

describe.each(layouts)("%s KV cache", (kvLayout) => {
  it("one sequence, one prompt after another", async () => {
    await using served = await serve({ kvLayout, sequences: 1 }, { speculation: false });
    for (const prompt of prompts) await expectPlainTokens(served, [prompt]);
  });

  it("32 at once, more than there are prompts", async () => {
    await using served = await serve({ kvLayout, sequences: 32 }, { speculation: false });
    const steps = observe(served.engine);
    await expectPlainTokens(
      served,
      Array.from({ length: 40 }, (_, index) => prompts[index % prompts.length]!),
    );
    expect(Math.max(...steps.map(({ runs }) => runs.length))).toBe(32);
  });

  it("sharing: prompts that were just there are found in the cache", async () => {
    await using served = await serve({ kvLayout, sequences: 16 }, { speculation: false });
    for (const prompt of prompts) await expectPlainTokens(served, [prompt]);
    const results = await completeAll(served, prompts, { maxTokens: count });
    results.forEach(({ stats }, index) => {
      // A token or two that every prompt begins with may come from anywhere, or be computed again.
      const { length } = tokens[index]!;
      if (length > 4) expect(stats.cachedPromptTokens).toBe(length - 1);
    });
    await expectGreedy(
      tokens,
      results.map((result) => result.tokens),
      plain,
    );
  });

  it("speculation", async () => {
    // As on a machine where a step takes as long however many tokens it verifies: guessing always pays.
    vi.spyOn(StepTiming.prototype, "decodeMsFor").mockReturnValue(1);
    await using served = await serve({ kvLayout, sequences: 2 });
    const results: GenerationResult[] = [];
    for (const prompt of prompts)
      results.push(...(await completeAll(served, [prompt], { maxTokens: count })));
    const total = (key: "speculatedTokens" | "acceptedTokens") =>
      results.reduce((sum, { stats }) => sum + stats[key], 0);
    expect(total("speculatedTokens")).toBeGreaterThan(50);
    expect(total("acceptedTokens")).toBeGreaterThan(20);
    await expectGreedy(
      tokens,
      results.map((result) => result.tokens),
      plain,
    );
  });

  it("a host killed every few steps", async () => {
    await using served = await serve({ kvLayout, sequences: 16, microBatch: 64 });
    observe(served.engine, (index) => {
      if (index % 20 === 5) killHost(served.engine);
    });
    await expectPlainTokens(served);
    expect(served.engine.restarts).toBeGreaterThan(1);
  });
});

it("pre-emption: a unified cache that overflows", async () => {
  await using served = await serve({ kvLayout: "unified", sequences: 16, kvCells: 640, microBatch: 64 });
  const steps = observe(served.engine);
  await expectPlainTokens(served);
  expect(steps.some(({ result }) => result?.status === "full")).toBe(true);
});

describe("a GPU", () => {
  // llvmpipe takes a tenth of a second for a token.
  const few = 3;
  const backend: Backend = "vulkan";
  let expected: number[][];

  beforeAll(async () => {
    expected = (await greedyTokens(prompts, few, { backend })).map(untilEnd);
  });

  async function expectVulkanTokens(served: Served, texts: readonly string[]): Promise<void> {
    const device = served.engine.info.memory.find((use) => use.device === "Vulkan0");
    expect(device?.weightsBytes).toBeGreaterThan(0);
    const indices = texts.map((text) => prompts.indexOf(text));
    const results = await completeAll(served, texts, { maxTokens: few });
    await expectGreedy(
      indices.map((index) => tokens[index]!),
      results.map((result) => result.tokens),
      indices.map((index) => expected[index]!),
    );
  }

  it("every prompt, 32 at once, separate KV cache", async () => {
    await using served = await serve({ sequences: 32, microBatch: 128 }, { backend });
    const steps = observe(served.engine);
    const short = Array.from({ length: 20 }, (_, index) => prompts[index % 5]!);
    await expectVulkanTokens(served, [...prompts, ...short]);
    expect(Math.max(...steps.map(({ runs }) => runs.length))).toBeGreaterThan(16);
  });

  it("unified KV cache", async () => {
    await using served = await serve({ kvLayout: "unified", sequences: 6 }, { backend });
    await expectVulkanTokens(served, prompts.slice(0, 6));
  });

  it("a killed host", async () => {
    await using served = await serve({ sequences: 4 }, { backend });
    observe(served.engine, (index) => {
      if (index === 2) killHost(served.engine);
    });
    await expectVulkanTokens(served, prompts.slice(3, 7));
    expect(served.engine.restarts).toBeGreaterThan(0);
  });
});
