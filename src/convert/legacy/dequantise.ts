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
    fourBits(source, from >>> 2, 5, (from >>> 2) + 1, 5, target, to, blocks, neighbours),
  "q4_0-halves": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, 5, (from >>> 2) + 1, 5, target, to, blocks, halves),
  "q4_1-neighbours": (source, from, target, to, blocks) => {
    const word = from >>> 2;
    fourBitsWithMinimum(source, word, word + 1, 6, word + 2, 6, target, to, blocks, neighbours);
  },
  "q4_1-halves": (source, from, target, to, blocks) => {
    const word = from >>> 2;
    fourBitsWithMinimum(source, word, word + 1, 6, word + 2, 6, target, to, blocks, halves);
  },
  q4_2: sixteens,
  q4_3: sixteensWithMinimum,
  "q8_0-float": eightBits,
};

/** Of rows with all their scales first, as `rowReencoders`. */
export const rowDequantisers: Partial<Record<Encoding, Dequantise>> = {
  "q4_0-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, 1, (from >>> 2) + blocks, 4, target, to, blocks, neighbours),
  "q4_1-neighbours": (source, from, target, to, blocks) => {
    const word = from >>> 2;
    const quants = word + 2 * blocks;
    fourBitsWithMinimum(source, word + blocks, word, 1, quants, 4, target, to, blocks, neighbours);
  },
};

/** Where a byte's elements belong: those of the next byte come `step` behind, the upper half's `upper` behind the lower's. */
interface Order {
  readonly step: number;
  readonly upper: number;
}
const neighbours: Order = { step: 2, upper: 1 };
const halves: Order = { step: 1, upper: 16 };

/** Q4_0: offsets and strides in words of four bytes. */
function fourBits(
  { words, floats }: Words,
  scaleAt: number,
  scaleStride: number,
  quantsAt: number,
  quantsStride: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
  { step, upper }: Order,
): void {
  let [scaleWord, quants, out] = [scaleAt, quantsAt, to >>> 2];
  for (let block = 0; block < blocks; block++, scaleWord += scaleStride, quants += quantsStride, out += 32) {
    const scale = floats[scaleWord]!;
    for (let word = 0; word < 4; word++)
      eightProducts(words[quants + word]!, scale, target, out + 4 * step * word, step, upper);
  }
}

/** Q4_1, as `fourBits`. */
function fourBitsWithMinimum(
  { words, floats }: Words,
  scaleAt: number,
  minimumAt: number,
  scaleStride: number,
  quantsAt: number,
  quantsStride: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
  { step, upper }: Order,
): void {
  const minimumBehind = minimumAt - scaleAt;
  let [scaleWord, quants, out] = [scaleAt, quantsAt, to >>> 2];
  for (let block = 0; block < blocks; block++, scaleWord += scaleStride, quants += quantsStride, out += 32) {
    const scale = floats[scaleWord]!;
    const minimum = floats[scaleWord + minimumBehind]!;
    for (let word = 0; word < 4; word++)
      eightSums(words[quants + word]!, scale, minimum, target, out + 4 * step * word, step, upper);
  }
}

/** Q4_2: blocks of 16 with a scale of half precision. */
function sixteens(
  { halves: source }: Words,
  from: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
): void {
  const values = halfValues();
  let [read, out] = [from >>> 1, to >>> 2];
  for (let block = 0; block < blocks; block++, read += 5, out += 16) {
    const scale = values[source[read]!]!;
    eightProducts(source[read + 1]! | (source[read + 2]! << 16), scale, target, out, 2, 1);
    eightProducts(source[read + 3]! | (source[read + 4]! << 16), scale, target, out + 8, 2, 1);
  }
}

/** Q4_3: blocks of 16 with a scale and a minimum of half precision. */
function sixteensWithMinimum(
  { halves: source }: Words,
  from: number,
  { floats: target }: Words,
  to: number,
  blocks: number,
): void {
  const values = halfValues();
  let [read, out] = [from >>> 1, to >>> 2];
  for (let block = 0; block < blocks; block++, read += 6, out += 16) {
    const scale = values[source[read]!]!;
    const minimum = values[source[read + 1]!]!;
    eightSums(source[read + 2]! | (source[read + 3]! << 16), scale, minimum, target, out, 2, 1);
    eightSums(source[read + 4]! | (source[read + 5]! << 16), scale, minimum, target, out + 8, 2, 1);
  }
}

/** The elements in the halves of four bytes, from −8 on, in units of `scale`. */
function eightProducts(
  eight: number,
  scale: number,
  target: Float32Array,
  to: number,
  step: number,
  upper: number,
): void {
  target[to] = ((eight & 15) - 8) * scale;
  target[to + upper] = (((eight >>> 4) & 15) - 8) * scale;
  target[to + step] = (((eight >>> 8) & 15) - 8) * scale;
  target[to + step + upper] = (((eight >>> 12) & 15) - 8) * scale;
  target[to + 2 * step] = (((eight >>> 16) & 15) - 8) * scale;
  target[to + 2 * step + upper] = (((eight >>> 20) & 15) - 8) * scale;
  target[to + 3 * step] = (((eight >>> 24) & 15) - 8) * scale;
  target[to + 3 * step + upper] = ((eight >>> 28) - 8) * scale;
}

/** As `eightProducts`, from 0 on, above `minimum`. Two roundings to single precision, of the product and of the sum. */
function eightSums(
  eight: number,
  scale: number,
  minimum: number,
  target: Float32Array,
  to: number,
  step: number,
  upper: number,
): void {
  target[to] = Math.fround((eight & 15) * scale) + minimum;
  target[to + upper] = Math.fround(((eight >>> 4) & 15) * scale) + minimum;
  target[to + step] = Math.fround(((eight >>> 8) & 15) * scale) + minimum;
  target[to + step + upper] = Math.fround(((eight >>> 12) & 15) * scale) + minimum;
  target[to + 2 * step] = Math.fround(((eight >>> 16) & 15) * scale) + minimum;
  target[to + 2 * step + upper] = Math.fround(((eight >>> 20) & 15) * scale) + minimum;
  target[to + 3 * step] = Math.fround(((eight >>> 24) & 15) * scale) + minimum;
  target[to + 3 * step + upper] = Math.fround((eight >>> 28) * scale) + minimum;
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
