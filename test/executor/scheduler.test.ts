import fc from "fast-check";
import { expect, it } from "vitest";
import { greedy } from "../../src/engine/sampling.js";
import type { Priority } from "../../src/executor/request.js";
import { scheduleRuns } from "../../src/executor/scheduler.js";
import { Sequence } from "../../src/executor/sequence.js";
import { Speculator } from "../../src/executor/speculation.js";
import { StepTiming } from "../../src/executor/timing.js";

interface Shape {
  prompt: number;
  generated: number;
  /** Tokens computed, as a part of what could be. */
  progress: number;
  replays: boolean;
  priority: Priority;
}

const shapes = fc.record<Shape>({
  prompt: fc.integer({ min: 1, max: 200 }),
  generated: fc.nat(40),
  progress: fc.double({ min: 0, max: 1, noNaN: true }),
  replays: fc.boolean(),
  priority: fc.constantFrom<Priority>("interactive", "normal", "batch"),
});

function sequenceOf({ prompt, generated, progress, replays, priority }: Shape, slotId: number): Sequence {
  // Every third token is the same: there is always something to guess.
  const token = (index: number) => 1 + (index % 3);
  const tokens = Int32Array.from({ length: prompt }, (_, index) => token(index));
  const sequence = new Sequence({ tokens, sampling: greedy, priority }, () => {});
  for (let index = 0; index < generated; index++) sequence.tokens.push(token(prompt + index));
  sequence.slotId = slotId;
  sequence.admission = slotId;
  sequence.computed = Math.floor(progress * (prompt + generated - 1));
  if (replays && generated > 0) sequence.replayFrom = Math.max(prompt - 1, sequence.computed);
  return sequence;
}

const cases = fc
  .record({
    shapes: fc.array(shapes, { minLength: 1, maxLength: 24 }),
    room: fc.nat(100),
    guesses: fc.nat(60),
    speculates: fc.boolean(),
    order: fc.infiniteStream(fc.nat(1000)),
  })
  .map(({ shapes: given, room, guesses, speculates, order }) => {
    const ids = given.map((_, index) => ({ index, key: order.next().value! })).sort((a, b) => a.key - b.key);
    const running = given.map((shape, index) => sequenceOf(shape, ids[index]!.index));
    const timing = new StepTiming();
    timing.observeDecode(1, 1);
    const options = {
      microBatch: given.length + room,
      outputs: given.length + guesses,
      contextLength: 256,
      speculator: speculates ? new Speculator(timing) : undefined,
      timing,
    };
    return { running, options };
  });

it("keeps to the micro-batch and its logits, over rising slots, with tokens that follow what is computed", () => {
  fc.assert(
    fc.property(cases, ({ running, options }) => {
      const picked = scheduleRuns(running, options);
      const sum = (count: (index: number) => number) =>
        picked.reduce((total, _, index) => total + count(index), 0);
      expect(sum((index) => picked[index]!.run.tokens.length)).toBeLessThanOrEqual(options.microBatch);
      expect(sum((index) => picked[index]!.run.outputs)).toBeLessThanOrEqual(options.outputs);
      picked.forEach(({ sequence, run }, index) => {
        expect(run.sequence).toBe(sequence.slotId);
        expect(run.sequence).toBeGreaterThan(picked[index - 1]?.run.sequence ?? -1);
        expect(run.position).toBe(sequence.computed);
        expect(run.position + run.tokens.length).toBeLessThanOrEqual(options.contextLength);
        const certain = Math.min(run.tokens.length, sequence.pending);
        expect([...run.tokens.subarray(0, certain)]).toEqual([
          ...sequence.tokens.view(sequence.computed, sequence.computed + certain),
        ]);
      });
    }),
  );
});

it("gives every decoding sequence its token, and always gets on", () => {
  fc.assert(
    fc.property(cases, ({ running, options }) => {
      const picked = scheduleRuns(running, options);
      const served = picked.map(({ sequence }) => sequence);
      expect(served.length).toBeGreaterThan(0);
      for (const sequence of running) {
        if (!sequence.isPrefilling) expect(served).toContain(sequence);
      }
    }),
  );
});

