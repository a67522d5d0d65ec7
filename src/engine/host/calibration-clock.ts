/** Keeps a calibration within its time. */
export class Clock {
  private readonly end: number;

  constructor(limitSeconds: number) {
    this.end = performance.now() + limitSeconds * 1000;
  }

  /** Whether something that takes about so long would still end in time. */
  allows(seconds: number): boolean {
    return performance.now() + seconds * 1000 < this.end;
  }

  /** A clock with one of `count` equal shares of the time left, and always enough for one token's speed. */
  share(count: number): Clock {
    return new Clock(Math.max(0.15, (this.end - performance.now()) / 1000 / count));
  }

  /**
   * The median time of `run`, in seconds, over at least three runs and about 60 ms; one run that takes longer than
   * 250 ms stands alone, for it is its own average. A first run is not counted: it touches pages and compiles shaders.
   * What `prepare` does before each run is not counted either.
   */
  async median(
    run: () => Promise<void> | void,
    prepare: (repetition: number) => Promise<void> | void = () => {},
  ): Promise<number> {
    await prepare(0);
    await run();
    const times: number[] = [];
    let total = 0;
    while (times.length < mostRuns && (times.length < 3 || total < enoughMs) && total < alreadyEnoughMs) {
      await prepare(times.length + 1);
      const start = performance.now();
      await run();
      const time = performance.now() - start;
      times.push(time);
      total += time;
    }
    times.sort((a, b) => a - b);
    return times[Math.floor(times.length / 2)]! / 1000;
  }
}

const mostRuns = 500;
const enoughMs = 60;
const alreadyEnoughMs = 250;
