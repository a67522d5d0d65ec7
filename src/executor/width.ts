/** Steps that judge a width. */
const trialSteps = 16;
/** What another width must gain: less is noise. */
const worthChanging = 1.05;
/** Decode steps at the present width before another one is first tried; each trial without a gain doubles it. */
const firstPatience = 256;
const longestPatience = 16_384;
/** Fewer sequences than this are never too many. */
const leastToNarrow = 8;

/**
 * How many sequences of a job run at once. The plan's number fills the memory; whether it is also the fastest only the
 * machine can tell, when caches and cores have their say. So steps are timed by the number of their tokens, a
 * narrower or wider one is tried now and then, and the one with the most tokens per second stays. Never more than planned.
 */
export class WidthController {
  private readonly msOf: number[] = [];
  private current: number;
  /** The width before a trial began; undefined outside of one. */
  private tryingFrom: number | undefined;
  /** Where the next trial goes: on, where the last one gained, else back. */
  private isWidening = false;
  private steps = 0;
  private patience = firstPatience;

  constructor(private readonly most: number) {
    this.current = most;
  }

  /** Sequences that may run at once. */
  get width(): number {
    return this.current;
  }

  /** A step in which each of `width` sequences was continued by one token. */
  observe(width: number, ms: number): void {
    const known = this.msOf[width];
    this.msOf[width] = known === undefined ? ms : known + (ms - known) * 0.1;
    // Sequences end before others join, and a narrower width is reached only as they end: such steps decide nothing.
    if (this.most < leastToNarrow || width !== this.current) return;
    this.steps++;
    if (this.tryingFrom !== undefined) {
      if (this.steps >= trialSteps) this.judge(this.tryingFrom);
    } else if (this.steps >= this.patience) this.try();
  }

  private try(): void {
    this.tryingFrom = this.current;
    this.steps = 0;
    if (this.current === this.most) this.isWidening = false;
    if (this.current < leastToNarrow) this.isWidening = true;
    this.current = this.isWidening
      ? Math.min(this.most, Math.ceil(this.current * 1.25))
      : Math.ceil(this.current * 0.75);
    // The machine may have changed since it was measured last.
    delete this.msOf[this.current];
  }

  private judge(before: number): void {
    this.tryingFrom = undefined;
    this.steps = 0;
    if (this.rate(this.current) >= worthChanging * this.rate(before)) {
      this.patience = firstPatience;
      return;
    }
    this.current = before;
    this.isWidening = !this.isWidening;
    this.patience = Math.min(longestPatience, this.patience * 2);
  }

  private rate(width: number): number {
    const ms = this.msOf[width];
    return ms === undefined || ms <= 0 ? 0 : width / ms;
  }
}
