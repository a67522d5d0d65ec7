import { Random } from "./random.js";
import { randomTokens } from "./workloads.js";

/** Jobs of requests of many lengths. `mixed`: all different. `scattered`: half of them begin alike, others in between. */
export const requestWorkloads = ["mixed", "scattered"] as const;
export type RequestWorkload = (typeof requestWorkloads)[number];

/** A request: greedy, past any end token, so that all contenders do the same work. */
export interface TimedRequest {
  prompt: Int32Array;
  /** Tokens of the answer. */
  answer: number;
}

const shortestPrompt = 16;
const longestPrompt = 512;
const shortestAnswer = 8;
const longestAnswer = 256;
const prefixTokens = 512;

/**
 * Requests of a job, in the order of its file. `mixed`: `count` of them, lengths of prompts and answers as Zipf has them
 * (a length half as long is twice as frequent). `scattered`: as many more, each a prefix of 512 tokens and one of the same
 * mixed ends, at random places.
 */
export function requestsOf(workload: RequestWorkload, count: number, seed = 1): TimedRequest[] {
  const mixed = mixedRequests(count, seed);
  if (workload === "mixed") return mixed;
  const prefix = randomTokens(1_000 + seed, prefixTokens);
  const shared = mixedRequests(count, seed + 1).map(({ prompt, answer }) => {
    const end = prompt.subarray(0, Math.max(shortestPrompt, prompt.length >> 3));
    const whole = new Int32Array(prefixTokens + end.length);
    whole.set(prefix);
    whole.set(end, prefixTokens);
    return { prompt: whole, answer };
  });
  return shuffled([...mixed, ...shared], new Random(seed + 2));
}

/** Tokens of the longest request, prompt and answer. */
export function longestOf(requests: readonly TimedRequest[]): number {
  return Math.max(...requests.map(({ prompt, answer }) => prompt.length + answer));
}

/** Tokens of prompts, those of a common beginning once, and of answers: what has to be computed. */
export function neededTokens(workload: RequestWorkload, requests: readonly TimedRequest[]) {
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const all = sum(requests.map(({ prompt }) => prompt.length));
  const again = workload === "scattered" ? (requests.length / 2 - 1) * prefixTokens : 0;
  return { prompts: all - again, answers: sum(requests.map(({ answer }) => answer)) };
}

function mixedRequests(count: number, seed: number): TimedRequest[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => ({
    prompt: randomTokens(10_000 * seed + index, zipf(random, shortestPrompt, longestPrompt)),
    answer: zipf(random, shortestAnswer, longestAnswer),
  }));
}

/** From `least` to `most`, each with a probability in inverse proportion to it. */
function zipf(random: Random, least: number, most: number): number {
  return Math.min(most, Math.floor(least * ((most + 1) / least) ** (random.next() / 2 ** 32)));
}

function shuffled<Item>(items: Item[], random: Random): Item[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [items[index], items[other]] = [items[other]!, items[index]!];
  }
  return items;
}
