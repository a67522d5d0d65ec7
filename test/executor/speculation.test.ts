import fc from "fast-check";
import { expect, it } from "vitest";
import { greedy } from "../../src/engine/sampling.js";
import { Sequence } from "../../src/executor/sequence.js";
import { Speculator } from "../../src/executor/speculation.js";
import { StepTiming } from "../../src/executor/timing.js";

function sequenceOf(tokens: number[]): Sequence {
  return new Sequence({ tokens: Int32Array.from(tokens), sampling: greedy }, () => {});
}

/** A machine where a step of `tokens` tokens takes so long, in milliseconds. */
function machine(ms: (tokens: number) => number): StepTiming {
  const timing = new StepTiming();
  for (let tokens = 1; tokens <= 40; tokens++) timing.observeDecode(tokens, ms(tokens));
  return timing;
}
const boundByWeights = machine(() => 10);
const boundByCompute = machine((tokens) => 10 * tokens);

it("guesses what followed the last tokens when they last occurred", () => {
  const speculator = new Speculator(boundByWeights);
  expect([...speculator.draft(sequenceOf([1, 2, 3, 4, 5, 6, 1, 2]), 1, 3)]).toEqual([3, 4, 5]);
  // The longest match wins over the latest.
  expect([...speculator.draft(sequenceOf([7, 1, 2, 3, 9, 8, 2, 3, 5, 7, 1, 2, 3]), 1, 1)]).toEqual([9]);
  expect([...speculator.draft(sequenceOf([1, 2, 3, 4]), 1, 8)]).toEqual([]);
});

it("guesses only what is there, no more than there is room for", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(2), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: -2, max: 12 }),
      (tokens, room) => {
        const draft = [...new Speculator(boundByWeights).draft(sequenceOf(tokens), 1, room)];
        expect(draft.length).toBeLessThanOrEqual(Math.max(0, room));
        if (draft.length > 0) expect(` ${tokens.join(" ")} `).toContain(` ${draft.join(" ")} `);
      },
    ),
  );
});

it("guesses nothing where a token more costs as much as a step, or before steps were measured", () => {
  const tokens = [1, 2, 3, 1, 2, 3, 1, 2, 3];
  expect(new Speculator(boundByCompute).draft(sequenceOf(tokens), 1, 8).length).toBe(0);
  expect(new Speculator(new StepTiming()).draft(sequenceOf(tokens), 1, 8).length).toBe(0);
});

it("guesses less where its guesses were wrong, and more again where they are right", () => {
  const speculator = new Speculator(machine((tokens) => 10 + 2 * tokens));
  const sequence = sequenceOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2]);
  const length = () => speculator.draft(sequence, 1, 8).length;
  const atFirst = length();
  expect(atFirst).toBeGreaterThan(0);
  for (let step = 0; step < 30; step++) speculator.observe(sequence, 4, 0);
  expect(length()).toBe(0);
  for (let step = 0; step < 30; step++) speculator.observe(sequence, 4, 4);
  expect(length()).toBeGreaterThan(atFirst);
  expect(sequence.speculated).toBe(240);
  expect(sequence.accepted).toBe(120);
});

it("draws the cost of a step between those that were measured", () => {
  const timing = new StepTiming();
  expect(timing.decodeMsFor(3)).toBeUndefined();
  timing.observeDecode(1, 10);
  timing.observeDecode(5, 18);
  expect([1, 2, 3, 5].map((tokens) => timing.decodeMsFor(tokens))).toEqual([10, 12, 14, 18]);
  expect(timing.decodeMsFor(8)).toBeGreaterThan(18);
});
