/** Rounds numbers to 16 bits, to the nearest, ties to even, as hardware does. */
export type Rounding = (values: Float32Array, target: Uint16Array) => void;

export function roundToBf16(values: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    target[index] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

export function roundToF16(values: Float32Array, target: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fffffff;
    // from 2⁻¹⁴ on numbers are normal; from 65520 on they round to infinity
    if (size >= 0x38800000 && size < 0x477ff000)
      target[index] = sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    else if (size >= 0x477ff000) target[index] = sign | (size > 0x7f800000 ? 0x7e00 : 0x7c00);
    else target[index] = sign | roundedToEven(Math.abs(values[index]!) * 2 ** 24);
  }
}

function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
