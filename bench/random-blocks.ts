import { tensorTypes } from "../src/gguf/tensor-types.js";
import type { Random } from "./random.js";

/**
 * Gives random quantised blocks, at most `left` bytes at a time, always whole blocks. The weights they stand for
 * have a mean of about 0 and a standard deviation of about 0.02: quants and sub-block scales are uniformly random,
 * the block's own scales are set for it. The buffer is reused by the next call.
 *
 * Source: block_q4_K and block_q6_K in ggml/src/ggml-common.h.
 */
export function blockFiller(type: "Q4_K" | "Q6_K", random: Random): (left: number) => Uint8Array {
  const { blockBytes } = tensorTypes[type];
  const buffer = new Uint8Array(blocksPerChunk * blockBytes);
  const words = new Uint32Array(buffer.buffer);
  const setScales = type === "Q4_K" ? setQ4Scales : setQ6Scales;
  return (left) => {
    random.fill(words);
    for (let block = 0; block < buffer.length; block += blockBytes) setScales(buffer, block);
    return buffer.subarray(0, Math.min(left, buffer.length));
  };
}

const blocksPerChunk = 4096;
const deviation = 0.02;

/**
 * { half d, half dmin, 12 bytes of scales, 128 bytes of quants }; a weight is d·s·q − dmin·m with s and m of 6 bits,
 * q of 4. With all of them uniform, the mean is 0 where dmin = 7.5·d, and the standard deviation is then 255.5·d.
 */
function setQ4Scales(buffer: Uint8Array, block: number): void {
  setHalf(buffer, block, q4Scale);
  setHalf(buffer, block + 2, q4Minimum);
}

/**
 * { 128 + 64 bytes of quants, 16 signed bytes of scales, half d }; a weight is d·s·(q − 32) with q of 6 bits. With
 * all of them uniform, the standard deviation is 1366·d.
 */
function setQ6Scales(buffer: Uint8Array, block: number): void {
  setHalf(buffer, block + 208, q6Scale);
}

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
const q6Scale = half(deviation / 1366);
