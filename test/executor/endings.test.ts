import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import type { GenerationRequest } from "../../src/executor/request.js";
import { greedyTokens, tokensOf } from "../oracles/plain.js";
import { observe, type Served, sampling, serve, streamed, submitText } from "./helpers.js";

const prompt = "Once upon a time";
let served: Served;
let plain: { tokens: number[]; text: string };

beforeAll(async () => {
  served = await serve({ contextLength: 256 });
  const [tokens] = await greedyTokens([prompt], 40);
  plain = { tokens: tokens!, text: await served.engine.detokenize(Int32Array.from(tokens!)) };
});
afterAll(() => served[Symbol.asyncDispose]());

const never = sampling({ ignoreEndOfGeneration: true });

async function complete(request: Partial<Omit<GenerationRequest, "tokens">>, text = prompt) {
  return (await submitText(served, text, request)).result;
}

it("ends after maxTokens", async () => {
  for (const maxTokens of [1, 2, 17]) {
    const { tokens, finishReason, stats } = await complete({ maxTokens });
    expect(tokens).toEqual(plain.tokens.slice(0, maxTokens));
    expect(finishReason).toBe("length");
    expect(stats.generatedTokens).toBe(maxTokens);
  }
});

it("ends before a stop string, wherever tokens split it, and streams nothing of it", async () => {
  // Every stretch of the text: within a token, over two, over many.
  for (const [from, length] of [
    [3, 1],
    [10, 2],
    [20, 9],
    [31, 25],
  ] as const) {
    const stop = plain.text.slice(from, from + length);
    const generation = await submitText(served, prompt, { maxTokens: 40, stop: ["never there", stop] });
    const { text, finishReason } = await generation.result;
    expect(finishReason).toBe("stop");
    expect(text).toBe(plain.text.slice(0, plain.text.indexOf(stop)));
    expect(await streamed(generation)).toBe(text);
  }
});

it("ends before a stop token", async () => {
  const place = 9;
  const token = plain.tokens[place]!;
  const { tokens, finishReason } = await complete({ maxTokens: 40, stopTokens: [token] });
  expect(tokens).toEqual(plain.tokens.slice(0, plain.tokens.indexOf(token)));
  expect(finishReason).toBe("stop");
});

it("ends with the model's own end token, which is not part of the answer", async () => {
  const end = served.engine.info.model.tokens.eos;
  const { tokens, text, finishReason } = await complete({ sampling: sampling({ logitBias: [[end, 100]] }) });
  expect({ tokens, text, finishReason }).toEqual({ tokens: [], text: "", finishReason: "stop" });
});

it("ends when its time is over, with what it has", async () => {
  for (const timeLimitMs of [0, 1]) {
    const { tokens, finishReason } = await complete({ timeLimitMs, sampling: never });
    expect(finishReason).toBe("time");
    expect(tokens.slice(0, 40)).toEqual(plain.tokens.slice(0, tokens.length));
  }
});

it.each(["separate", "unified"] as const)("ends when the context is full (%s)", async (kvLayout) => {
  await using small = await serve({ contextLength: 64, sequences: 2, kvLayout });
  const { tokens, finishReason, stats } = await (await submitText(small, prompt, { sampling: never })).result;
  expect(finishReason).toBe("context");
  expect(stats.promptTokens + tokens.length).toBe(64);
});

it("ends as with a full context where a unified cache is smaller", async () => {
  await using small = await serve({ contextLength: 512, kvLayout: "unified", kvCells: 256, sequences: 4 });
  const { tokens, finishReason } = await (await submitText(small, prompt, { sampling: never })).result;
  expect(finishReason).toBe("context");
  expect(tokens.length).toBeGreaterThan(200);
});

