import type { TokenLogprobs } from "../protocol.js";

/** Index of the greatest value; the first of equals, as ggml's own greedy sampler has it. */
export function argmax(values: Float32Array): number {
  let best = 0;
  let greatest = values[0]!;
  for (let index = 1; index < values.length; index++) {
    const value = values[index]!;
    if (value > greatest) {
      greatest = value;
      best = index;
    }
  }
  return best;
}

/** Natural-log probabilities of the chosen token and of the `count` most probable ones, from raw logits. */
export function logprobsOf(logits: Float32Array, chosen: number, count: number): TokenLogprobs {
  const normalizer = logSumExp(logits, logits[argmax(logits)]!);
  const top = greatestIndices(logits, count).map((token) => ({
    token,
    logprob: logits[token]! - normalizer,
  }));
  return { token: chosen, logprob: logits[chosen]! - normalizer, top };
}

/** The logarithm of the sum of the exponentials, which a logit minus is its log-probability. */
export function logSumExp(values: Float32Array, greatest: number): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += Math.exp(values[index]! - greatest);
  return greatest + Math.log(sum);
}

/** The indices of the `count` greatest values, in falling order; ties keep index order. */
function greatestIndices(values: Float32Array, count: number): number[] {
  const kept: number[] = [];
  if (count <= 0) return kept;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (kept.length === count && value <= values[kept[count - 1]!]!) continue;
    let place = kept.length;
    while (place > 0 && values[kept[place - 1]!]! < value) place--;
    kept.splice(place, 0, index);
    if (kept.length > count) kept.pop();
  }
  return kept;
}
