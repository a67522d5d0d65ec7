import type { Sequence } from "./sequence.js";
import type { StepTiming } from "./timing.js";
import type { TokenList } from "./tokens.js";

const longestDraft = 8;
const longestMatch = 4;
const shortestMatch = 2;
/** How far back to look for a match, in tokens. */
const lookBack = 16_384;

/**
 * Speculation without a draft model: where the last tokens occurred before, what followed them then is the guess
 * (prompt lookup). Verifying guesses takes one micro-batch; the choice at every position is made by the
 * sequence's own sampler, so the text is the one it would have been. How many to guess is what
 * gains the most tokens per millisecond by measured step times and this sequence's rate of right guesses.
 */
export class Speculator {
  constructor(private readonly timing: StepTiming) {}

  /** Tokens to guess after the last one of the sequence; empty where guessing would not pay. */
  draft(sequence: Sequence, batchTokens: number, room: number): Int32Array {
    const limit = Math.min(longestDraft, room);
    if (limit <= 0) return none;
    const match = findContinuation(sequence.tokens, limit);
    if (match.length === 0) return none;
    const length = this.bestLength(sequence.acceptance, match.length, batchTokens);
    return match.subarray(0, length);
  }

  /** Learns from a verified draft. */
  observe(sequence: Sequence, drafted: number, accepted: number): void {
    sequence.speculated += drafted;
    sequence.accepted += accepted;
    // Each position up to the first wrong one was a trial.
    const trials = Math.min(drafted, accepted + 1);
    for (let trial = 0; trial < trials; trial++) {
      sequence.acceptance += ((trial < accepted ? 1 : 0) - sequence.acceptance) * 0.1;
    }
  }

  private bestLength(acceptance: number, longest: number, batchTokens: number): number {
    const base = this.timing.decodeMsFor(batchTokens);
    if (base === undefined) return 0;
    let best = 0;
    let bestRate = batchTokens / base;
    let expected = batchTokens;
    let chance = 1;
    for (let length = 1; length <= longest; length++) {
      chance *= acceptance;
      expected += chance;
      const rate = expected / this.timing.decodeMsFor(batchTokens + length)!;
      if (rate > bestRate) {
        bestRate = rate;
        best = length;
      }
    }
    return best;
  }
}

const none = new Int32Array(0);

/** What followed the most recent earlier occurrence of the last tokens, the longest match first. */
function findContinuation(tokens: TokenList, limit: number): Int32Array {
  const end = tokens.length;
  const earliest = Math.max(0, end - lookBack);
  for (let size = longestMatch; size >= shortestMatch; size--) {
    for (let start = end - size - 1; start >= earliest; start--) {
      let same = 0;
      while (same < size && tokens.at(start + same) === tokens.at(end - size + same)) same++;
      if (same < size) continue;
      const from = start + size;
      return tokens.view(from, Math.min(from + limit, end));
    }
  }
  return none;
}
