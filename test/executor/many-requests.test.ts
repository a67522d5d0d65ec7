import { expect, it } from "vitest";
import type { Piece } from "../../src/engine/protocol.js";
import type { SlotTable } from "../../src/executor/slots.js";
import { prompts } from "../oracles/prompts.js";
import { sampling, serve } from "./helpers.js";

/** What an executor keeps between requests. */
interface Internals {
  waiting: unknown[];
  running: unknown[];
  pieces: Map<number, Piece>;
  freedSamplers: number[];
  operations: unknown[];
  slots: SlotTable;
}

it("keeps nothing of 2,000 finished requests but what the KV cache holds", async () => {
  await using served = await serve({ sequences: 16, contextLength: 256, microBatch: 256 });
  const { engine, executor } = served;
  const tokens = await Promise.all(prompts.slice(0, 10).map((prompt) => engine.tokenize(prompt)));
  const settings = [sampling({}), sampling({ temperature: 1, seed: 1 }), sampling({ repeatPenalty: 1.2 })];
  let finished = 0;
  for (let round = 0; round < 20; round++) {
    const generations = Array.from({ length: 100 }, (_, index) =>
      executor.submit({
        tokens: tokens[index % tokens.length]!,
        sampling: settings[index % settings.length]!,
        maxTokens: 1 + (index % 3),
      }),
    );
    finished += (await Promise.all(generations.map(({ result }) => result))).length;
  }
  expect(finished).toBe(2000);

  const { waiting, running, pieces, freedSamplers, operations, slots } = executor as unknown as Internals;
  expect(waiting).toEqual([]);
  expect(running).toEqual([]);
  expect(pieces.size).toBeLessThanOrEqual(engine.info.model.vocabularySize);
  expect(freedSamplers.length).toBeLessThanOrEqual(16);
  expect(operations.length).toBeLessThanOrEqual(32);
  for (const slot of slots.slots) {
    expect(slot.owner).toBeUndefined();
    expect(slot.length).toBeLessThanOrEqual(executor.contextLength);
    expect(slot.tokens.length).toBeLessThanOrEqual(executor.contextLength);
  }
});