it("asks for logits where the next token is chosen, and in a replay at every place the sampler has yet to see", () => {
  fc.assert(
    fc.property(cases, ({ running, options }) => {
      for (const { sequence, run } of scheduleRuns(running, options)) {
        const end = run.position + run.tokens.length;
        if (sequence.replayFrom !== undefined) {
          expect(run.mode).toBe("replay");
          expect(run.outputs).toBe(Math.max(0, end - sequence.replayFrom));
          expect(run.next).toBe(end < sequence.tokens.length ? sequence.tokens.at(end) : undefined);
        } else {
          expect(run.mode).toBe("verify");
          const guesses = Math.max(0, end - sequence.tokens.length);
          expect(run.outputs).toBe(end < sequence.tokens.length ? 0 : 1 + guesses);
        }
      }
    }),
  );
});

it("computes whole prompts, the higher class and the first come first, and cuts only the first of a class", () => {
  const settings = fc.record({
    lengths: fc.array(fc.integer({ min: 2, max: 200 }), { minLength: 2, maxLength: 8 }),
    microBatch: fc.integer({ min: 8, max: 600 }),
  });
  fc.assert(
    fc.property(settings, ({ lengths, microBatch }) => {
      const prefilling = (length: number, slot: number, priority: Priority) =>
        sequenceOf({ prompt: length, generated: 0, progress: 0, replays: false, priority }, slot);
      const normal = lengths.map((length, slot) => prefilling(length, slot, "normal"));
      const later = prefilling(200, lengths.length, "batch");
      const picked = scheduleRuns([later, ...normal], {
        microBatch,
        outputs: 16,
        contextLength: 256,
        speculator: undefined,
        timing: new StepTiming(),
      });
      const given = (sequence: Sequence) =>
        picked.find((one) => one.sequence === sequence)?.run.tokens.length ?? 0;
      const [first, ...others] = normal as [Sequence, ...Sequence[]];
      const total = picked.reduce((sum, { run }) => sum + run.tokens.length, 0);
      const isCut = first.pending > microBatch;
      const part = Math.max(64, Math.floor(microBatch / normal.length));
      // A prompt that is too long gets all that is left, and its part in any case.
      if (isCut) expect(given(first)).toBeGreaterThanOrEqual(Math.min(part, microBatch));
      else expect(given(first)).toBe(first.pending);
      if (isCut) expect(total).toBe(microBatch);
      let left = microBatch - (isCut ? Math.min(part, microBatch) : first.pending);
      for (const sequence of others) {
        const expected = sequence.pending <= left ? sequence.pending : 0;
        expect(given(sequence)).toBe(expected);
        left -= expected;
      }
      const ofLater = given(later);
      if (isCut) expect(ofLater).toBe(0);
      else expect(ofLater).toBe(left >= 64 ? Math.min(200, left) : 0);
    }),
  );
});

it("bounds what a prompt may take while a person's answer runs, by what prefill costs on this machine", () => {
  const chat = sequenceOf(
    { prompt: 5, generated: 3, progress: 1, replays: false, priority: "interactive" },
    0,
  );
  const job = sequenceOf({ prompt: 200, generated: 0, progress: 0, replays: false, priority: "batch" }, 1);
  const prefillWith = (timing: StepTiming) =>
    scheduleRuns([chat, job], {
      microBatch: 512,
      outputs: 18,
      contextLength: 256,
      speculator: undefined,
      timing,
    })[1]!.run.tokens.length;
  const slow = new StepTiming();
  slow.observePrefill(100, 1000);
  expect(prefillWith(slow)).toBe(20);
  const slowest = new StepTiming();
  slowest.observePrefill(16, 10_000);
  expect(prefillWith(slowest)).toBe(16);
  const fast = new StepTiming();
  fast.observePrefill(1000, 10);
  expect(prefillWith(fast)).toBe(200);
});
