import type { TypeRatios } from "./derive.js";

/** Bits of an element, scales included (ggml-common.h, llama.cpp v0.5.0). */
const bits = {
  ...{ F32: 32, F16: 16, BF16: 16, Q8_0: 8.5, Q6_K: 6.5625, Q5_K: 5.5, Q5_1: 6, Q5_0: 5.5 },
  ...{ Q4_K: 4.5, Q4_1: 5, Q4_0: 4.5, IQ4_NL: 4.5, IQ4_XS: 4.25, MXFP4: 4.25 },
  ...{ Q3_K: 3.4375, IQ3_S: 3.4375, IQ3_XXS: 3.0625, Q2_K: 2.625 },
  ...{ IQ2_S: 2.5625, IQ2_XS: 2.3125, IQ2_XXS: 2.0625, IQ1_M: 1.75, IQ1_S: 1.5625 },
};
type Type = keyof typeof bits;

/**
 * Ratios of a type to Q4_K. `one`: bytes per second with one row. Most types are read at the speed of memory, so the
 * ratio is about 1; the smaller an element, the more its unpacking shows. `full`: elements per second in a full
 * micro-batch, in which arithmetic decides. Types that no source names take the figure of the most similar one.
 */
function ratios(table: Record<Type, readonly [one: number, fullElements: number]>): TypeRatios {
  return Object.fromEntries(
    Object.entries(table).map(([type, [one, elements]]) => [
      type,
      { one, full: elements * (bits[type as Type] / bits.Q4_K) },
    ]),
  );
}

/**
 * NVIDIA cards with tensor cores. One row: RTX 3090, llama.cpp pull requests 21024 (Q8_0 1.13, Q4_1 1.03 of Q4_0) and
 * 8215 (IQ3_XXS); Q3_K and Q2_K between it and pull request 4766. Full: RTX 4090, pull requests 24127 (Q5_0 0.95, IQ4_NL
 * 1.0, IQ3_XXS 0.84) and 7921 (Q2_K 0.74); F16 against Q4_K from XiongjieDai's table and 24127.
 */
export const cudaRatios: TypeRatios = ratios({
  ...{ F32: [1.05, 0.35], F16: [1.05, 0.76], BF16: [1.05, 0.76] },
  ...{ Q8_0: [1.1, 0.98], Q6_K: [1, 0.9], Q5_K: [1, 0.95], Q5_1: [1, 0.95], Q5_0: [1, 0.95] },
  ...{ Q4_K: [1, 1], Q4_1: [1, 1], Q4_0: [0.97, 1], IQ4_NL: [0.95, 1], IQ4_XS: [0.95, 1], MXFP4: [0.95, 1] },
  ...{ Q3_K: [0.8, 0.8], IQ3_S: [0.84, 0.84], IQ3_XXS: [0.84, 0.84], Q2_K: [0.75, 0.74] },
  ...{
    IQ2_S: [0.75, 0.8],
    IQ2_XS: [0.75, 0.8],
    IQ2_XXS: [0.75, 0.8],
    IQ1_M: [0.6, 0.75],
    IQ1_S: [0.6, 0.75],
  },
});

/** AMD cards: as NVIDIA's; RX 7900 XTX, pull request 26284 (Q5_K_M 0.95 of Q4_K_M's tokens in `tg64`: by bytes 1.1). */
export const hipRatios: TypeRatios = { ...cudaRatios, ...ratiosOf("Q5_K", 1.1, 0.95) };

/**
 * Apple's GPUs. Full: M2 Ultra, llama.cpp pull request 3084 (F16 1.23, Q8_0 1.11, Q4_0 1.13, Q6_K and Q5_K 0.95 of
 * Q4_K_M). One row: M2 Ultra and M3 Max, F16 against Q4_K_M in XiongjieDai's table.
 */
export const metalRatios: TypeRatios = ratios({
  ...{ F32: [1.3, 0.9], F16: [1.35, 1.2], BF16: [1.3, 1.2] },
  ...{ Q8_0: [1.3, 1.11], Q6_K: [1.1, 0.95], Q5_K: [1, 0.95], Q5_1: [1.1, 1.05], Q5_0: [1.1, 1.05] },
  ...{ Q4_K: [1, 1], Q4_1: [1.15, 1.13], Q4_0: [1.15, 1.13] },
  ...{ IQ4_NL: [0.95, 1], IQ4_XS: [0.95, 1], MXFP4: [1, 1] },
  ...{ Q3_K: [0.75, 0.9], IQ3_S: [0.7, 0.85], IQ3_XXS: [0.7, 0.85], Q2_K: [0.75, 0.9] },
  ...{ IQ2_S: [0.6, 0.8], IQ2_XS: [0.6, 0.8], IQ2_XXS: [0.6, 0.8], IQ1_M: [0.5, 0.75], IQ1_S: [0.5, 0.75] },
});

/**
 * Processors with AVX2. One row: memory-bound down to three bits on six cores and more. Full: no repacked weights, by
 * the multiplications per element of each type's kernel; the types with look-up tables (IQ) are the slow ones.
 */
export const cpuRatios: TypeRatios = ratios({
  ...{ F32: [1, 0.5], F16: [1, 0.6], BF16: [1, 0.4] },
  ...{ Q8_0: [1, 1], Q6_K: [1, 0.8], Q5_K: [1, 0.85], Q5_1: [1, 0.7], Q5_0: [1, 0.7] },
  ...{ Q4_K: [1, 1], Q4_1: [1, 0.8], Q4_0: [1, 0.85], IQ4_NL: [1, 0.8], IQ4_XS: [1, 0.8], MXFP4: [1, 0.8] },
  ...{ Q3_K: [0.95, 0.8], IQ3_S: [0.5, 0.35], IQ3_XXS: [0.5, 0.35], Q2_K: [0.9, 1] },
  ...{
    IQ2_S: [0.4, 0.35],
    IQ2_XS: [0.4, 0.35],
    IQ2_XXS: [0.4, 0.35],
    IQ1_M: [0.35, 0.35],
    IQ1_S: [0.4, 0.35],
  },
});

function ratiosOf(type: Type, one: number, elements: number): TypeRatios {
  return { [type]: { one, full: elements * (bits[type] / bits.Q4_K) } };
}
