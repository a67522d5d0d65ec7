import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { defaultSampling } from "../../src/engine/sampling.js";
import { clear, compute, openStories, sampler } from "./harness.js";

let engine: Engine;
let prompt: Int32Array;
beforeAll(async () => {
  engine = await openStories({ outputs: 64 });
  prompt = await engine.tokenize("Once upon a time, there was a little girl");
});

describe("logprobs", () => {
  it("are those of the logits; the probabilities of all tokens add up to 1", async () => {
    await clear(engine);
    const { logprobs, logits, chosen } = await compute(engine, {
      tokens: prompt,
      logprobs: 512,
      logits: true,
    });
    const [found] = logprobs![0]!;
    const [row] = logits![0]!;
    expect(found!.token).toBe(chosen[0]![0]);
    expect(found!.top).toHaveLength(512);
    expect(new Set(found!.top.map(({ token }) => token)).size).toBe(512);
    const sum = found!.top.reduce((total, { logprob }) => total + Math.exp(logprob), 0);
    expect(sum).toBeCloseTo(1, 9);
    const offset = found!.logprob - row![found!.token]!;
    for (const { token, logprob } of found!.top) expect(logprob - row![token]!).toBeCloseTo(offset, 9);
    for (const [index, { logprob }] of found!.top.entries())
      expect(logprob).toBeLessThanOrEqual(found!.top[index - 1]?.logprob ?? 0);
  });

  it("say what the model thought of a token that a sampler chose", async () => {
    const fresh = await openStories();
    const id = await sampler(fresh, { ...defaultSampling, logitBias: [[300, 100]], seed: 1 });
    const result = await compute(fresh, { tokens: prompt, sampler: id, logprobs: 2 });
    const [found] = result.logprobs![0]!;
    expect([...result.chosen[0]!]).toEqual([300]);
    expect(found).toMatchObject({ token: 300 });
    expect(found!.logprob).toBeLessThan(found!.top[1]!.logprob);
    const introduced = result.pieces.map(({ token }) => token);
    expect(introduced).toEqual(expect.arrayContaining([300, ...found!.top.map(({ token }) => token)]));
  });

  it("come for every output, or for the chosen token alone", async () => {
    await clear(engine);
    const result = await compute(engine, { tokens: prompt, outputs: 5, mode: "replay", logprobs: 0 });
    expect(result.logprobs![0]).toHaveLength(5);
    for (const [index, { token, top, logprob }] of result.logprobs![0]!.entries()) {
      expect(token).toBe(result.chosen[0]![index]);
      expect(top).toEqual([]);
      expect(logprob).toBeLessThanOrEqual(0);
    }
  });

  it("belong to the run that asked for them", async () => {
    const two = await openStories({ sequences: 2 });
    const run = { position: 0, outputs: 1, mode: "verify" as const };
    const { logprobs, logits } = await two.step({
      memory: [],
      freeSamplers: [],
      runs: [
        { ...run, sequence: 0, tokens: prompt, logits: true },
        { ...run, sequence: 1, tokens: prompt.slice(0, 4), logprobs: 1 },
      ],
    });
    expect(logprobs).toHaveLength(2);
    expect(logprobs![0]).toBeUndefined();
    expect(logprobs![1]).toHaveLength(1);
    expect(logits![0]).toHaveLength(1);
    expect(logits![1]).toBeUndefined();
  });
});
