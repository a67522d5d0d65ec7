import { beforeAll, describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import type { GenerationRequest, GenerationResult } from "../../src/executor/request.js";
import { killHost, observe, sampling, serve } from "./helpers.js";

// A generation that was left goes on from the tokens it had, and ends as if it had not been left. The KV cache is f32, as
// where a host is killed: what is read again is computed in other micro-batches than those that it was generated in.

const plan = { sequences: 8, microBatch: 32, kvTypeK: "f32", kvTypeV: "f32" } as const;

const asked: [text: string, request: Omit<GenerationRequest, "tokens">][] = [
  ["Once upon a time", { sampling: sampling({}) }],
  ["Lily and Tom went to the park. They", { sampling: sampling({ temperature: 0.9, seed: 1, topK: 40 }) }],
  ["The old cat", { sampling: sampling({ temperature: 0.8, seed: 2, mirostat: 2 }) }],
  ["One day", { sampling: sampling({ repeatPenalty: 1.3, frequencyPenalty: 0.2, penaltyLastN: 32 }) }],
  [
    "Choose:",
    { sampling: sampling({ temperature: 1, seed: 4, grammar: 'root ::= ("red " | "blue " | "green ")+' }) },
  ],
  ["the the the the the", { sampling: sampling({}), logprobs: 2 }],
];
const requests = asked.map(([text, request]) => [text, { maxTokens: 40, ...request }] as const);

let whole: GenerationResult[];
beforeAll(async () => {
  await using served = await serve(plan);
  whole = await all(served, () => ({}));
});

async function all(
  { engine, executor }: Awaited<ReturnType<typeof serve>>,
  more: (index: number) => Partial<GenerationRequest>,
): Promise<GenerationResult[]> {
  const prompts = await Promise.all(requests.map(([text]) => engine.tokenize(text)));
  const generations = requests.map(([, request], index) =>
    executor.submit({ tokens: prompts[index]!, ...request, ...more(index) }),
  );
  return Promise.all(generations.map(({ result }) => result));
}

function beginning(index: number, length: number): Partial<GenerationRequest> {
  const { tokens, logprobs } = whole[index]!;
  return {
    continueFrom: {
      tokens: Int32Array.from(tokens.slice(0, length)),
      ...(logprobs && { logprobs: logprobs.slice(0, length) }),
    },
  };
}

function expectWhole(results: readonly GenerationResult[]): void {
  for (const [index, { text, tokens, finishReason, logprobs }] of results.entries()) {
    const expected = whole[index]!;
    expect({ text, tokens, finishReason }).toEqual({
      text: expected.text,
      tokens: expected.tokens,
      finishReason: expected.finishReason,
    });
    expect(logprobs?.map(({ token }) => token)).toEqual(expected.logprobs?.map(({ token }) => token));
  }
}

it.each([1, 7, 39])("goes on behind %i tokens", async (length) => {
  await using served = await serve(plan);
  const results = await all(served, (index) => beginning(index, length));
  expectWhole(results);
  for (const { stats } of results) expect(stats.cachedPromptTokens).toBeLessThanOrEqual(stats.promptTokens);
});

it("needs no step where nothing is left to generate", async () => {
  await using served = await serve(plan);
  const steps = observe(served.engine);
  expectWhole(await all(served, (index) => beginning(index, whole[index]!.tokens.length)));
  expect(steps.length).toBe(0);
});

it("survives the death of its host", async () => {
  await using served = await serve(plan);
  observe(served.engine, (index) => {
    if (index === 0 || index === 5) killHost(served.engine);
  });
  expectWhole(await all(served, (index) => beginning(index, 12)));
  expect(served.engine.restarts).toBe(2);
});

it("ends at a stop string that the known tokens complete", async () => {
  await using served = await serve(plan);
  const tokens = await served.engine.tokenize(requests[0]![0]);
  const stop = [whole[0]!.text.slice(10, 16)];
  const request = { tokens, sampling: sampling({}), stop, ...beginning(0, 30) };
  const { text, finishReason } = await served.executor.submit(request).result;
  expect(text).toBe(whole[0]!.text.slice(0, whole[0]!.text.indexOf(stop[0]!)));
  expect(finishReason).toBe("stop");
});

it("shows what it has so far", async () => {
  await using served = await serve(plan);
  const tokens = await served.engine.tokenize(requests[5]![0]);
  const generation = served.executor.submit({ tokens, ...requests[5]![1] });
  for await (const _ of generation) {
    const { tokens: soFar, logprobs } = generation.soFar;
    expect([...soFar]).toEqual(whole[5]!.tokens.slice(0, soFar.length));
    expect(logprobs!.length).toBe(soFar.length);
  }
  expect([...generation.soFar.tokens]).toEqual(whole[5]!.tokens);
});

it("refuses tokens that the vocabulary does not have", async () => {
  await using served = await serve(plan);
  const continueFrom = { tokens: Int32Array.of(1, 512) };
  const request = { tokens: Int32Array.of(1), sampling: sampling({}), continueFrom };
  const error = await served.executor.submit(request).result.catch((thrown: unknown) => thrown);
  expect(isJaugeError(error, "token-unknown")).toBe(true);
});

describe("exact", () => {
  // f16: any other micro-batch would round differently, and be seen in the probabilities.
  const exact = { sequences: 1, microBatch: 32, contextLength: 512 };
  const request = { sampling: sampling({}), maxTokens: 60, logprobs: 3 };
  const text = "Lily and Tom went to the park. They saw a big dog and a small cat. ".repeat(3);

  async function generate(
    before: readonly string[],
    more: Partial<GenerationRequest> = {},
    killAt = -1,
  ): Promise<GenerationResult> {
    await using served = await serve(exact, { exact: true });
    for (const other of before) {
      const tokens = await served.engine.tokenize(other);
      await served.executor.submit({ tokens, ...request, maxTokens: 5 }).result;
    }
    observe(served.engine, (index) => {
      if (index === killAt) killHost(served.engine);
    });
    return await served.executor.submit({ tokens: await served.engine.tokenize(text), ...request, ...more })
      .result;
  }

  it("gives the same bits whatever ran before, whoever died and wherever it was left", async () => {
    const alone = await generate([]);
    const { tokens, logprobs } = alone;
    expect(tokens.length).toBe(60);
    const continueFrom = { tokens: Int32Array.from(tokens.slice(0, 25)), logprobs: logprobs!.slice(0, 25) };
    for (const other of [
      await generate([text.slice(0, 80), text]),
      await generate([], {}, 20),
      await generate([], { continueFrom }),
    ]) {
      expect(other.tokens).toEqual(tokens);
      expect(other.logprobs).toEqual(logprobs);
    }
  });
});
