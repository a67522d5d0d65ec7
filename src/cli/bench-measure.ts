import { greedy } from "../engine/sampling.js";
import type { GenerationStats } from "../executor/request.js";
import type { Model } from "../model.js";
import { median } from "../statistics.js";

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

/**
 * Runs a test once to warm up, then `repetitions` times, each with other random tokens: no prefix is in the cache.
 * `onRun` is called before each.
 */
export async function measure(
  model: Model,
  test: BenchTest,
  repetitions: number,
  onRun: (repetition: number) => void,
): Promise<Measurement> {
  const speeds: number[] = [];
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    onRun(repetition);
    const speed = await runOnce(model, test);
    if (repetition > 0) speeds.push(speed);
  }
  return { tokensPerSecond: median(speeds), spread: standardDeviation(speeds) };
}

/** Tokens per second of one run. A generation starts from one token; its first one counts as prompt. */
async function runOnce(model: Model, test: BenchTest): Promise<number> {
  const maxTokens = test.generated + 1;
  let stats = await generate(model, test.prompt, maxTokens, false);
  // Forbidding the end token takes a sampler over the whole vocabulary: only where the model did end early.
  if (stats.generatedTokens < maxTokens) stats = await generate(model, test.prompt, maxTokens, true);
  return (test.prompt + test.generated) / seconds(stats, test);
}

async function generate(
  model: Model,
  prompt: number,
  maxTokens: number,
  ignoreEndOfGeneration: boolean,
): Promise<GenerationStats> {
  const tokens = randomTokens(Math.max(1, prompt), model.info.model.vocabularySize);
  const sampling = { ...greedy, ignoreEndOfGeneration };
  return (await model.generate({ tokens, sampling, maxTokens }).result).stats;
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

function standardDeviation(values: number[]): number {
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
