import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import type { MemoryOperation } from "../../src/engine/protocol.js";
import { logitsOf } from "../oracles/plain.js";
import { clear, compute, continueWith, cpuTolerance, distance, emptyStep, openStories } from "./harness.js";

let separate: Engine;
let unified: Engine;
let story: Int32Array;
let other: Int32Array;
beforeAll(async () => {
  separate = await openStories({ sequences: 4 });
  unified = await openStories({ sequences: 4, kvLayout: "unified", kvCells: 256 });
  story = await separate.tokenize("Once upon a time, there was a little girl named Lily. She had");
  other = await separate.tokenize("One day, Tom and his dog went to the park and saw a", {
    addSpecial: false,
  });
});

const layouts: [name: string, engine: () => Engine][] = [
  ["separate streams", () => separate],
  ["a unified cache", () => unified],
];

describe.each(layouts)("the KV cache in %s", (_, of) => {
  it("copies a whole sequence: both go on alike, each by itself", async () => {
    const engine = of();
    await clear(engine);
    await compute(engine, { sequence: 1, tokens: story, outputs: 0 });
    await operate(engine, { kind: "copy", source: 1, target: 3, from: 0, to: -1 });
    const expected = await continued(story, other);
    for (const sequence of [3, 1]) {
      const found = await compute(engine, { sequence, position: story.length, tokens: other, logits: true });
      expect(distance(found.logits![0]![0]!, expected)).toBeLessThan(cpuTolerance);
    }
  });

  it("removes the end of a sequence: another goes on in its place", async () => {
    const engine = of();
    await clear(engine);
    await compute(engine, { tokens: Int32Array.of(...story, ...story.subarray(1)), outputs: 0 });
    await operate(engine, { kind: "remove", sequence: 0, from: story.length, to: -1 });
    const found = await compute(engine, { position: story.length, tokens: other, logits: true });
    expect(distance(found.logits![0]![0]!, await continued(story, other))).toBeLessThan(cpuTolerance);
  });

  it("removes one sequence and leaves the others", async () => {
    const engine = of();
    await clear(engine);
    await compute(engine, { sequence: 0, tokens: other, outputs: 0 });
    await compute(engine, { sequence: 2, tokens: story, outputs: 0 });
    await operate(engine, { kind: "remove", sequence: 0, from: 0, to: -1 });
    const found = await compute(engine, { sequence: 2, position: story.length, tokens: other, logits: true });
    expect(distance(found.logits![0]![0]!, await continued(story, other))).toBeLessThan(cpuTolerance);
  });

  it.each([-40, 25])("shifts positions by %i: what follows sees the same text", async (by) => {
    const engine = of();
    expect(engine.info.model.canShift).toBe(true);
    await clear(engine);
    await compute(engine, { position: 40, tokens: story, outputs: 0 });
    await operate(engine, { kind: "shift", sequence: 0, from: 0, to: -1, by });
    const end = 40 + by + story.length;
    await expect(compute(engine, { position: end - by, tokens: other })).rejects.toMatchObject({
      code: "decode-failed",
    });
    const found = await compute(engine, { position: end, tokens: other, logits: true });
    expect(distance(found.logits![0]![0]!, await continued(story, other))).toBeLessThan(cpuTolerance);
  });

  it("closes the gap that the removal of a middle leaves", async () => {
    const engine = of();
    await clear(engine);
    const [first, middle] = [story.length, other.length];
    await compute(engine, { tokens: Int32Array.of(...story, ...other, ...story.subarray(1)), outputs: 0 });
    await operate(
      engine,
      { kind: "remove", sequence: 0, from: first, to: first + middle },
      { kind: "shift", sequence: 0, from: first + middle, to: -1, by: -middle },
    );
    const found = await compute(engine, { position: 2 * first - 1, tokens: other, logits: true });
    // What stays was computed when the middle was still there: near to a fresh computation, never equal to it.
    const fresh = await continued(Int32Array.of(...story, ...story.subarray(1)), other);
    expect(argmax(found.logits![0]![0]!)).toBe(argmax(fresh));
  });

  it("is empty after a clear", async () => {
    const engine = of();
    await compute(engine, { sequence: 1, position: 0, tokens: story, outputs: 0 }).catch(() => {});
    await clear(engine);
    const found = await continueWith(engine, story, 1, { sequence: 1 });
    expect(distance(found.logits[0]!, (await logitsOf([story]))[0]!)).toBeLessThan(cpuTolerance);
  });

  it("refuses positions that do not follow, and lives on", async () => {
    const engine = of();
    await clear(engine);
    await compute(engine, { tokens: story, outputs: 0 });
    await expect(compute(engine, { position: 3, tokens: other })).rejects.toMatchObject({
      code: "decode-failed",
    });
    const found = await compute(engine, { position: story.length, tokens: other, logits: true });
    expect(distance(found.logits![0]![0]!, await continued(story, other))).toBeLessThan(cpuTolerance);
  });
});

describe("a unified cache", () => {
  it("copies the beginning of a sequence", async () => {
    await clear(unified);
    await compute(unified, {
      ...{ sequence: 0, tokens: Int32Array.of(...story, ...story.subarray(1)), outputs: 0 },
    });
    await operate(unified, { kind: "copy", source: 0, target: 2, from: 0, to: story.length });
    const found = await compute(unified, {
      sequence: 2,
      position: story.length,
      tokens: other,
      logits: true,
    });
    expect(distance(found.logits![0]![0]!, await continued(story, other))).toBeLessThan(cpuTolerance);
  });

  it("says when it is full, computes nothing, and goes on when there is room", async () => {
    await clear(unified);
    const cells = 256;
    const long = Int32Array.from({ length: 120 }, (_, index) => story[1 + (index % (story.length - 1))]!);
    for (const sequence of [0, 1]) {
      expect((await compute(unified, { sequence, tokens: long, outputs: 0 })).status).toBe("ok");
    }
    expect((await compute(unified, { sequence: 2, tokens: story, outputs: 0 })).status).toBe(
      2 * long.length + story.length > cells ? "full" : "ok",
    );
    const full = await compute(unified, { sequence: 3, tokens: long, logits: true });
    expect(full).toMatchObject({ status: "full", chosen: [] });
    expect(full.logits).toBeUndefined();
    await operate(unified, { kind: "remove", sequence: 0, from: 0, to: -1 });
    const found = await compute(unified, { sequence: 3, tokens: long, logits: true });
    expect(found.status).toBe("ok");
    expect(distance(found.logits![0]![0]!, (await logitsOf([long]))[0]!)).toBeLessThan(cpuTolerance);
  });
});

/** The logits behind two texts in a row. */
async function continued(first: Int32Array, second: Int32Array): Promise<Float32Array> {
  return (await logitsOf([Int32Array.of(...first, ...second)]))[0]!;
}

async function operate(engine: Engine, ...memory: MemoryOperation[]): Promise<void> {
  await engine.step({ ...emptyStep, memory });
}

function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}
