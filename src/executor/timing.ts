/**
 * What steps cost on this machine, learned while running. Decode steps by their number of tokens (one, or a few
 * speculated), prefill by its rate.
 */
export class StepTiming {
  private readonly decodeMs: number[] = [];
  private prefillTokensPerMs = 0;

  /** A step that only decoded: `tokens` in all, each with logits. */
  observeDecode(tokens: number, ms: number): void {
    const known = this.decodeMs[tokens];
    this.decodeMs[tokens] = known === undefined ? ms : known + (ms - known) * 0.2;
  }

  /** A step whose time was mostly prefill. */
  observePrefill(tokens: number, ms: number): void {
    if (ms <= 0) return;
    const rate = tokens / ms;
    this.prefillTokensPerMs =
      this.prefillTokensPerMs === 0 ? rate : this.prefillTokensPerMs + (rate - this.prefillTokensPerMs) * 0.3;
  }

  /** Tokens that prefill computes in this time; undefined before the first measurement. */
  prefillTokensIn(ms: number): number | undefined {
    return this.prefillTokensPerMs === 0 ? undefined : this.prefillTokensPerMs * ms;
  }

  /**
   * Milliseconds of a decode step with this many tokens: measured, or drawn between the nearest measured counts.
   * Undefined before any measurement.
   */
  decodeMsFor(tokens: number): number | undefined {
    const exact = this.decodeMs[tokens];
    if (exact !== undefined) return exact;
    let below = tokens - 1;
    while (below > 0 && this.decodeMs[below] === undefined) below--;
    let above = tokens + 1;
    while (above < this.decodeMs.length && this.decodeMs[above] === undefined) above++;
    const low = this.decodeMs[below];
    const high = this.decodeMs[above];
    if (low !== undefined && high !== undefined)
      return low + ((high - low) * (tokens - below)) / (above - below);
    // Beyond what was measured: a guess to be corrected by trying. A token more costs little where weights bound.
    if (low !== undefined) return low * (1 + 0.1 * (tokens - below));
    return high;
  }
}
