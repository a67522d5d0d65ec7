import type { Engine } from "../engine/engine.js";

/** Tokens that are generated to see how fast that is. */
const tokens = 32;

/** Tokens per second of one greedy answer, from an empty context: the median step counts, so that a hiccup does not. */
export async function measureGeneration(engine: Engine): Promise<number> {
  const { bos } = engine.info.model.tokens;
  const count = Math.min(tokens, engine.info.context.length - 1);
  const times: number[] = [];
  let next = new Int32Array([Math.max(0, bos)]);
  for (let position = 0; position < count; position++) {
    const memory = position === 0 ? [{ kind: "clear" as const }] : [];
    const run = { sequence: 0, position, tokens: next, outputs: 1, mode: "verify" as const };
    const { chosen, decodeMs } = await engine.step({ memory, freeSamplers: [], runs: [run] });
    next = new Int32Array(chosen[0]!);
    times.push(decodeMs);
  }
  times.sort((a, b) => a - b);
  return 1000 / times[Math.floor(times.length / 2)]!;
}
