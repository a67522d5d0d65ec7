import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import type { Run } from "../../src/engine/protocol.js";
import { defaultSampling } from "../../src/engine/sampling.js";
import { clear, continueWith, emptyStep, openStories, sampler } from "./harness.js";

// A step may be begun before it is asked for. Whatever is asked for instead, the texts are those of plain steps.
describe("steps begun ahead", () => {
  let engine: Engine;
  let prompt: Int32Array;
  let expected: number[];

  beforeAll(async () => {
    engine = await openStories({ sequences: 3 });
    prompt = await engine.tokenize("One day, a little");
    expected = (await continueWith(engine, prompt, 12)).tokens;
  });

  const run = (sequence: number, position: number, tokens: Int32Array, more: Partial<Run> = {}): Run => ({
    ...{ sequence, position, tokens, outputs: 1, mode: "verify", ...more },
  });

  /** Prefills the prompt into some sequences; the step that continues them is begun. */
  async function start(sequences: number[]): Promise<void> {
    await clear(engine);
    const runs = sequences.map((sequence) => run(sequence, 0, prompt));
    const { chosen } = await engine.step({ ...emptyStep, runs, ahead: true });
    expect(chosen.map((tokens) => tokens[0])).toEqual(sequences.map(() => expected[0]));
  }

  const next = (sequence: number, place: number) =>
    run(sequence, prompt.length + place, Int32Array.of(expected[place]!));

  it("continue all sequences", async () => {
    await start([0, 1, 2]);
    for (let place = 0; place + 1 < expected.length; place++) {
      const runs = [0, 1, 2].map((sequence) => next(sequence, place));
      const { chosen } = await engine.step({ ...emptyStep, runs, ahead: true });
      expect(chosen.map((tokens) => tokens[0])).toEqual([0, 1, 2].map(() => expected[place + 1]));
    }
  });

  it("continue some sequences, and leave the others where they were", async () => {
    await start([0, 1, 2]);
    const some = await engine.step({ ...emptyStep, runs: [next(1, 0)], ahead: true });
    expect(some.chosen[0]![0]).toBe(expected[1]);
    // Had the step begun for sequence 2 not been undone, its cache would hold this position twice.
    const others = await engine.step({ ...emptyStep, runs: [next(0, 0), next(2, 0)] });
    expect(others.chosen.map((tokens) => tokens[0])).toEqual([expected[1], expected[1]]);
  });

  it("are undone for another token, another shape or memory operations", async () => {
    const other = Int32Array.of(expected[0]! + 1);
    await clear(engine);
    await engine.step({ ...emptyStep, runs: [run(0, 0, prompt)] });
    const plain = await engine.step({ ...emptyStep, runs: [run(0, prompt.length, other, { logits: true })] });
    await start([0]);
    const changed = await engine.step({
      ...emptyStep,
      runs: [run(0, prompt.length, other, { logits: true })],
    });
    expect(changed.logits).toEqual(plain.logits);

    await start([0]);
    const guesses = run(0, prompt.length, Int32Array.from(expected.slice(0, 4)), { outputs: 4 });
    const verified = await engine.step({ ...emptyStep, runs: [guesses] });
    expect([...verified.chosen[0]!]).toEqual(expected.slice(1, 5));

    await start([0]);
    const copy = { kind: "copy", source: 0, target: 1, from: 0, to: -1 } as const;
    const copied = await engine.step({ ...emptyStep, memory: [copy], runs: [next(0, 0), next(1, 0)] });
    expect(copied.chosen.map((tokens) => tokens[0])).toEqual([expected[1], expected[1]]);
  });

  it("move no sampler: it chooses when the step is asked for", async () => {
    const settings = { ...defaultSampling, seed: 7, repeatPenalty: 1.2 };
    const choose = async (ahead: boolean) => {
      await clear(engine);
      const id = await sampler(engine, settings, prompt);
      const tokens: number[] = [];
      let tail = prompt;
      let position = 0;
      while (tokens.length < 10) {
        const runs = [run(0, position, tail, { sampler: id })];
        tokens.push((await engine.step({ ...emptyStep, runs, ahead })).chosen[0]![0]!);
        position += tail.length;
        tail = Int32Array.of(tokens.at(-1)!);
      }
      return tokens;
    };
    expect(await choose(true)).toEqual(await choose(false));
  });

  it("are undone before a state is saved", async () => {
    await start([0]);
    const path = join(tmpdir(), `jauge-ahead-${process.pid}.state`);
    await engine.saveState(path, 0, prompt);
    await engine.loadState(path, 2);
    const { chosen } = await engine.step({ ...emptyStep, runs: [next(2, 0)] });
    expect(chosen[0]![0]).toBe(expected[1]);
  });
});
