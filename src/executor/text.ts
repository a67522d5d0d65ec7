/**
 * The text of a generation as it grows: whole characters only, and never a stop string or the beginning of one.
 * Tokens bring bytes; a character may be split over several of them.
 */
export class TextStream {
  /** What may be shown. */
  text = "";
  /** Whether a stop string was met; it and all after it are left out. */
  stopped = false;
  private readonly decoder = new TextDecoder("utf-8");
  private readonly stops: string[];
  /** Decoded text held back: it may be the beginning of a stop string. */
  private held = "";

  constructor(
    stops: string[] = [],
    private readonly trimStart = false,
  ) {
    this.stops = stops.filter((stop) => stop.length > 0);
  }

  add(bytes: Uint8Array): void {
    if (this.stopped) return;
    this.held += this.decoder.decode(bytes, { stream: true });
    const end = this.firstStop();
    if (end >= 0) {
      this.show(this.held.slice(0, end));
      this.held = "";
      this.stopped = true;
      return;
    }
    const safe = this.held.length - this.possibleStopLength();
    this.show(this.held.slice(0, safe));
    this.held = this.held.slice(safe);
  }

  /** No more tokens come: shows what was held back. Bytes of an unfinished character are dropped. */
  end(): void {
    if (!this.stopped) this.show(this.held);
    this.held = "";
  }

  private show(text: string): void {
    this.text += this.trimStart && this.text === "" ? text.trimStart() : text;
  }

  /** Where the stop string that is complete first begins; of those that end together, the longest. -1: none. */
  private firstStop(): number {
    let first = -1;
    let firstEnd = Number.POSITIVE_INFINITY;
    for (const stop of this.stops) {
      const place = this.held.indexOf(stop);
      const end = place + stop.length;
      if (place < 0 || end > firstEnd || (end === firstEnd && place > first)) continue;
      first = place;
      firstEnd = end;
    }
    return first;
  }

  /** Length of the longest end of `held` that begins a stop string. */
  private possibleStopLength(): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, this.held.length); length > longest; length--) {
        if (this.held.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
