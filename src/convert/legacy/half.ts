/**
 * The half-precision bits nearest to a float's bits, ties to even, as ggml rounds scales today (IEEE 754 binary32 to
 * binary16). Beyond 65504 it becomes infinity, below 2⁻²⁵ zero.
 */
export function halfOfFloatBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent > 112) {
    if (exponent >= 143) return sign | 0x7c00 | (exponent === 255 && fraction !== 0 ? 0x200 : 0);
    // a carry out of the fraction raises the exponent, which is right, up to infinity
    const kept = ((exponent - 112) << 10) | (fraction >>> 13);
    return sign | (kept + ((fraction & 0x1fff) + (kept & 1) > 0x1000 ? 1 : 0));
  }
  if (exponent < 102) return sign;
  const shift = 126 - exponent;
  const whole = fraction | 0x800000;
  const kept = whole >>> shift;
  const rest = whole & ((1 << shift) - 1);
  return sign | (kept + (rest + (kept & 1) > 1 << (shift - 1) ? 1 : 0));
}

/** Whether half-precision bits are infinity or no number. */
export function isHalfBeyond(half: number): boolean {
  return (half & 0x7c00) === 0x7c00;
}

/** The values of all half-precision numbers, by their bits; 256 KiB, made when first asked for. */
export function halfValues(): Float32Array {
  values ??= Float32Array.from({ length: 65536 }, (_, half) => halfValue(half));
  return values;
}

let values: Float32Array | undefined;

function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
