import type { Encoding } from "./format.js";
import { halfOfFloatBits, isHalfBeyond } from "./half.js";
import type { Words } from "./words.js";

/**
 * Turns consecutive blocks of a row into today's. Offsets are in bytes: `from` a multiple of the source block's
 * alignment (four, for Q5 two), `to` even. False where a scale is no number or too great for half precision.
 */
export type Reencode = (source: Words, from: number, target: Words, to: number, blocks: number) => boolean;

/**
 * The re-encoders. Values stay as they are: quants are only moved. What may round is a scale or minimum that was a
 * 32-bit float and is half precision today: Q4_0, Q4_1 and Q8_0; Q5_0 and Q5_1 had half precision from the start.
 *
 * Source: `block_q4_0` and its kin in ggml.c of llama.cpp at b9fd7ee~1, b9fd7ee and 2d5db48; today's in ggml-common.h.
 */
export const reencoders: Partial<Record<Encoding, Reencode>> = {
  "q4_0-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, 5, (from >>> 2) + 1, 5, target, to, blocks),
  "q4_1-neighbours": (source, from, target, to, blocks) =>
    fourBitsWithMinimum(source, from >>> 2, (from >>> 2) + 1, 6, (from >>> 2) + 2, 6, target, to, blocks),
  "q4_0-halves": (source, from, target, to, blocks) => {
    const fine = floatScales(source, from >>> 2, 5, target, to >>> 1, 9, blocks);
    copyQuants(source, (from >>> 1) + 2, 10, target, (to >>> 1) + 1, 9, 8, blocks);
    return fine;
  },
  "q4_1-halves": (source, from, target, to, blocks) => {
    const scales = floatScales(source, from >>> 2, 6, target, to >>> 1, 10, blocks);
    const minima = floatScales(source, (from >>> 2) + 1, 6, target, (to >>> 1) + 1, 10, blocks);
    copyQuants(source, (from >>> 1) + 4, 12, target, (to >>> 1) + 2, 10, 8, blocks);
    return scales && minima;
  },
  "q8_0-float": (source, from, target, to, blocks) => {
    const fine = floatScales(source, from >>> 2, 9, target, to >>> 1, 17, blocks);
    copyQuants(source, (from >>> 1) + 2, 18, target, (to >>> 1) + 1, 17, 16, blocks);
    return fine;
  },
  "q5_0-neighbours": (source, from, target, to, blocks) => fiveBits(source, from, target, to, blocks, 3),
  "q5_1-neighbours": (source, from, target, to, blocks) => fiveBits(source, from, target, to, blocks, 4),
};

/**
 * The re-encoders of the very first files, where a row had all its scales first and then all its quants: Q4_0 on
 * 10 March 2023 (before 007a8f6), Q4_1, whose minima came before its scales, until 17 March (before 904d2a8) and in
 * alpaca.cpp for good. `from` and `blocks` must be those of a whole row.
 */
export const rowReencoders: Partial<Record<Encoding, Reencode>> = {
  "q4_0-neighbours": (source, from, target, to, blocks) =>
    fourBits(source, from >>> 2, 1, (from >>> 2) + blocks, 4, target, to, blocks),
  "q4_1-neighbours": (source, from, target, to, blocks) => {
    const word = from >>> 2;
    return fourBitsWithMinimum(source, word + blocks, word, 1, word + 2 * blocks, 4, target, to, blocks);
  },
};

/** Q4_0 of neighbours: scales and quants anywhere, as offsets and strides in words of four bytes. */
function fourBits(
  { words }: Words,
  scaleAt: number,
  scaleStride: number,
  quantsAt: number,
  quantsStride: number,
  { halves }: Words,
  to: number,
  blocks: number,
): boolean {
  let beyond = false;
  let scale = scaleAt;
  let quants = quantsAt;
  let out = to >>> 1;
  for (let block = 0; block < blocks; block++) {
    const half = halfOfFloatBits(words[scale]!);
    beyond = beyond || isHalfBeyond(half);
    halves[out] = half;
    spreadWords(words[quants]!, words[quants + 2]!, halves, out + 1);
    spreadWords(words[quants + 1]!, words[quants + 3]!, halves, out + 5);
    scale += scaleStride;
    quants += quantsStride;
    out += 9;
  }
  return !beyond;
}

