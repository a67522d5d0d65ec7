import { withScratch } from "./scratch.js";
import { inBands, type View } from "./view.js";

/** Decodes `count` elements from the start of `source`'s buffer (aligned) into `target`. */
export interface Decoder {
  bytes: number;
  decode(source: Uint8Array, target: Float32Array, count: number): void;
}

export const decoders = {
  F64: {
    bytes: 8,
    decode(source, target, count) {
      const values = new Float64Array(source.buffer, source.byteOffset, count);
      for (let index = 0; index < count; index++) target[index] = values[index]!;
    },
  },
  F32: {
    bytes: 4,
    decode: (source, target, count) => target.set(new Float32Array(source.buffer, source.byteOffset, count)),
  },
  F16: {
    bytes: 2,
    decode(source, target, count) {
      const [values, bits] = [
        halves(source, count),
        new Uint32Array(target.buffer, target.byteOffset, count),
      ];
      for (let index = 0; index < count; index++) {
        const half = values[index]!;
        const sign = (half & 0x8000) << 16;
        const rest = half & 0x7fff;
        // normal numbers move their exponent; infinity and NaN keep theirs full
        if (rest >= 0x0400 && rest < 0x7c00) bits[index] = sign | ((rest << 13) + 0x38000000);
        else if (rest >= 0x7c00) bits[index] = sign | 0x7f800000 | ((rest & 0x3ff) << 13);
        else {
          target[index] = rest * 2 ** -24;
          bits[index]! |= sign;
        }
      }
    },
  },
  BF16: {
    bytes: 2,
    decode(source, target, count) {
      const [values, bits] = [
        halves(source, count),
        new Uint32Array(target.buffer, target.byteOffset, count),
      ];
      for (let index = 0; index < count; index++) bits[index] = values[index]! << 16;
    },
  },
  F8_E4M3: eightBits((bits) => {
    const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
    // the "fn" variant: no infinity, one NaN for each sign
    if ((bits & 0x7f) === 0x7f) return Number.NaN;
    return exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  }),
  F8_E5M2: eightBits((bits) => {
    const [exponent, fraction] = [(bits >> 2) & 31, bits & 3];
    if (exponent === 31) return fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? fraction * 2 ** -16 : (4 + fraction) * 2 ** (exponent - 17);
  }),
} satisfies Record<string, Decoder>;

/** The rows as F32, each element then through `change` where one is given. */
export function decoded(
  raw: Omit<View, "type">,
  decoder: Decoder,
  change?: (values: Float32Array) => void,
): View {
  const elements = raw.rowBytes / decoder.bytes;
  const rowBytes = elements * 4;
  return { type: "F32", rows: raw.rows, rowBytes, readRows: inBands(rowBytes, readBand) };

  function readBand(target: Uint8Array, firstRow: number, rows: number): Promise<void> {
    const sourceBytes = rows * raw.rowBytes;
    const isAligned = target.byteOffset % 4 === 0;
    const valuesAt = Math.ceil(sourceBytes / 4) * 4;
    return withScratch(valuesAt + (isAligned ? 0 : target.byteLength), async (scratch) => {
      const source = scratch.subarray(0, sourceBytes);
      await raw.readRows(source, firstRow);
      const values = isAligned
        ? new Float32Array(target.buffer, target.byteOffset, rows * elements)
        : new Float32Array(scratch.buffer, valuesAt, rows * elements);
      decoder.decode(source, values, values.length);
      change?.(values);
      if (!isAligned) target.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    });
  }
}

/** The same numbers as F32. */
export function asFloat32(view: View): View {
  return view.type === "F32" ? view : decoded(view, floatDecoder(view));
}

/** The numbers plus one, in F32: the norms of Gemma, which its own code adds one to. */
export function plusOne(view: View): View {
  return decoded(view, floatDecoder(view), (values) => {
    for (let index = 0; index < values.length; index++) values[index]! += 1;
  });
}

function floatDecoder({ type }: View): Decoder {
  if (type === "U8" || type === "MXFP4") throw new RangeError(`${type} holds no floating-point elements`);
  return decoders[type];
}

function halves(source: Uint8Array, count: number): Uint16Array {
  return new Uint16Array(source.buffer, source.byteOffset, count);
}

function eightBits(magnitude: (bits: number) => number): Decoder {
  const table = Float32Array.from({ length: 256 }, (_, bits) =>
    bits < 128 ? magnitude(bits) : -magnitude(bits - 128),
  );
  return {
    bytes: 1,
    decode(source, target, count) {
      for (let index = 0; index < count; index++) target[index] = table[source[index]!]!;
    },
  };
}
