import type { MemoryTensor } from "../memory-checkpoint.js";

/** One vector per token. */
export type Sequence = Float64Array[];

/** The plain operations of transformers in double precision, over weights by their stored names. */
export class Weights {
  private readonly values: Map<string, Float32Array>;

  constructor(tensors: ReadonlyMap<string, MemoryTensor>) {
    this.values = new Map(
      Array.from(tensors, ([name, { bytes }]) => [name, new Float32Array(bytes.buffer, bytes.byteOffset)]),
    );
  }

  get(name: string): Float32Array {
    const found = this.values.get(name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  }

  rows(name: string, ids: readonly number[], size: number): Sequence {
    const table = this.get(name);
    return ids.map((id) => Float64Array.from(table.subarray(id * size, (id + 1) * size)));
  }

  /** `y = W x + b`, W stored as outputs by inputs. */
  linear(name: string, input: Sequence): Sequence {
    const weight = this.get(`${name}.weight`);
    const bias = this.values.get(`${name}.bias`);
    return input.map((x) => {
      const outputs = weight.length / x.length;
      return Float64Array.from({ length: outputs }, (_, row) => {
        let sum = bias?.[row] ?? 0;
        for (let column = 0; column < x.length; column++)
          sum += weight[row * x.length + column]! * x[column]!;
        return sum;
      });
    });
  }

  /** `y = x W + b`, W stored as inputs by outputs. */
  convolution(name: string, input: Sequence): Sequence {
    const weight = this.get(`${name}.weight`);
    const bias = this.get(`${name}.bias`);
    return input.map((x) =>
      Float64Array.from(bias, (start, column) => {
        let sum = start;
        for (let row = 0; row < x.length; row++) sum += weight[row * bias.length + column]! * x[row]!;
        return sum;
      }),
    );
  }

  /** Over parts of the size of the weight: whole vectors, or heads. */
  rmsNorm(name: string, input: Sequence, epsilon: number, offset = 0): Sequence {
    const weight = this.get(`${name}.weight`);
    return input.map((x) => {
      const result = new Float64Array(x.length);
      for (let from = 0; from < x.length; from += weight.length) {
        const part = x.subarray(from, from + weight.length);
        const scale = 1 / Math.sqrt(mean(part.map((value) => value * value)) + epsilon);
        part.forEach((value, index) => {
          result[from + index] = value * scale * (weight[index]! + offset);
        });
      }
      return result;
    });
  }

  layerNorm(name: string, input: Sequence, epsilon: number): Sequence {
    const [weight, bias] = [this.get(`${name}.weight`), this.get(`${name}.bias`)];
    return input.map((x) => {
      const center = mean(x);
      const scale = 1 / Math.sqrt(mean(x.map((value) => (value - center) ** 2)) + epsilon);
      return x.map((value, index) => (value - center) * scale * weight[index]! + bias[index]!);
    });
  }
}

export interface AttentionSettings {
  heads: number;
  kvHeads: number;
  /** Tokens that a token sees, itself included; all before it where absent. */
  window?: number;
}

/** Scaled dot-product attention of each token to those before it; heads share K and V in groups. */
export function attend(
  queries: Sequence,
  keys: Sequence,
  values: Sequence,
  settings: AttentionSettings,
): Sequence {
  const { heads, kvHeads, window = Number.POSITIVE_INFINITY } = settings;
  const size = queries[0]!.length / heads;
  return queries.map((query, position) => {
    const result = new Float64Array(query.length);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads)) * size;
      const first = Math.max(0, position - window + 1);
      const scores = Array.from({ length: position - first + 1 }, (_, index) => {
        let dot = 0;
        for (let at = 0; at < size; at++)
          dot += query[head * size + at]! * keys[first + index]![shared + at]!;
        return dot / Math.sqrt(size);
      });
      softmax(scores).forEach((weight, index) => {
        for (let at = 0; at < size; at++)
          result[head * size + at]! += weight * values[first + index]![shared + at]!;
      });
    }
    return result;
  });
}

/** Turns element `i` of each head with element `i + half` by position times the frequency of `i`. */
export function rope(input: Sequence, headSize: number, frequencies: readonly number[]): Sequence {
  const half = headSize / 2;
  return input.map((x, position) => {
    const result = Float64Array.from(x);
    for (let head = 0; head < x.length; head += headSize)
      for (let pair = 0; pair < half; pair++) {
        const angle = position * frequencies[pair]!;
        const [a, b] = [x[head + pair]!, x[head + pair + half]!];
        result[head + pair] = a * Math.cos(angle) - b * Math.sin(angle);
        result[head + pair + half] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    return result;
  });
}

export function frequencies(base: number, headSize: number): number[] {
  return Array.from({ length: headSize / 2 }, (_, pair) => base ** ((-2 * pair) / headSize));
}

export function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

export const silu = (value: number) => value / (1 + Math.exp(-value));
export const geluTanh = (value: number) =>
  0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));

export function plus(a: Sequence, b: Sequence): Sequence {
  return a.map((x, token) => x.map((value, index) => value + b[token]![index]!));
}

export function times(a: Sequence, b: Sequence): Sequence {
  return a.map((x, token) => x.map((value, index) => value * b[token]![index]!));
}

export function each(input: Sequence, change: (value: number) => number): Sequence {
  return input.map((x) => x.map(change));
}

function mean(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}
