import fc from "fast-check";
import { afterEach, expect, it, vi } from "vitest";
import { greedy } from "../../src/engine/sampling.js";
import { Executor } from "../../src/executor/executor.js";
import type { Generation, GenerationRequest, Priority } from "../../src/executor/request.js";
import { StepTiming } from "../../src/executor/timing.js";
import { ArithmeticEngine, type ArithmeticOptions, expectedTokens } from "./arithmetic-engine.js";

// The executor over an engine that is plain arithmetic and checks every step it is asked for: whatever comes when,
// each answer is the one that its request has by itself, and the executor comes to an end.

interface Arrival {
  request: GenerationRequest;
  /** The step at which it comes. */
  at: number;
  /** Cancelled so many steps later. */
  cancelAfter: number | undefined;
}

const stems = [3, 7, 11].map((start) =>
  Array.from({ length: 60 }, (_, index) => 1 + ((start * (index + 3)) % 20)),
);

const requests = fc.record({
  stem: fc.constantFrom(...stems),
  shared: fc.nat(60),
  own: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }),
  maxTokens: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
  seed: fc.option(fc.nat(1000), { nil: undefined }),
  priority: fc.constantFrom<Priority>("interactive", "normal", "batch"),
});

const arrivals = fc
  .record({
    request: requests,
    at: fc.nat(40),
    cancelAfter: fc.option(fc.nat(20), { nil: undefined, freq: 6 }),
  })
  .map(({ request: { stem, shared, own, maxTokens, seed, priority }, at, cancelAfter }): Arrival => {
    const sampling = seed === undefined ? greedy : { ...greedy, temperature: 1, seed };
    const tokens = Int32Array.from([...stem.slice(0, shared), ...own]);
    const request = { tokens, sampling, priority, ...(maxTokens !== undefined && { maxTokens }) };
    return { request, at, cancelAfter };
  });

const engines = fc
  .record({
    sequences: fc.integer({ min: 1, max: 8 }),
    contextLength: fc.integer({ min: 90, max: 140 }),
    microBatch: fc.integer({ min: 2, max: 64 }),
    guesses: fc.nat(8),
    layout: fc.constantFrom("separate" as const, "unified" as const),
    cells: fc.integer({ min: 140, max: 400 }),
    recurrent: fc.constant(false),
  })
  .map(({ guesses, ...rest }) => ({ ...rest, outputs: rest.sequences * (1 + guesses) }));

afterEach(() => vi.restoreAllMocks());

async function simulate(
  options: ArithmeticOptions,
  coming: Arrival[],
  kills: number[] = [],
  speculation = true,
): Promise<{ engine: ArithmeticEngine; executor: Executor; generations: Generation[] }> {
  const due = coming.toSorted((a, b) => a.at - b.at);
  const cancels: { at: number; generation: Generation }[] = [];
  const generations = new Map<Arrival, Generation>();
  const submit = (arrival: Arrival, now: number) => {
    const generation = executor.submit(arrival.request);
    generations.set(arrival, generation);
    if (arrival.cancelAfter !== undefined) cancels.push({ at: now + arrival.cancelAfter, generation });
  };
  const tokens = coming.reduce((sum, { request }) => sum + request.tokens.length + 140, 0);
  const mostSteps = 100 + 4 * tokens;
  const engine = new ArithmeticEngine({
    ...options,
    onStep: (index) => {
      while (due.length > 0 && due[0]!.at <= index) submit(due.shift()!, index);
      for (const { at, generation } of cancels) if (at <= index) generation.cancel();
      if (kills.includes(index)) engine.kill();
      if (index > mostSteps) throw new Error(`no end after ${index} steps`);
    },
  });
  const executor = new Executor(engine.asEngine(), { speculation });
  while (due.length > 0) {
    submit(due.shift()!, engine.steps);
    await settled([...generations.values()]);
  }
  await settled([...generations.values()]);
  return { engine, executor, generations: coming.map((arrival) => generations.get(arrival)!) };
}

function settled(generations: Generation[]): Promise<unknown> {
  return Promise.all(generations.map(({ result }) => result));
}

async function expectOwnAnswers(
  { executor, generations }: Awaited<ReturnType<typeof simulate>>,
  coming: Arrival[],
): Promise<void> {
  for (const [index, { request, cancelAfter }] of coming.entries()) {
    const expected = expectedTokens(request, executor.contextLength);
    const { tokens, finishReason } = await generations[index]!.result;
    const cut = cancelAfter !== undefined || finishReason === "context";
    expect(tokens).toEqual(cut ? expected.slice(0, tokens.length) : expected);
    if (finishReason === "cancelled") expect(cancelAfter).toBeDefined();
  }
  expect(executor.load).toEqual({ running: 0, waiting: 0 });
}

it("gives every request its own answer", async () => {
  await fc.assert(
    fc.asyncProperty(
      engines,
      fc.array(arrivals, { minLength: 1, maxLength: 14 }),
      fc.array(fc.nat(80), { maxLength: 3 }),
      fc.boolean(),
      async (options, coming, kills, speculation) => {
        await expectOwnAnswers(await simulate(options, coming, kills, speculation), coming);
      },
    ),
    { numRuns: 300 },
  );
});

