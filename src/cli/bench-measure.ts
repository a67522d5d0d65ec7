import { greedy } from "../engine/sampling.js";
import type { GenerationStats } from "../executor/request.js";
import type { Model } from "../model.js";

/** Tokens of a prompt, then tokens generated; either may be 0. */
export interface BenchTest {
  prompt: number;
  generated: number;
}

export interface Measurement {
  /** Median over the repetitions. */
  tokensPerSecond: number;
  /** Standard deviation over the repetitions. */
  spread: number;
}

/** Runs a test once to warm up, then `repetitions` times, each with other random tokens: no prefix is in the cache. */
export async function measure(model: Model, test: BenchTest, repetitions: number): Promise<Measurement> {
  await runOnce(model, test);
  const speeds: number[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) speeds.push(await runOnce(model, test));
  return { tokensPerSecond: median(speeds), spread: standardDeviation(speeds) };
}

/** Tokens per second of one run. A generation starts from one token; its first one counts as prompt. */
async function runOnce(model: Model, test: BenchTest): Promise<number> {
  const { stats } = await model.generate({
    tokens: randomTokens(Math.max(1, test.prompt), model.info.model.vocabularySize),
    sampling: { ...greedy, ignoreEndOfGeneration: true },
    maxTokens: test.generated + 1,
  }).result;
  return (test.prompt + test.generated) / seconds(stats, test);
}

function seconds(stats: GenerationStats, test: BenchTest): number {
  const prompt = test.prompt > 0 ? test.prompt / (stats.promptTokensPerSecond ?? Number.NaN) : 0;
  const generation =
    test.generated > 0 ? test.generated / (stats.generationTokensPerSecond ?? Number.NaN) : 0;
  return prompt + generation;
}

function randomTokens(count: number, vocabularySize: number): Int32Array {
  return Int32Array.from({ length: count }, () => Math.floor(Math.random() * vocabularySize));
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function standardDeviation(values: number[]): number {
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