/** Q4_1 of neighbours, as `fourBits`. */
function fourBitsWithMinimum(
  { words }: Words,
  scaleAt: number,
  minimumAt: number,
  scaleStride: number,
  quantsAt: number,
  quantsStride: number,
  { halves }: Words,
  to: number,
  blocks: number,
): boolean {
  let beyond = false;
  let scale = scaleAt;
  let minimum = minimumAt;
  let quants = quantsAt;
  let out = to >>> 1;
  for (let block = 0; block < blocks; block++) {
    const scaleHalf = halfOfFloatBits(words[scale]!);
    const minimumHalf = halfOfFloatBits(words[minimum]!);
    beyond = beyond || isHalfBeyond(scaleHalf) || isHalfBeyond(minimumHalf);
    halves[out] = scaleHalf;
    halves[out + 1] = minimumHalf;
    spreadWords(words[quants]!, words[quants + 2]!, halves, out + 2);
    spreadWords(words[quants + 1]!, words[quants + 3]!, halves, out + 6);
    scale += scaleStride;
    minimum += scaleStride;
    quants += quantsStride;
    out += 10;
  }
  return !beyond;
}

/**
 * Eight bytes of today's order from eight of neighbours: `low` holds elements e to e + 7, `high` e + 16 to e + 23, each
 * in pairs; written are bytes that each hold one of `low` below one of `high`.
 */
function spreadWords(low: number, high: number, halves: Uint16Array, at: number): void {
  const even = (low & 0x0f0f0f0f) | ((high & 0x0f0f0f0f) << 4);
  const odd = ((low >>> 4) & 0x0f0f0f0f) | (high & 0xf0f0f0f0);
  halves[at] = (even & 0xff) | ((odd & 0xff) << 8);
  halves[at + 1] = ((even >>> 8) & 0xff) | (odd & 0xff00);
  halves[at + 2] = ((even >>> 16) & 0xff) | ((odd >>> 8) & 0xff00);
  halves[at + 3] = (even >>> 24) | ((odd >>> 16) & 0xff00);
}

/** Q5_0 and Q5_1 of neighbours: `kept` 16-bit words of scale, minimum and fifth bits are today's, the nibbles move. */
function fiveBits(
  { halves: source }: Words,
  from: number,
  { halves: target }: Words,
  to: number,
  blocks: number,
  kept: number,
): boolean {
  let read = from >>> 1;
  let write = to >>> 1;
  for (let block = 0; block < blocks; block++) {
    for (let word = 0; word < kept; word++) target[write + word] = source[read + word]!;
    read += kept;
    write += kept;
    for (let pair = 0; pair < 4; pair++) {
      const low = source[read + pair]!;
      const high = source[read + pair + 4]!;
      const even = (low & 0x0f0f) | ((high & 0x0f0f) << 4);
      const odd = ((low >>> 4) & 0x0f0f) | (high & 0xf0f0);
      target[write + 2 * pair] = (even & 0xff) | ((odd & 0xff) << 8);
      target[write + 2 * pair + 1] = (even >>> 8) | (odd & 0xff00);
    }
    read += 8;
    write += 8;
  }
  return true;
}

/** 32-bit floats at every `readStride` words to half precision at every `writeStride` 16-bit words. */
function floatScales(
  { words }: Words,
  readAt: number,
  readStride: number,
  { halves }: Words,
  writeAt: number,
  writeStride: number,
  blocks: number,
): boolean {
  let beyond = false;
  for (let block = 0, read = readAt, write = writeAt; block < blocks; block++) {
    const half = halfOfFloatBits(words[read]!);
    beyond = beyond || isHalfBeyond(half);
    halves[write] = half;
    read += readStride;
    write += writeStride;
  }
  return !beyond;
}

/** `count` 16-bit words of quants of each block, as they are. */
function copyQuants(
  { halves: source }: Words,
  readAt: number,
  readStride: number,
  { halves: target }: Words,
  writeAt: number,
  writeStride: number,
  count: number,
  blocks: number,
): void {
  for (let block = 0, read = readAt, write = writeAt; block < blocks; block++) {
    for (let word = 0; word < count; word++) target[write + word] = source[read + word]!;
    read += readStride;
    write += writeStride;
  }
}
