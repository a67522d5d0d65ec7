import { type TensorTypeName, tensorTypes } from "../src/gguf/tensor-types.js";
import type { Random } from "./random.js";

/** The types that random weights are made of. */
export const filledTypes = [
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "Q8_0",
  "MXFP4",
  "F16",
  "F32",
] as const satisfies TensorTypeName[];
export type FilledType = (typeof filledTypes)[number];

/** Random weights of a tensor: `bytes` in chunks. A chunk's buffer is reused by the next one. */
export function* randomChunks(type: FilledType, bytes: number, random: Random): Iterable<Uint8Array> {
  const fill = blockFiller(type, random);
  for (let left = bytes; left > 0; ) {
    const chunk = fill(left);
    yield chunk;
    left -= chunk.length;
  }
}

/**
 * Gives random quantised blocks, at most `left` bytes at a time, always whole blocks. The weights they stand for
 * have a mean of about 0 and a standard deviation of about 0.02: quants and sub-block scales are uniformly random,
 * the block's own scales are set for it. The buffer is reused by the next call.
 *
 * Source: the blocks in ggml/src/ggml-common.h.
 */
export function blockFiller(type: FilledType, random: Random): (left: number) => Uint8Array {
  const { blockBytes } = tensorTypes[type];
  const buffer = new Uint8Array(blocksPerChunk * blockBytes);
  const words = new Uint32Array(buffer.buffer);
  const setScales = scales[type];
  return (left) => {
    random.fill(words);
    for (let block = 0; block < buffer.length; block += blockBytes) setScales(buffer, block);
    return buffer.subarray(0, Math.min(left, buffer.length));
  };
}

const blocksPerChunk = 4096;
const deviation = 0.02;

/** How a block of random bytes becomes one of weights, by type. */
const scales: Record<FilledType, (buffer: Uint8Array, block: number) => void> = {
  /**
   * { half d, half dmin, 12 bytes of scales, 128 bytes of quants }; a weight is d·s·q − dmin·m with s and m of 6 bits,
   * q of 4. With all of them uniform, the mean is 0 where dmin = 7.5·d, and the standard deviation is then 255.5·d.
   */
  Q4_K(buffer, block) {
    setHalf(buffer, block, q4Scale);
    setHalf(buffer, block + 2, q4Minimum);
  },
  /** As Q4_K with q of 5 bits: dmin = 15.5·d, and the standard deviation is then 522·d. */
  Q5_K(buffer, block) {
    setHalf(buffer, block, q5Scale);
    setHalf(buffer, block + 2, q5Minimum);
  },
  /**
   * { 128 + 64 bytes of quants, 16 signed bytes of scales, half d }; a weight is d·s·(q − 32) with q of 6 bits. With
   * all of them uniform, the standard deviation is 1366·d.
   */
  Q6_K(buffer, block) {
    setHalf(buffer, block + 208, q6Scale);
  },
  /** { half d, 32 signed bytes }; the standard deviation is 74·d. */
  Q8_0(buffer, block) {
    setHalf(buffer, block, q8Scale);
  },
  /** { exponent, 16 bytes of quants }; ± 0, 0.5, 1, 1.5, 2, 3, 4, 6 times a power of two: 2⁻⁷ gives about 0.02. */
  MXFP4(buffer, block) {
    buffer[block] = 127 - 7;
  },
  /** 16 random bits: sign and mantissa stay, the exponent becomes that of 2⁻⁶. */
  F16(buffer, at) {
    buffer[at + 1] = (buffer[at + 1]! & 0x83) | ((15 - 6) << 2);
  },
  /** 32 random bits: sign and mantissa stay, the exponent becomes that of 2⁻⁶. */
  F32(buffer, at) {
    const exponent = 127 - 6;
    buffer[at + 3] = (buffer[at + 3]! & 0x80) | (exponent >> 1);
    buffer[at + 2] = (buffer[at + 2]! & 0x7f) | ((exponent & 1) << 7);
  },
};

function setHalf(buffer: Uint8Array, at: number, bits: number): void {
  buffer[at] = bits & 0xff;
  buffer[at + 1] = bits >> 8;
}

/** The bits of a 16-bit float, for positive values within its range. */
function half(value: number): number {
  const exponent = Math.max(-14, Math.floor(Math.log2(value)));
  const mantissa = Math.round((value / 2 ** exponent) * 1024);
  // A mantissa below 1024 is a subnormal number, whose exponent field is 0; one of 2048 carries into the exponent.
  return exponent === -14 && mantissa < 1024 ? mantissa : ((exponent + 15) << 10) + (mantissa - 1024);
}

const q4Scale = half(deviation / 255.5);
const q4Minimum = half((7.5 * deviation) / 255.5);
const q5Scale = half(deviation / 522);
const q5Minimum = half((15.5 * deviation) / 522);
const q6Scale = half(deviation / 1366);
const q8Scale = half(deviation / 74);
