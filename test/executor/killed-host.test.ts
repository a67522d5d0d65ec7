import { beforeAll, describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import type { Generation, GenerationRequest, GenerationResult } from "../../src/executor/request.js";
import { killHost, observe, type Served, sampling, serve, streamed } from "./helpers.js";

// Running sequences outlive their host: a new one goes on where the old one was killed, and every text is the one it
// would have been. The KV cache is f32 here: replayed micro-batches are of other sizes than those that they
// repeat, and rounding them to f16 would part texts at near ties.

const plan = { sequences: 8, microBatch: 32, kvTypeK: "f32", kvTypeV: "f32" } as const;

type Asked = Omit<GenerationRequest, "tokens">;
const asked: [text: string, request: Asked][] = [
  ["Once upon a time", { sampling: sampling({}) }],
  ["Lily and Tom went to the park. They", { sampling: sampling({ temperature: 0.9, seed: 1, topK: 40 }) }],
  ["The old cat", { sampling: sampling({ temperature: 0.8, seed: 2, mirostat: 2 }) }],
  ["One day", { sampling: sampling({ repeatPenalty: 1.3, frequencyPenalty: 0.2, penaltyLastN: 32 }) }],
  [
    "There was a dog",
    { sampling: sampling({ temperature: 1, seed: 3, xtcProbability: 0.5, xtcThreshold: 0.05 }) },
  ],
  [
    "Choose:",
    { sampling: sampling({ temperature: 1, seed: 4, grammar: 'root ::= ("red " | "blue " | "green ")+' }) },
  ],
  ["Once upon a time", { sampling: sampling({ temperature: 1.2, seed: 5, dryMultiplier: 0.8, minP: 0.1 }) }],
  ["the the the the the", { sampling: sampling({}), logprobs: 2 }],
];
const requests = asked.map(([text, request]): [string, Asked] => [text, { maxTokens: 40, ...request }]);

let undisturbed: GenerationResult[];

async function submitAll({ engine, executor }: Served): Promise<Generation[]> {
  const prompts = await Promise.all(requests.map(([text]) => engine.tokenize(text)));
  return requests.map(([, request], index) => executor.submit({ tokens: prompts[index]!, ...request }));
}

async function expectUndisturbed(generations: Generation[]): Promise<void> {
  const pieces = generations.map(streamed);
  for (const [index, { result }] of generations.entries()) {
    const { text, tokens, finishReason, logprobs } = await result;
    const expected = undisturbed[index]!;
    expect({ text, tokens, finishReason }).toEqual({
      text: expected.text,
      tokens: expected.tokens,
      finishReason: expected.finishReason,
    });
    expect(await pieces[index]).toBe(text);
    expect(logprobs?.map(({ token }) => token)).toEqual(expected.logprobs?.map(({ token }) => token));
  }
}

beforeAll(async () => {
  await using served = await serve(plan);
  const generations = await submitAll(served);
  undisturbed = await Promise.all(generations.map(({ result }) => result));
  expect(undisturbed.every(({ tokens }) => tokens.length > 20)).toBe(true);
});

it.each([1, 9, 50, 150])("killed when %i pieces have been streamed", async (pieces) => {
  await using served = await serve(plan);
  const generations = await submitAll(served);
  let seen = 0;
  const watching = generations.map(async (generation) => {
    for await (const _ of generation) if (++seen === pieces) killHost(served.engine);
  });
  await expectUndisturbed(generations);
  await Promise.all(watching);
  expect(served.engine.restarts).toBe(1);
});

describe.each(["separate", "unified"] as const)("%s KV cache", (kvLayout) => {
  it.each([
    ["in the first prefill", [0]],
    ["twice in a row, the second time in the replay", [12, 13]],
    ["three times while replays go on", [20, 22, 24]],
    ["early and late", [3, 38]],
  ])("killed in a step: %s", async (_, moments) => {
    await using served = await serve({ ...plan, kvLayout });
    // The answer of a step may be on its way already: the next one to be killed is a host that was started anew.
    let kills = 0;
    observe(served.engine, (index) => {
      if (kills !== served.engine.restarts || index < (moments[kills] ?? Number.POSITIVE_INFINITY)) return;
      kills++;
      killHost(served.engine);
    });
    await expectUndisturbed(await submitAll(served));
    expect(served.engine.restarts).toBe(moments.length);
  });
});

it("killed while the cache overflows and sequences are pre-empted", async () => {
  await using served = await serve({ ...plan, kvLayout: "unified", kvCells: 256 });
  const steps = observe(served.engine, (index) => {
    if (index === 25 || index === 45) killHost(served.engine);
  });
  await expectUndisturbed(await submitAll(served));
  expect(served.engine.restarts).toBe(2);
  expect(steps.some(({ result }) => result?.status === "full")).toBe(true);
});

it("killed while requests wait for a slot", async () => {
  await using served = await serve({ ...plan, sequences: 2 });
  observe(served.engine, (index) => {
    if (index === 10) {
      expect(served.executor.load).toEqual({ running: 2, waiting: 6 });
      killHost(served.engine);
    }
  });
  await expectUndisturbed(await submitAll(served));
  expect(served.engine.restarts).toBe(1);
});

it("killed while it was idle", async () => {
  await using served = await serve(plan);
  await expectUndisturbed(await submitAll(served));
  killHost(served.engine);
  await expectUndisturbed(await submitAll(served));
  expect(served.engine.restarts).toBe(1);
});

it("fails what runs when the host dies with every step, and serves again after", async () => {
  await using served = await serve(plan);
  let kills = true;
  observe(served.engine, () => {
    if (kills) killHost(served.engine);
  });
  const generations = await submitAll(served);
  const errors = await Promise.all(generations.map(({ result }) => result.catch((error: unknown) => error)));
  for (const error of errors) expect(isJaugeError(error, "host-crashed")).toBe(true);
  expect(served.executor.load).toEqual({ running: 0, waiting: 0 });
  kills = false;
  await expectUndisturbed(await submitAll(served));
});
