/** Keeps a calibration within its time. */
export class Clock {
  private end: number;
  private readonly latestEnd: number;

  /** `limitSeconds` does not count shaders that are compiled at a first run, up to twice as much again. */
  constructor(
    limitSeconds: number,
    private readonly whole?: Clock,
  ) {
    this.end = performance.now() + limitSeconds * 1000;
    this.latestEnd = this.end + 2 * limitSeconds * 1000;
  }

  /** Whether something that takes about so long would still end in time. */
  allows(seconds: number): boolean {
    return performance.now() + seconds * 1000 < this.end;
  }

  /** A clock with one of `count` equal shares of the time left. */
  share(count: number): Clock {
    return new Clock(Math.max(0, (this.end - performance.now()) / 1000 / count), this);
  }

  /**
   * The median time of `run`, in seconds, over at least three runs and about 50 ms; runs that take over 150 ms together
   * are enough, for each is its own average. A first run is not counted: it touches pages and compiles shaders. What
   * `prepare` does before each run is not counted either.
   */
  async median(
    run: () => Promise<void> | void,
    prepare: (repetition: number) => Promise<void> | void = () => {},
  ): Promise<number> {
    const timed = async (repetition: number) => {
      await prepare(repetition);
      const start = performance.now();
      await run();
      return performance.now() - start;
    };
    const first = await timed(0);
    const times: number[] = [];
    let total = 0;
    while (times.length < mostRuns && (times.length < 3 || total < enoughMs) && total < alreadyEnoughMs) {
      const time = await timed(times.length + 1);
      times.push(time);
      total += time;
    }
    times.sort((a, b) => a - b);
    const median = times[Math.floor(times.length / 2)]!;
    this.forgive(Math.max(0, first - median));
    return median / 1000;
  }

  private forgive(ms: number): void {
    this.end = Math.min(this.end + ms, this.latestEnd);
    this.whole?.forgive(ms);
  }
}

const mostRuns = 500;
const enoughMs = 50;
const alreadyEnoughMs = 150;