describe("cancelled", () => {
  it.each(["cancel()", "an AbortSignal"])("before it began, by %s", async (how) => {
    const controller = new AbortController();
    if (how !== "cancel()") controller.abort();
    const tokens = await served.engine.tokenize(prompt);
    const { signal } = controller;
    const generation = served.executor.submit({ tokens, sampling: never, signal });
    generation.cancel();
    const { finishReason, tokens: none } = await generation.result;
    expect({ finishReason, none }).toEqual({ finishReason: "cancelled", none: [] });
    expect(await streamed(generation)).toBe("");
  });

  it("while it waits for a slot, without stopping the one that runs", async () => {
    await using one = await serve({ sequences: 1 });
    const running = await submitText(one, prompt, { maxTokens: 40 });
    const controller = new AbortController();
    const waiting = await submitText(one, "The cat", { signal: controller.signal });
    for await (const _ of running) break;
    expect(one.executor.load).toEqual({ running: 1, waiting: 1 });
    controller.abort();
    expect((await waiting.result).finishReason).toBe("cancelled");
    expect(one.executor.load.running).toBe(1);
    expect((await running.result).tokens).toEqual(plain.tokens);
  });

  it("in the middle of its prompt", async () => {
    await using slow = await serve({ microBatch: 8 });
    const generation = await submitText(slow, "He ran to the park. ".repeat(10));
    const steps = observe(slow.engine, (index) => {
      if (index === 3) generation.cancel();
    });
    const { finishReason, tokens } = await generation.result;
    expect({ finishReason, tokens }).toEqual({ finishReason: "cancelled", tokens: [] });
    expect(steps.length).toBe(4);
  });

  it.each(["cancel()", "an AbortSignal"])("by who iterates, by %s: the pieces are the text", async (how) => {
    const controller = new AbortController();
    const generation = await submitText(served, prompt, { sampling: never, signal: controller.signal });
    let text = "";
    let pieces = 0;
    for await (const piece of generation) {
      text += piece;
      if (++pieces !== 5) continue;
      if (how === "cancel()") generation.cancel();
      else controller.abort();
    }
    const result = await generation.result;
    expect(result.finishReason).toBe("cancelled");
    expect(text).toBe(result.text);
    expect(result.tokens.slice(0, 40)).toEqual(plain.tokens.slice(0, result.tokens.length));
  });

  it("after its end, which changes nothing", async () => {
    const generation = await submitText(served, prompt, { maxTokens: 3 });
    const result = await generation.result;
    generation.cancel();
    expect(await generation.result).toBe(result);
    expect(await streamed(generation)).toBe(result.text);
  });
});

it("lets several read one text, from its beginning each", async () => {
  const generation = await submitText(served, prompt, { maxTokens: 20 });
  const [one, other] = await Promise.all([streamed(generation), streamed(generation)]);
  const { text } = await generation.result;
  expect([one, other, await streamed(generation)]).toEqual([text, text, text]);
});

describe("refused alone, while others go on", () => {
  it.each([
    ["an empty prompt", new Int32Array(0), sampling({}), "prompt-empty"],
    ["a prompt as long as the context", new Int32Array(256).fill(300), sampling({}), "request-too-long"],
    ["a grammar that is none", Int32Array.of(1), sampling({ grammar: "root ::= (" }), "grammar-invalid"],
  ] as const)("%s", async (_, tokens, settings, code) => {
    const other = await submitText(served, prompt, { maxTokens: 40 });
    const refused = served.executor.submit({ tokens, sampling: settings });
    const error = await refused.result.catch((reason: unknown) => reason);
    expect(isJaugeError(error, code)).toBe(true);
    await expect(streamed(refused)).rejects.toBe(error);
    expect((await other.result).tokens).toEqual(plain.tokens);
  });
});

it("takes the longest prompt that leaves room for a token", async () => {
  const [tokens] = await tokensOf(["a ".repeat(400)]);
  const { finishReason, tokens: answer } = await served.executor.submit({
    tokens: Int32Array.from(tokens!.slice(0, 255)),
    sampling: never,
  }).result;
  expect(finishReason).toBe("context");
  expect(answer.length).toBe(1);
});

it("on close ends what runs, waits and is being prepared, and takes no more", async () => {
  await using closing = await serve({ sequences: 1 });
  const running = await submitText(closing, prompt, { sampling: never });
  const waiting = await submitText(closing, prompt, { sampling: never });
  for await (const _ of running) break;
  const preparing = await submitText(closing, prompt, { sampling: sampling({ temperature: 1 }) });
  await closing.executor.close();
  const results = await Promise.all([running.result, waiting.result, preparing.result]);
  expect(results.map(({ finishReason }) => finishReason)).toEqual(["cancelled", "cancelled", "cancelled"]);
  expect(results[0]!.tokens.length).toBeGreaterThan(0);
  const late = await submitText(closing, prompt);
  await expect(late.result).rejects.toMatchObject({ code: "host-closed" });
});

it("reports logprobs of the tokens it chose, the most probable first", async () => {
  const { logprobs, tokens } = await complete({ maxTokens: 6, logprobs: 3 });
  expect(logprobs!.map(({ token }) => token)).toEqual(tokens);
  for (const { token, logprob, top } of logprobs!) {
    expect(top[0]).toEqual({ token, logprob });
    expect(top.map((entry) => entry.logprob)).toEqual(
      top.map((entry) => entry.logprob).toSorted((a, b) => b - a),
    );
  }
});