it("gives it where guessing always pays", async () => {
  vi.spyOn(StepTiming.prototype, "decodeMsFor").mockReturnValue(1);
  let speculated = 0;
  await fc.assert(
    fc.asyncProperty(
      engines,
      fc.array(arrivals, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(80), { maxLength: 2 }),
      async (options, coming, kills) => {
        const simulation = await simulate(options, coming, kills);
        await expectOwnAnswers(simulation, coming);
        for (const { result } of simulation.generations) speculated += (await result).stats.acceptedTokens;
      },
    ),
    { numRuns: 200 },
  );
  expect(speculated).toBeGreaterThan(100);
});

it("gives it where the state cannot be cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      engines,
      fc.array(arrivals, { minLength: 1, maxLength: 10 }),
      async (options, coming) => {
        const recurrent = { ...options, layout: "separate" as const, recurrent: true };
        await expectOwnAnswers(await simulate(recurrent, coming), coming);
      },
    ),
    { numRuns: 100 },
  );
});

it("comes to an end in a cache that overflows all the time", async () => {
  let fulls = 0;
  await fc.assert(
    fc.asyncProperty(
      engines,
      fc.array(arrivals, { minLength: 3, maxLength: 10 }),
      fc.array(fc.nat(80), { maxLength: 2 }),
      async (options, coming, kills) => {
        const tight = { ...options, layout: "unified" as const, cells: 100, sequences: 6, outputs: 12 };
        const simulation = await simulate(tight, coming, kills);
        await expectOwnAnswers(simulation, coming);
        fulls += simulation.engine.fulls;
      },
    ),
    { numRuns: 200 },
  );
  expect(fulls).toBeGreaterThan(200);
});

it("lets no running sequence wait while others get their tokens", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
      async (microBatch, lengths) => {
        const coming = lengths.map((length, index) => {
          const tokens = Int32Array.from({ length }, (_, place) => 1 + ((index + place) % 20));
          return { request: { tokens, sampling: greedy, maxTokens: 12 }, at: 0, cancelAfter: undefined };
        });
        const { engine } = await simulate(
          {
            sequences: 12,
            contextLength: 100,
            microBatch,
            outputs: 12,
            layout: "unified",
            cells: 1200,
            recurrent: false,
          },
          coming,
          [],
          false,
        );
        // No more run at once than a micro-batch has tokens for: who has begun is in every step until it ends.
        const slots = Math.min(12, microBatch);
        for (const ran of engine.ran) expect(ran.length).toBeLessThanOrEqual(slots);
        expect(Math.max(...engine.ran.flat())).toBeLessThan(slots);
      },
    ),
    { numRuns: 50 },
  );
});

it("continues a state that cannot be cut where all of it is shared, and waits for none", async () => {
  const options: ArithmeticOptions = {
    sequences: 4,
    contextLength: 200,
    microBatch: 64,
    outputs: 8,
    layout: "separate",
    cells: 0,
    recurrent: true,
  };
  const engine = new ArithmeticEngine(options);
  const executor = new Executor(engine.asEngine());
  const ask = (tokens: number[]) =>
    executor.submit({ tokens: Int32Array.from(tokens), sampling: greedy, maxTokens: 8 }).result;
  const prompt = stems[0]!;
  const [first] = await Promise.all([ask([...prompt, 1]), ask([...prompt, 2])]);
  expect(Math.max(...engine.ran.map(({ length }) => length))).toBe(2);
  const turn = [...prompt, 1, ...first.tokens, 5];
  expect((await ask(turn)).stats.cachedPromptTokens).toBeGreaterThanOrEqual(turn.length - 2);
});

it("fails what runs when a step fails for no known reason, and trusts nothing in the cache after", async () => {
  let fails = false;
  const engine = new ArithmeticEngine({
    sequences: 4,
    contextLength: 100,
    microBatch: 32,
    outputs: 8,
    layout: "separate",
    cells: 0,
    recurrent: false,
    onStep: () => {
      if (fails) throw new Error("of another kind");
    },
  });
  const executor = new Executor(engine.asEngine());
  const ask = (seed: number) => {
    const request: GenerationRequest = {
      tokens: Int32Array.from([...stems[0]!.slice(0, 50), seed]),
      sampling: { ...greedy, temperature: 1, seed },
      maxTokens: 8,
    };
    return { request, result: executor.submit(request).result };
  };
  await ask(1).result;
  fails = true;
  const failed = await Promise.allSettled([ask(2).result, ask(3).result]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  const later = [ask(4), ask(5), ask(6)];
  for (const { request, result } of later)
    expect((await result).tokens).toEqual(expectedTokens(request, executor.contextLength));
  await executor.submit({ tokens: Int32Array.of(1), sampling: greedy, maxTokens: 1 }).result;
  expect(engine.samplerCount).toBe(0);
});

it("frees the samplers of what is finished", async () => {
  const request = (seed: number): GenerationRequest => ({
    tokens: Int32Array.of(1, 2, 3),
    sampling: { ...greedy, temperature: 1, seed },
    maxTokens: 5,
  });
  const coming = Array.from({ length: 30 }, (_, index) => ({
    request: request(index),
    at: index,
    cancelAfter: index % 3 === 0 ? 2 : undefined,
  }));
  const options: ArithmeticOptions = {
    sequences: 4,
    contextLength: 100,
    microBatch: 16,
    outputs: 16,
    layout: "separate",
    cells: 0,
    recurrent: false,
  };
  const { engine, executor } = await simulate(options, coming, [5]);
  // Those that ended last are freed with the next step.
  await executor.submit({ tokens: Int32Array.of(1), sampling: greedy, maxTokens: 1 }).result;
  expect(engine.samplerCount).toBe(0);
});
