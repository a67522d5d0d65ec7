/** One thing measured once, in a process of its own. */
export interface Measurement {
  /** `pp512`, `tg128`, `shared`, `distinct`. */
  test: string;
  /** Wall time, from the first call to the last token. */
  seconds: number;
  /** Tokens that were asked for, prefilled or generated: what tokens per second count. */
  tokens: number;
  /** What was generated, by request. */
  generated: number[][];
}

/** What a contender runs with. */
export interface RunOptions {
  modelPath: string;
  threads: number;
}

/** Hands measurements to the process that asked for them: one line of JSON. */
export function report(measurements: Measurement[]): void {
  process.stdout.write(`${JSON.stringify(measurements)}\n`);
}

/** Times `work`, in seconds. */
export async function timed<Result>(
  work: () => Result | Promise<Result>,
): Promise<{ seconds: number; result: Result }> {
  const start = performance.now();
  const result = await work();
  return { seconds: (performance.now() - start) / 1000, result };
}
