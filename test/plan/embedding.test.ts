import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPlan } from "../../src/plan/check.js";
import { embeddedAtOnce, longestEmbedded, planBeside, withEmbeddings } from "../../src/plan/embedding.js";
import { type Plan, simplePlan } from "../../src/plan/plan.js";

const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const settings = fc.record({
  contextLength: fc.integer({ min: 1, max: 40_000 }),
  microBatch: fc.constantFrom(64, 128, 256, 512),
});
const fixed = fc
  .record({
    sequences: optional(fc.integer({ min: 1, max: 256 })),
    microBatch: optional(fc.integer({ min: 1, max: 5000 })),
  })
  .filter(({ sequences, microBatch }) => sequences === undefined || microBatch === undefined);
const mean = { embeddings: { pooling: "mean" } } as const;

function planOf(given: Partial<Plan>, person: Partial<Plan> = {}): Plan {
  const said = Object.fromEntries(Object.entries(person).filter(([, value]) => value !== undefined));
  return withEmbeddings(simplePlan({ modelPath: "", threads: 1, ...mean, ...given, ...said }), said);
}

describe("a plan for embeddings", () => {
  it("is valid, keeps what is fixed, and holds a text as long as the context where it may", () => {
    fc.assert(
      fc.property(settings, fixed, (given, person) => {
        const plan = planOf(given, person);
        checkPlan(plan);
        if (person.sequences !== undefined) expect(plan.sequences).toBe(person.sequences);
        if (person.microBatch !== undefined) expect(plan.microBatch).toBe(person.microBatch);
        else expect(longestEmbedded(plan)).toBeGreaterThanOrEqual(given.contextLength);
        expect(planBeside(plan, longestEmbedded(plan), "mean")).toBeUndefined();
        expect(planBeside(plan, longestEmbedded(plan) + 1, "mean")).toBeDefined();
        expect(planBeside(plan, 1, "last")).toBeDefined();
      }),
      { numRuns: 200 },
    );
  });

  it("embeds one text after another in separate caches, and many at once in one", () => {
    expect(embeddedAtOnce(planOf({}, { kvLayout: "separate", sequences: 4 }))).toBe(1);
    expect(embeddedAtOnce(planOf({}))).toBe(16);
  });

  it("is refused where its micro-batch does not divide into its sequences", () => {
    expect(() => checkPlan(planOf({}, { microBatch: 100, sequences: 16 }))).toThrow(/multiple of the 16/);
  });
});

describe("a context beside a plan for text", () => {
  it("is valid and holds the text, with the model at the same places", () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 40_000 }), (given, tokens) => {
        const text = simplePlan({
          modelPath: "m",
          threads: 2,
          gpuLayers: 7,
          outputs: 3,
          kvCells: 9,
          ...given,
        });
        const beside = planBeside(text, tokens, "cls")!;
        checkPlan(beside);
        expect(longestEmbedded(beside)).toBeGreaterThanOrEqual(tokens);
        expect(beside).toMatchObject({ modelPath: "m", gpuLayers: 7, embeddings: { pooling: "cls" } });
      }),
      { numRuns: 100 },
    );
  });
});

it("a context beside a plan that streams from fewer rows has its sequences", () => {
  const text = simplePlan({ modelPath: "m", threads: 2, devices: ["Vulkan0"], sequences: 5 });
  expect(planBeside(text, 10, "mean")).toMatchObject({ sequences: 5, microBatch: 515 });
});

it("a plan for text stays as it is", () => {
  const text = simplePlan({ modelPath: "m", threads: 2, sequences: 3, microBatch: 40 });
  expect(withEmbeddings(text)).toBe(text);
});
