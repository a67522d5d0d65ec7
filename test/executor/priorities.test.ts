import { describe, expect, it } from "vitest";
import { completeAll, isPrefill, observe, sampling, serve, streamed, submitText } from "./helpers.js";

const jobs = ["Once upon a time", "The little dog", "One day, Tim", "A bird"];
const never = sampling({ ignoreEndOfGeneration: true });

describe.each(["separate", "unified"] as const)("%s KV cache", (kvLayout) => {
  it("gives a person a slot although a job fills them all, and the job's texts stay what they were", async () => {
    await using served = await serve({ kvLayout, sequences: 4 });
    const undisturbed = await completeAll(served, jobs, { maxTokens: 60, sampling: never });

    await using busy = await serve({ kvLayout, sequences: 4 });
    const seeded = sampling({ temperature: 1, seed: 7 });
    const order: string[] = [];
    const batch = await Promise.all(
      jobs.map((text) => submitText(busy, text, { maxTokens: 60, sampling: never, priority: "batch" })),
    );
    for (const generation of batch) void generation.result.then(() => order.push("job"));
    for await (const _ of batch[3]!) break;
    expect(busy.executor.load).toEqual({ running: 4, waiting: 0 });
    const person = await submitText(busy, "Hello", {
      maxTokens: 8,
      priority: "interactive",
      sampling: seeded,
    });
    void person.result.then(() => order.push("person"));
    const steps = observe(busy.engine);
    await person.result;
    // One job's prompt was sent back to wait; three went on beside the person.
    expect(busy.executor.load).toEqual({ running: 3, waiting: 1 });
    expect(steps.every(({ runs }) => runs.length === 4)).toBe(true);
    const results = await Promise.all(batch.map(({ result }) => result));
    expect(results.map(({ text }) => text)).toEqual(undisturbed.map(({ text }) => text));
    expect(await Promise.all(batch.map(streamed))).toEqual(undisturbed.map(({ text }) => text));
    expect(order[0]).toBe("person");
  });
});

it("serves the higher class first, and within a class who came first", async () => {
  await using served = await serve({ sequences: 1 });
  const order: number[] = [];
  const classes = ["batch", "normal", "batch", "interactive", "normal", "interactive"] as const;
  const tokens = await served.engine.tokenize("Once");
  const generations = classes.map((priority) =>
    served.executor.submit({ tokens, sampling: never, maxTokens: 3, priority }),
  );
  generations.forEach(({ result }, index) => void result.then(() => order.push(index)));
  await Promise.all(generations.map(({ result }) => result));
  expect(order).toEqual([3, 5, 1, 4, 0, 2]);
});

it.each(["interactive", "normal"] as const)(
  "a long prompt does not stall a running sequence (%s): it gets a token with every micro-batch",
  async (priority) => {
    await using served = await serve({ sequences: 4, microBatch: 32 }, { speculation: false });
    const running = await submitText(served, "Once upon a time", {
      sampling: never,
      maxTokens: 80,
      priority,
    });
    for await (const _ of running) break;
    const steps = observe(served.engine);
    const long = await submitText(served, "She went to the park and saw a dog. ".repeat(20), {
      maxTokens: 2,
    });
    await long.result;
    const prefills = steps.filter(({ runs }) => runs.some(isPrefill));
    expect(prefills.length).toBeGreaterThan(5);
    for (const { runs } of prefills) {
      expect(runs.map(({ tokens }) => tokens.length)).toContain(1);
      expect(runs.length).toBe(2);
    }
    expect((await running.result).tokens.length).toBe(80);
  },
);

it("computes as many whole prompts of a class as fit, and no parts of the others", async () => {
  await using served = await serve({ sequences: 4, microBatch: 256 });
  const steps = observe(served.engine);
  const texts = ["Tim", "Lily", "Spot", "Mom"].map((name) => `${name} ran and ran. `.repeat(12));
  await completeAll(served, texts, { maxTokens: 1 });
  expect(steps[0]!.runs.map(({ tokens }) => tokens.length)).toEqual([86, 86]);
});
