import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import type { Plan } from "../../src/plan/plan.js";
import { greedyTokens, logitsOf, tokensOf } from "../oracles/plain.js";
import { prompts } from "../oracles/prompts.js";
import {
  clear,
  compute,
  continueWith,
  distance,
  openStories,
  runTogether,
  cpuTolerance as tolerance,
} from "./harness.js";

const count = 24;

let tokens: Int32Array[];
let expected: number[][];
let expectedLogits: Float32Array[];
beforeAll(async () => {
  tokens = await tokensOf(prompts);
  expected = await greedyTokens(prompts, count);
  expectedLogits = await logitsOf(prompts);
});

describe("one sequence on the CPU", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openStories();
  });

  it("gives the oracle's tokens and its very logits", async () => {
    for (const [index, prompt] of tokens.entries()) {
      await clear(engine);
      const found = await continueWith(engine, prompt, count);
      expect(found.tokens, prompts[index]).toEqual(expected[index]);
      expect(distance(found.logits[0]!, expectedLogits[index]!), prompts[index]).toBe(0);
    }
  });

  it.each([1, 3, 32, 100])("computes prompts in chunks of %i tokens", async (chunk) => {
    for (const [index, prompt] of tokens.entries()) {
      await clear(engine);
      const found = await continueWith(engine, prompt, count, { chunk });
      expect(found.tokens, prompts[index]).toEqual(expected[index]);
      expect(distance(found.logits[0]!, expectedLogits[index]!), prompts[index]).toBeLessThan(tolerance);
    }
  });

  it("gives the logits of any number of outputs, last token last", async () => {
    const prompt = tokens[5]!;
    await clear(engine);
    const outputs = 4;
    const choices = prompt.slice();
    const result = await compute(engine, { tokens: choices, outputs, mode: "replay", logits: true });
    const prefixes = Array.from({ length: outputs }, (_, index) =>
      prompt.slice(0, prompt.length - outputs + index + 1),
    );
    const oracle = await logitsOf(prefixes);
    result.logits![0]!.forEach((row, index) => {
      expect(distance(row, oracle[index]!)).toBeLessThan(tolerance);
    });
  });

  it("answers nothing where a run has no outputs", async () => {
    await clear(engine);
    const result = await compute(engine, { tokens: tokens[0]!, outputs: 0 });
    expect(result).toMatchObject({ status: "ok", chosen: [new Int32Array(0)], pieces: [] });
    expect(result.logits).toBeUndefined();
  });
});

const layouts: [name: string, settings: Partial<Plan>][] = [
  ["the CPU, a stream for each sequence", {}],
  ["the CPU, one unified cache", { kvLayout: "unified", kvCells: 2048 }],
  ["the CPU with 2 threads", { threads: 2, threadsBatch: 1 }],
  ["the CPU without flash attention", { flashAttention: "off" }],
  ["the CPU with an f32 cache and a mapped file", { kvTypeK: "f32", kvTypeV: "f32", loadMode: "mmap" }],
];

describe.each(layouts)("many sequences on %s", (_, settings) => {
  it("gives each sequence the oracle's tokens, whoever shares its micro-batches", async () => {
    const engine = await openStories({ sequences: prompts.length, ...settings });
    const found = await runTogether(engine, tokens, count);
    found.forEach(({ logits }, index) => {
      expect(distance(logits, expectedLogits[index]!), prompts[index]).toBeLessThan(tolerance);
    });
    found.forEach(({ chosen }, index) => {
      expect(chosen, prompts[index]).toEqual(expected[index]);
    });
    await engine.close();
  });
});
