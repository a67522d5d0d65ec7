import type { Encoding } from "./format.js";
import { halfValues } from "./half.js";
import type { Words } from "./words.js";

/**
 * Turns consecutive blocks of a row into 32-bit floats, computed in single precision as ggml's scalar code of the time
 * did. Offsets are in bytes: `from` a multiple of the source block's alignment, `to` of four.
 */
export type Dequantise = (source: Words, from: number, target: Words, to: number, blocks: number) => void;

/**
 * What today's blocks cannot hold without rounding: types with 32-bit scales, and those with blocks of 16.
 *
 * Source: `dequantize_row_q4_0` and its kin in ggml.c of llama.cpp at 36d19a6~1, b9fd7ee~1, b9fd7ee and 2d5db48~1.
 */
export const dequantisers: Partial<Record<Encoding, Dequantise>> = {
  "q4_0-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, -1, 5, (from >>> 2) + 1, 5, target, to, blocks, true),
  "q4_0-halves": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, -1, 5, (from >>> 2) + 1, 5, target, to, blocks, false),
  "q4_1-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, (from >>> 2) + 1, 6, (from >>> 2) + 2, 6, target, to, blocks, true),
  "q4_1-halves": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, (from >>> 2) + 1, 6, (from >>> 2) + 2, 6, target, to, blocks, false),
  q4_2: (source, from, target, to, blocks) => sixteens(source, from, target, to, blocks, false),
  q4_3: (source, from, target, to, blocks) => sixteens(source, from, target, to, blocks, true),
  "q8_0-float": eightBits,
};

/** Of rows with all their scales first, as `rowReencoders`. */
export const rowDequantisers: Partial<Record<Encoding, Dequantise>> = {
  "q4_0-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, -1, 1, (from >>> 2) + blocks, 4, target, to, blocks, true),
  "q4_1-neighbours": (source, from, target, to, blocks) => {
    const word = from >>> 2;
    fourBits(source, word + blocks, word, 1, word + 2 * blocks, 4, target, to, blocks, true);
  },
};

/** Q4_0 (`minimumAt` negative) and Q4_1: offsets and strides in words of four bytes. */
function fourBits(
  { words, floats }: Words,
  scaleAt: number,
  minimumAt: number,
  scaleStride: number,
  quantsAt: number,
  quantsStride: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
  neighbours: boolean,
): void {
  const zero = minimumAt < 0 ? 8 : 0;
  for (let block = 0; block < blocks; block++) {
    const scale = floats[scaleAt + block * scaleStride]!;
    const minimum = minimumAt < 0 ? -0 : floats[minimumAt + block * scaleStride]!;
    const quants = quantsAt + block * quantsStride;
    const out = (to >>> 2) + block * 32;
    if (neighbours) pairs(words, quants, target, out, scale, minimum, zero);
    else halves(words, quants, target, out, scale, minimum, zero);
  }
}

function pairs(
  words: Uint32Array,
  at: number,
  target: Float32Array,
  to: number,
  scale: number,
  minimum: number,
  zero: number,
): void {
  for (let word = 0; word < 4; word++) {
    const eight = words[at + word]!;
    const out = to + 8 * word;
    target[out] = value((eight & 15) - zero, scale, minimum);
    target[out + 1] = value(((eight >>> 4) & 15) - zero, scale, minimum);
    target[out + 2] = value(((eight >>> 8) & 15) - zero, scale, minimum);
    target[out + 3] = value(((eight >>> 12) & 15) - zero, scale, minimum);
    target[out + 4] = value(((eight >>> 16) & 15) - zero, scale, minimum);
    target[out + 5] = value(((eight >>> 20) & 15) - zero, scale, minimum);
    target[out + 6] = value(((eight >>> 24) & 15) - zero, scale, minimum);
    target[out + 7] = value((eight >>> 28) - zero, scale, minimum);
  }
}

function halves(
  words: Uint32Array,
  at: number,
  target: Float32Array,
  to: number,
  scale: number,
  minimum: number,
  zero: number,
): void {
  for (let word = 0; word < 4; word++) {
    const eight = words[at + word]!;
    const out = to + 4 * word;
    target[out] = value((eight & 15) - zero, scale, minimum);
    target[out + 16] = value(((eight >>> 4) & 15) - zero, scale, minimum);
    target[out + 1] = value(((eight >>> 8) & 15) - zero, scale, minimum);
    target[out + 17] = value(((eight >>> 12) & 15) - zero, scale, minimum);
    target[out + 2] = value(((eight >>> 16) & 15) - zero, scale, minimum);
    target[out + 18] = value(((eight >>> 20) & 15) - zero, scale, minimum);
    target[out + 3] = value(((eight >>> 24) & 15) - zero, scale, minimum);
    target[out + 19] = value((eight >>> 28) - zero, scale, minimum);
  }
}

/** Two roundings to single precision, of the product and of the sum. A minimum of −0 leaves all products as they are. */
function value(quant: number, scale: number, minimum: number): number {
  return Math.fround(quant * scale) + minimum;
}

/** Q4_2 and Q4_3: blocks of 16 with scales, and minima, of half precision. */
function sixteens(
  { halves: source }: Words,
  from: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
  withMinimum: boolean,
): void {
  const values = halfValues();
  let read = from >>> 1;
  let out = to >>> 2;
  for (let block = 0; block < blocks; block++) {
    const scale = values[source[read++]!]!;
    const minimum = withMinimum ? values[source[read++]!]! : -0;
    const zero = withMinimum ? 0 : 8;
    for (let word = 0; word < 4; word++, read++, out += 4) {
      const four = source[read]!;
      target[out] = value((four & 15) - zero, scale, minimum);
      target[out + 1] = value(((four >>> 4) & 15) - zero, scale, minimum);
      target[out + 2] = value(((four >>> 8) & 15) - zero, scale, minimum);
      target[out + 3] = value((four >>> 12) - zero, scale, minimum);
    }
  }
}

/** Q8_0 with a 32-bit scale. */
function eightBits(
  { words, floats }: Words,
  from: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
): void {
  let read = from >>> 2;
  let out = to >>> 2;
  for (let block = 0; block < blocks; block++) {
    const scale = floats[read++]!;
    for (let word = 0; word < 8; word++, read++, out += 4) {
      const four = words[read]!;
      target[out] = ((four << 24) >> 24) * scale;
      target[out + 1] = ((four << 16) >> 24) * scale;
      target[out + 2] = ((four << 8) >> 24) * scale;
      target[out + 3] = (four >> 24) * scale;
    }
  }
}
