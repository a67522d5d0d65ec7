/**
 * Writes GGML files of 2023 from the facts of the formats, independently of what reads them: a block is given as its
 * scale, minimum and quants, and laid down as each version had it.
 */
export interface Block {
  scale: number;
  minimum: number;
  /** One for each element, from 0 on: as stored, before the zero point is taken off; signed for Q8_0. */
  quants: number[];
}

export interface BlockKind {
  name: string;
  number: number;
  elements: number;
  /** Lowest and highest quant. */
  range: [number, number];
  zero: number;
  minimum: boolean;
  halfScale: boolean;
  /** The type of today that holds it. */
  today?: string;
  encode: (block: Block) => Buffer;
}

const float = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const half = (value: number) => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(toHalf(value));
  return bytes;
};

/** The nearest half-precision number's bits, found among all of them by bisection. */
export function toHalf(value: number): number {
  const magnitude = Math.abs(value);
  let [low, high] = [0, 0x7c00];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fromHalf(middle) <= magnitude) low = middle;
    else high = middle;
  }
  // 65536 stands in for the infinity that would follow 65504
  const above = high === 0x7c00 ? 65536 : fromHalf(high);
  const [down, up] = [magnitude - fromHalf(low), above - magnitude];
  const nearest = down < up || (down === up && low % 2 === 0) ? low : high;
  return (value < 0 || Object.is(value, -0) ? 0x8000 : 0) | nearest;
}

export function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** Byte i: elements 2i and 2i + 1. */
const neighbours = ({ quants }: Block) =>
  Buffer.from(
    Array.from(
      { length: quants.length / 2 },
      (_, i) => (quants[2 * i]! & 15) | ((quants[2 * i + 1]! & 15) << 4),
    ),
  );
/** Byte i: elements i and i + 16. */
const halves = ({ quants }: Block) =>
  Buffer.from(Array.from({ length: 16 }, (_, i) => (quants[i]! & 15) | ((quants[i + 16]! & 15) << 4)));
/** Bit i of four bytes: the fifth bit of element i. */
const fifthBits = ({ quants }: Block) =>
  Buffer.from(
    [0, 8, 16, 24].map((first) => {
      let byte = 0;
      for (let bit = 0; bit < 8; bit++) byte |= (quants[first + bit]! >> 4) << bit;
      return byte;
    }),
  );
const signed = ({ quants }: Block) => Buffer.from(Int8Array.from(quants).buffer);

type Nibbles = (block: Block) => Buffer;
const four = { elements: 32, range: [0, 15] as [number, number] };
const five = { elements: 32, range: [0, 31] as [number, number], halfScale: true };
const q4_0 = (scale: typeof float, nibbles: Nibbles): BlockKind => ({
  ...{ ...four, name: "Q4_0", number: 2, zero: 8, minimum: false, halfScale: scale === half, today: "Q4_0" },
  encode: (block) => Buffer.concat([scale(block.scale), nibbles(block)]),
});
const q4_1 = (scale: typeof float, nibbles: Nibbles): BlockKind => ({
  ...{ ...four, name: "Q4_1", number: 3, zero: 0, minimum: true, halfScale: scale === half, today: "Q4_1" },
  encode: (block) => Buffer.concat([scale(block.scale), scale(block.minimum), nibbles(block)]),
});
const q5_0 = (nibbles: Nibbles): BlockKind => ({
  ...{ ...five, name: "Q5_0", number: 6, zero: 16, minimum: false, today: "Q5_0" },
  encode: (block) => Buffer.concat([half(block.scale), fifthBits(block), nibbles(block)]),
});
const q5_1 = (nibbles: Nibbles): BlockKind => ({
  ...{ ...five, name: "Q5_1", number: 7, zero: 0, minimum: true, today: "Q5_1" },
  encode: (block) =>
    Buffer.concat([half(block.scale), half(block.minimum), fifthBits(block), nibbles(block)]),
});
const q8_0 = (scale: typeof float): BlockKind => ({
  ...{ name: "Q8_0", number: 8, elements: 32, range: [-127, 127], zero: 0, minimum: false, today: "Q8_0" },
  halfScale: scale === half,
  encode: (block) => Buffer.concat([scale(block.scale), signed(block)]),
});
const sixteen = { elements: 16, range: [0, 15] as [number, number], halfScale: true };
const q4_2: BlockKind = {
  ...{ ...sixteen, name: "Q4_2", number: 4, zero: 8, minimum: false },
  encode: (block) => Buffer.concat([half(block.scale), neighbours(block)]),
};
const q4_3: BlockKind = {
  ...{ ...sixteen, name: "Q4_3", number: 5, zero: 0, minimum: true },
  encode: (block) => Buffer.concat([half(block.scale), half(block.minimum), neighbours(block)]),
};

const old = [q4_0(float, neighbours), q4_1(float, neighbours)];
const later = [q4_2, q4_3, q5_0(neighbours), q5_1(neighbours), q8_0(float)];
/** What each container can hold. */
export const kinds: Record<string, BlockKind[]> = {
  ggml: old,
  "ggmf v1": old,
  "ggjt v1": [...old, ...later],
  "ggjt v2": [q4_0(float, halves), q4_1(float, halves), q5_0(halves), q5_1(halves), q8_0(float)],
  "ggjt v3": [q4_0(half, halves), q4_1(half, halves), q5_0(halves), q5_1(halves), q8_0(half)],
};

/** A row of Q4_0 or Q4_1 as of early March: minima, scales, then quants. */
export function scalesFirstRow(kind: BlockKind, blocks: readonly Block[]): Buffer {
  return Buffer.concat([
    ...(kind.minimum ? blocks.map(({ minimum }) => float(minimum)) : []),
    ...blocks.map(({ scale }) => float(scale)),
    ...blocks.map(neighbours),
  ]);
}

export interface WrittenTensor {
  name: string;
  number: number;
  /** Row length first. */
  shape: number[];
  data: Buffer;
}

export interface WrittenFile {
  container: string;
  hyperparameters: number[];
  tokens: { text: Buffer; score: number }[];
  tensors: WrittenTensor[];
}

const magics: Record<string, number> = { ggml: 0x67676d6c, ggmf: 0x67676d66, ggjt: 0x67676a74 };

export function legacyBytes({ container, hyperparameters, tokens, tensors }: WrittenFile): Buffer {
  const pieces: Buffer[] = [];
  let length = 0;
  const put = (bytes: Buffer) => {
    pieces.push(bytes);
    length += bytes.length;
  };
  const integer = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    put(bytes);
  };
  const [magic, version] = container.split(" v");
  integer(magics[magic!]!);
  if (version) integer(Number(version));
  for (const value of hyperparameters) integer(value);
  for (const { text, score } of tokens) {
    integer(text.length);
    put(text);
    if (container !== "ggml") put(float(score));
  }
  for (const { name, number, shape, data } of tensors) {
    integer(shape.length);
    integer(name.length);
    integer(number);
    for (const value of shape) integer(value);
    put(Buffer.from(name));
    if (magic === "ggjt") put(Buffer.alloc((32 - (length % 32)) % 32));
    put(data);
  }
  return Buffer.concat(pieces);
}
