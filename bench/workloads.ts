import { Random } from "./random.js";

/** What is measured. `single` is one sequence; the others are jobs of many requests. */
export const workloadNames = ["single", "shared", "distinct"] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** As llama-bench's pp512 and tg128: tokens prefilled; tokens decoded after a prompt of one. */
export const single = { prefill: 512, decode: 128, contextLength: 1024 };

/** 64 requests, 32 at a time, each of 288 tokens with 32 to generate. */
export const job = { requests: 64, parallel: 32, prompt: 288, generate: 32, prefix: 256, microBatch: 512 };

/** Prompts of a job: all different, or alike in their first 256 tokens. */
export function jobPrompts(name: "shared" | "distinct"): Int32Array[] {
  const prefix = randomTokens(1_000, job.prefix);
  return Array.from({ length: job.requests }, (_, request) => {
    const prompt = randomTokens(2_000 + request, job.prompt);
    if (name === "shared") prompt.set(prefix);
    return prompt;
  });
}

/** Tokens of a 32,000 token vocabulary, none of them special; the same for the same seed. */
export function randomTokens(seed: number, count: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: count }, () => firstWord + random.below(32_000 - firstWord));
}

const firstWord = 3 + 256;
