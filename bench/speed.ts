import { Engine } from "../src/engine/engine.js";
import type { LibraryWish } from "../src/engine/native/libraries.js";
import type { Run } from "../src/engine/protocol.js";
import type { Plan } from "../src/plan/plan.js";
import { median } from "../src/statistics.js";
import { retried } from "./retry.js";
import { randomTokens } from "./workloads.js";

/** Tokens per second, all sequences together. */
export interface Speeds {
  prefill: number;
  decode: number;
}

export interface SpeedOptions {
  libraries: LibraryWish;
  /** Tokens of the prompt, which decode then attends to. */
  prompt: number;
  /** Tokens that each sequence generates. */
  generated: number;
  repeats: number;
}

/**
 * How fast a plan runs: medians over the repeats, after a warm-up. A prompt is computed in one sequence and copied to the
 * others, then all of them decode: one greedily, several by random tokens, as sequences that came to say the same would
 * choose the same experts.
 */
export async function measuredSpeeds(plan: Plan, options: SpeedOptions): Promise<Speeds> {
  return retried(() => measureOnce(plan, options));
}

async function measureOnce(plan: Plan, { libraries, prompt, generated, repeats }: SpeedOptions) {
  const engine = await Engine.open(plan, { libraries });
  try {
    const prefill: number[] = [];
    const decode: number[] = [];
    // llvmpipe (Mesa 22.3) dies where ggml gives up a buffer for a larger one, as between prompts and single tokens: the
    // larger one comes first.
    await timedDecode(engine, plan, 0, 1);
    for (let repeat = 0; repeat <= repeats; repeat++) {
      await engine.step({ memory: [{ kind: "clear" }], freeSamplers: [], runs: [] });
      const first = await timedPrompt(engine, plan, prompt, repeat);
      const second = await timedDecode(engine, plan, prompt, repeat === 0 ? 2 : generated);
      // The first time compiles shaders and finds caches cold.
      if (repeat === 0) continue;
      prefill.push(prompt / first);
      decode.push((plan.sequences * generated) / second);
    }
    return { prefill: median(prefill), decode: median(decode) };
  } finally {
    await engine.close();
  }
}

/** Seconds of a prompt in the first sequence, which then is in all. */
async function timedPrompt(engine: Engine, plan: Plan, length: number, seed: number): Promise<number> {
  const tokens = randomTokens(seed + 1, length);
  const start = performance.now();
  for (let position = 0; position < length; position += plan.microBatch) {
    const end = Math.min(length, position + plan.microBatch);
    await engine.step({
      memory: [],
      freeSamplers: [],
      runs: [
        {
          ...{ sequence: 0, position, tokens: tokens.slice(position, end), mode: "verify" },
          outputs: end === length ? 1 : 0,
        },
      ],
    });
  }
  const seconds = (performance.now() - start) / 1000;
  const others = Array.from({ length: plan.sequences - 1 }, (_, index) => index + 1);
  const memory = others.map((target) => ({
    ...{ kind: "copy" as const, source: 0, target, from: 0, to: -1 },
  }));
  await engine.step({ memory, freeSamplers: [], runs: [] });
  return seconds;
}

/** Seconds in which all sequences go on by so many tokens. */
async function timedDecode(engine: Engine, plan: Plan, depth: number, count: number): Promise<number> {
  let next = Array.from({ length: plan.sequences }, (_, sequence) => 300 + sequence);
  const start = performance.now();
  for (let step = 0; step < count; step++) {
    const runs = next.map(
      (token, sequence): Run => ({
        ...{ sequence, position: depth + step, tokens: Int32Array.of(token), outputs: 1, mode: "verify" },
      }),
    );
    const ahead = plan.sequences === 1 && step < count - 1;
    const { chosen } = await engine.step({ memory: [], freeSamplers: [], runs, ahead });
    next = plan.sequences === 1 ? [chosen[0]![0]!] : [...randomTokens(depth + step, plan.sequences)];
  }
  return (performance.now() - start) / 1000;
}
