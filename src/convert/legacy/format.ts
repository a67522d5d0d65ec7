import type { TensorTypeName } from "../../gguf/tensor-types.js";

/**
 * The containers of 2023, oldest first. `ggml` has no version and no scores in its vocabulary, `ggmf` has both, `ggjt`
 * aligns tensor data to 32 bytes.
 *
 * Source: `llama_file_version` and `llama_file_loader` in llama.cpp of llama.cpp's history, 10 March to 21 August 2023.
 */
export const containers = ["ggml", "ggmf v1", "ggjt v1", "ggjt v2", "ggjt v3"] as const;
export type Container = (typeof containers)[number];

/** Magics as a little-endian 32-bit number, which makes the letters stand backwards in the file. */
export const magics = { ggml: 0x67676d6c, ggmf: 0x67676d66, ggjt: 0x67676a74 } as const;

/** Bytes that tensor data of `ggjt` are aligned to. */
export const dataAlignment = 32;

/** Whether `a` is `b` or came before it. */
export function notAfter(a: Container, b: Container): boolean {
  return containers.indexOf(a) <= containers.indexOf(b);
}

/**
 * How a block type of 2023 lies in a file.
 *
 * `neighbours`: a byte holds elements 2i and 2i + 1; until `ggjt v1`. `halves`: it holds i and i + 16, as today; from
 * `ggjt v2` on (12 May 2023, pull request 1405). Scales of Q4_0, Q4_1 and Q8_0 were 32-bit floats until `ggjt v3`
 * (19 May 2023, pull request 1508).
 */
export interface StoredBlocks {
  /** Name of the time, for people. */
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
  /** What today's GGUF calls blocks of the same values; undefined for Q4_2 and Q4_3, whose blocks of 16 are no more. */
  readonly today?: TensorTypeName;
  /** How to go to today's blocks; `same` where the bytes are today's already. */
  readonly encoding: Encoding;
}

export type Encoding =
  | "same"
  | "q4_0-neighbours"
  | "q4_0-halves"
  | "q4_1-neighbours"
  | "q4_1-halves"
  | "q4_2"
  | "q4_3"
  | "q5_0-neighbours"
  | "q5_1-neighbours"
  | "q8_0-float";

const block = (
  name: string,
  blockElements: number,
  blockBytes: number,
  encoding: Encoding,
  today: TensorTypeName | undefined,
): StoredBlocks => ({ name, blockElements, blockBytes, encoding, ...(today === undefined ? {} : { today }) });

const same = (name: TensorTypeName, blockElements: number, blockBytes: number): StoredBlocks =>
  block(name, blockElements, blockBytes, "same", name);

const unquantised: [number, StoredBlocks][] = [
  [0, same("F32", 1, 4)],
  [1, same("F16", 1, 2)],
];
const halvesOfFive: [number, StoredBlocks][] = [
  [6, same("Q5_0", 32, 22)],
  [7, same("Q5_1", 32, 24)],
];
const floatEight = block("Q8_0", 32, 36, "q8_0-float", "Q8_0");

const untilMay12 = new Map<number, StoredBlocks>([
  ...unquantised,
  [2, block("Q4_0", 32, 20, "q4_0-neighbours", "Q4_0")],
  [3, block("Q4_1", 32, 24, "q4_1-neighbours", "Q4_1")],
  [4, block("Q4_2", 16, 10, "q4_2", undefined)],
  [5, block("Q4_3", 16, 12, "q4_3", undefined)],
  [6, block("Q5_0", 32, 22, "q5_0-neighbours", "Q5_0")],
  [7, block("Q5_1", 32, 24, "q5_1-neighbours", "Q5_1")],
  [8, floatEight],
]);
const untilMay19 = new Map<number, StoredBlocks>([
  ...unquantised,
  [2, block("Q4_0", 32, 20, "q4_0-halves", "Q4_0")],
  [3, block("Q4_1", 32, 24, "q4_1-halves", "Q4_1")],
  ...halvesOfFive,
  [8, floatEight],
]);
const sinceMay19 = new Map<number, StoredBlocks>([
  ...unquantised,
  [2, same("Q4_0", 32, 18)],
  [3, same("Q4_1", 32, 20)],
  ...halvesOfFive,
  [8, same("Q8_0", 32, 34)],
  [10, same("Q2_K", 256, 84)],
  [11, same("Q3_K", 256, 110)],
  [12, same("Q4_K", 256, 144)],
  [13, same("Q5_K", 256, 176)],
  [14, same("Q6_K", 256, 210)],
]);

/** The number that files give a model of mostly Q8_0. */
const fileTypeEight = 7;

/**
 * The blocks behind a type number in a file of this container; undefined where it had none of that number.
 * On 25 April 2023, for one day, Q8_0 had the number 6 that became Q5_0's; the header's file type tells them apart.
 */
export function storedBlocks(
  container: Container,
  typeNumber: number,
  fileType: number,
): StoredBlocks | undefined {
  if (notAfter(container, "ggjt v1")) {
    if (typeNumber === 6 && fileType === fileTypeEight) return floatEight;
    return untilMay12.get(typeNumber);
  }
  return (container === "ggjt v2" ? untilMay19 : sinceMay19).get(typeNumber);
}
