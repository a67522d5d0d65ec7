import type { ScoringWindow } from "../engine/protocol.js";
import { JaugeError } from "../errors.js";

/**
 * A text in windows of equal length, each computed by itself, as llama.cpp's perplexity and imatrix tools cut it
 * (v0.5.0): what is left at the end is dropped, and where a model wants a token that begins a text, it takes the place
 * of each window's first one. The second half of a window is scored: by then the model has something to go by.
 */
export class Windows {
  readonly count: number;

  /** Errors: `text-too-short` where there is no whole window. */
  constructor(
    private readonly tokens: Int32Array,
    readonly size: number,
    private readonly begin: { bos: number; addBos: boolean },
    most = Number.POSITIVE_INFINITY,
  ) {
    this.count = Math.min(most, Math.floor(tokens.length / size));
    if (this.count === 0) throw new JaugeError("text-too-short", { tokens: tokens.length, needed: size });
  }

  /** Scored tokens of each window. */
  get scoredTokens(): number {
    return this.size - 1 - Math.floor(this.size / 2);
  }

  at(index: number): Pick<ScoringWindow, "tokens" | "firstScored"> {
    const tokens = this.tokens.slice(index * this.size, (index + 1) * this.size);
    if (this.begin.addBos && this.begin.bos >= 0) tokens[0] = this.begin.bos;
    return { tokens, firstScored: Math.floor(this.size / 2) };
  }
}
