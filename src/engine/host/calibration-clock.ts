import { median } from "../../statistics.js";
/** Keeps a calibration within its time. */
export class Clock {
  private end: number;
  private readonly latestEnd: number;
  /** Seconds that first runs took beyond later ones: what a driver compiles then. */
  firstRunSeconds = 0;

  /** `limitSeconds` does not count shaders that are compiled at a first run, up to as much again. */
  constructor(
    limitSeconds: number,
    private readonly whole?: Clock,
  ) {
    this.end = performance.now() + limitSeconds * 1000;
    this.latestEnd = this.end + limitSeconds * 1000;
  }

  /** Whether something that takes about so long would still end in time. */
  allows(seconds: number): boolean {
    return performance.now() + seconds * 1000 < this.end;
  }

  /** A clock with one of `count` equal shares of the time left, or with what all points of a type take at most. */
  share(count: number): Clock {
    const left = Math.max(0, (this.end - performance.now()) / 1000);
    return new Clock(Math.max(left / count, Math.min(left, wholeTypeSeconds)), this);
  }

  /**
   * The time of `run`, in seconds: the median of at least three runs and about 30 ms, as a model meets what else goes
   * on in a machine too. A first run is not counted: it touches pages and compiles shaders. What
   * `prepare` does before each run is not counted either. Runs that take long are their own average: one may be enough.
   */
  async time(
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
    const usual = median(times);
    this.forgive(Math.max(0, first - usual));
    return usual / 1000;
  }

  private forgive(ms: number): void {
    this.firstRunSeconds += ms / 1000;
    this.end = Math.min(this.end + ms, this.latestEnd);
    this.whole?.forgive(ms);
  }
}

const wholeTypeSeconds = 3;
const mostRuns = 500;
const enoughMs = 30;
const alreadyEnoughMs = 100;
