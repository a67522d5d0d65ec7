/** What a model made of each scored token of a text, in the order of the text. */
export interface Scores {
  /** −ln p of the token that follows. */
  surprise: Float64Array;
  /** From the reference model's predictions, in nats. */
  divergence?: Float64Array;
  /** 1 where both models find the same token most probable. */
  sameTop?: Uint8Array;
  /** Tokens computed, and the time that took. */
  tokens: number;
  decodeMs: number;
}

export interface Perplexity {
  /** e to the mean surprise. */
  perplexity: number;
  /** Standard error of it: how far another text of the same kind might lead. */
  perplexityError: number;
}

/** Source: perplexity() in tools/perplexity/perplexity.cpp of llama.cpp v0.5.0. */
export function perplexityOf(surprise: Float64Array): Perplexity {
  const { mean, standardError } = meanOf(surprise);
  const perplexity = Math.exp(mean);
  return { perplexity, perplexityError: perplexity * standardError };
}

/** How far a model's predictions are from the reference's. Divergences are in nats. */
export interface Divergence {
  mean: number;
  standardError: number;
  median: number;
  percentile99: number;
  greatest: number;
  /** Part of the positions at which both find the same token most probable. */
  topAgreement: number;
  /** Root mean square of the change in the probability of the token that follows. */
  probabilityChange: number;
  /** Perplexity divided by the reference's. Both know the same text, so its error is smaller than theirs. */
  perplexityRatio: number;
  perplexityRatioError: number;
}

export function divergenceOf(scores: Scores, reference: Scores): Divergence {
  const divergence = scores.divergence!;
  const { mean, standardError } = meanOf(divergence);
  const sorted = divergence.toSorted();
  const count = divergence.length;
  const changes = new Float64Array(count);
  let squares = 0;
  let same = 0;
  for (let index = 0; index < count; index++) {
    changes[index] = scores.surprise[index]! - reference.surprise[index]!;
    squares += (Math.exp(-scores.surprise[index]!) - Math.exp(-reference.surprise[index]!)) ** 2;
    same += scores.sameTop![index]!;
  }
  const change = meanOf(changes);
  const perplexityRatio = Math.exp(change.mean);
  return {
    ...{ mean, standardError },
    median: quantile(sorted, 0.5),
    percentile99: quantile(sorted, 0.99),
    greatest: sorted.at(-1)!,
    topAgreement: same / count,
    probabilityChange: Math.sqrt(squares / count),
    perplexityRatio,
    perplexityRatioError: perplexityRatio * change.standardError,
  };
}

function meanOf(values: Float64Array): { mean: number; standardError: number } {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const variance = squares / values.length;
  return { mean, standardError: values.length > 1 ? Math.sqrt(variance / (values.length - 1)) : 0 };
}

/** Between the two values nearest to that part of the way through; `sorted` rises. */
export function quantile(sorted: Float64Array, part: number): number {
  const place = part * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  const share = place - below;
  // A value of infinity must not become no number by being multiplied by nothing.
  return share === 0 ? sorted[below]! : sorted[below]! * (1 - share) + sorted[above]! * share;
}
