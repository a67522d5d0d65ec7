import { describe, expect, it } from "vitest";
import type { GenerationResult } from "../../src/executor/request.js";
import { greedyTokens, tokensOf } from "../oracles/plain.js";
import { completeAll, expectGreedy, observe, type Served, sampling, serve, submitText } from "./helpers.js";

const story = `Once upon a time, there was a little boy named Tim. ${"He liked to play with his ball. ".repeat(5)}`;
const endings = ["One day", "Then his mom", "Tim saw a dog", "The sun", "A cat"];
const prompts = endings.map((ending) => story + ending);

async function lengthOf({ engine }: Served, text: string): Promise<number> {
  return (await engine.tokenize(text)).length;
}

function cached(results: GenerationResult[]): number[] {
  return results.map(({ stats }) => stats.cachedPromptTokens);
}

describe.each(["separate", "unified"] as const)("%s KV cache", (kvLayout) => {
  it("computes a beginning once for all who share it, while the first still runs", async () => {
    await using served = await serve({ kvLayout, microBatch: 32 });
    const shared = await lengthOf(served, story.trimEnd());
    const steps = observe(served.engine);
    const results = await completeAll(served, prompts, { maxTokens: 12 });
    const [leader, ...followers] = cached(results);
    expect(leader).toBe(0);
    for (const tokens of followers) expect(tokens).toBeGreaterThanOrEqual(shared - 2);
    // Followers came in while the leader ran.
    expect(Math.max(...steps.map(({ runs }) => runs.length))).toBe(prompts.length);
    const computed = steps.flatMap(({ runs }) => runs).reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(computed).toBeLessThan(shared + 200);

    await expectGreedy(
      await tokensOf(prompts),
      results.map(({ tokens }) => tokens),
      await greedyTokens(prompts, 12),
    );
  });

  it("finds the prompt of a finished request again, all but its last token", async () => {
    await using served = await serve({ kvLayout });
    await completeAll(served, [prompts[0]!], { maxTokens: 4 });
    const [again] = await completeAll(served, [prompts[0]!], { maxTokens: 4 });
    expect(again!.stats.cachedPromptTokens).toBe((await lengthOf(served, prompts[0]!)) - 1);
  });

  it("continues a chat in place: no copy, and only what is new is computed", async () => {
    await using served = await serve({ kvLayout, sequences: 3 });
    const { engine, executor } = served;
    const steps = observe(engine);
    let tokens = await engine.tokenize(story);
    for (let turn = 0; turn < 4; turn++) {
      const { tokens: answer, stats } = await executor.submit({
        tokens,
        sampling: sampling({ temperature: 1, seed: turn, ignoreEndOfGeneration: true }),
        maxTokens: 10,
      }).result;
      // The last token of an answer was never computed: nothing came after it.
      if (turn > 0) expect(stats.cachedPromptTokens).toBe(tokens.length - 1 - question.length);
      tokens = Int32Array.from([...tokens, ...answer, ...question]);
    }
    expect(steps.flatMap(({ memory }) => memory).filter(({ kind }) => kind === "copy")).toEqual([]);
  });

  it("forgets what was used longest ago", async () => {
    await using served = await serve({ kvLayout, sequences: 2 });
    const [tim, lily, dog] = ["Tim", "Lily", "Spot"].map(
      (name) => `${name} went out. ${`${name} ran and ran. `.repeat(4)}`,
    );
    const ask = async (text: string) => {
      const result = await (await submitText(served, text, { maxTokens: 2 })).result;
      return result.stats.cachedPromptTokens > 20;
    };
    expect([await ask(tim!), await ask(lily!), await ask(tim!)]).toEqual([false, false, true]);
    // Two slots: the dog takes Lily's.
    expect([await ask(dog!), await ask(tim!), await ask(lily!)]).toEqual([false, true, false]);
  });
});

it("drops finished sequences from a full unified cache before it sends anyone back", async () => {
  await using served = await serve({ kvLayout: "unified", sequences: 8, kvCells: 256, microBatch: 64 });
  await completeAll(served, [prompts[0]!, "One day, Lily and Tom"], { maxTokens: 30 });
  const steps = observe(served.engine);
  const [result] = await completeAll(served, [`The old man ${"walked and ".repeat(25)}`], { maxTokens: 60 });
  expect(result!.finishReason).not.toBe("context");
  const full = steps.findIndex(({ result }) => result?.status === "full");
  expect(full).toBeGreaterThanOrEqual(0);
  expect(steps[full + 1]!.memory).toContainEqual(
    expect.objectContaining({ kind: "remove", from: -1, to: -1 }),
  );
});

it("moves sequences into gaps between running streams, and their texts stay what they were", async () => {
  const lengths = [60, 3, 60, 3, 60];
  const run = async (sequences: number) => {
    await using served = await serve({ sequences });
    const steps = observe(served.engine);
    const generations = await Promise.all(
      lengths.map((maxTokens, index) => submitText(served, `${endings[index]}`, { maxTokens })),
    );
    const texts = await Promise.all(generations.map(async ({ result }) => (await result).text));
    return { texts, steps };
  };
  const together = await run(5);
  const ids = together.steps.map(({ runs }) => runs.map(({ sequence }) => sequence));
  expect(together.steps.some(({ memory }) => memory.some(({ kind }) => kind === "copy"))).toBe(true);
  const late = ids.filter((step) => step.length === 3).at(-1)!;
  expect(late[2]! - late[0]!).toBe(2);
  expect(together.texts).toEqual((await run(1)).texts);
});

it("moves them too where a job is kept narrower than planned, though others wait", async () => {
  await using served = await serve({ sequences: 8 });
  const { width } = served.executor as unknown as { width: { current: number } };
  width.current = 4;
  const steps = observe(served.engine);
  const generations = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      submitText(served, `${index} cats`, { priority: "batch", maxTokens: 4 + 5 * (index % 4) }),
    ),
  );
  await Promise.all(generations.map(({ result }) => result));
  const full = steps.filter(({ runs }) => runs.length === 4);
  expect(full.length).toBeGreaterThan(10);
  for (const { runs } of full) expect(runs[3]!.sequence - runs[0]!.sequence).toBe(3);
});

/** Some tokens that a person might add. */
const question = Int32Array.of(300, 301, 302, 303);
