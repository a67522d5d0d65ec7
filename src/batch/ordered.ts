/** Results that are held back at most, and their bytes. */
const mostHeld = 4096;
const mostHeldBytes = 64 << 20;

/**
 * Puts results into the order of the input. Each line is announced when it is read and settled when its result is there;
 * what is settled comes out as soon as all lines before it have. While an early line takes long, `isFull` says that no more
 * should be begun: so no more is held than its bounds and what runs.
 */
export class InOrder<T extends { line: string }> {
  private readonly expected: number[] = [];
  private readonly settled = new Map<number, T>();
  private first = 0;
  private heldBytes = 0;

  get isFull(): boolean {
    return this.settled.size >= mostHeld || this.heldBytes >= mostHeldBytes;
  }

  /** Whether the result of this line would have to wait. */
  mustWait(number: number): boolean {
    return this.expected[this.first] !== number;
  }

  /** A line was read that will have a result. */
  announce(number: number): void {
    this.expected.push(number);
  }

  /** The results that may be written now. */
  settle(number: number, result: T): T[] {
    this.settled.set(number, result);
    this.heldBytes += result.line.length;
    const ready: T[] = [];
    for (;;) {
      const next = this.expected[this.first];
      const settled = next === undefined ? undefined : this.settled.get(next);
      if (next === undefined || settled === undefined) break;
      this.settled.delete(next);
      this.heldBytes -= settled.line.length;
      ready.push(settled);
      this.first++;
    }
    if (this.first > 4096) {
      this.expected.splice(0, this.first);
      this.first = 0;
    }
    return ready;
  }
}
