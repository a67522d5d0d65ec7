import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import type { ByteOrigin } from "./byte-source.js";

const problems = localized(ggufProblems);

/** The scalar value types of GGUF, at the index that is their number in the file. Index 9 is the array. */
export const valueTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "string",
  "array",
  "uint64",
  "int64",
  "float64",
] as const;

export type ValueType = (typeof valueTypes)[number];
export type ScalarType = Exclude<ValueType, "array">;
/** Bytes of one value in the file; a string has no fixed size. */
export const valueBytes: Record<Exclude<ScalarType, "string">, number> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  uint64: 8,
  int64: 8,
  float64: 8,
};

type NumberType = "uint8" | "int8" | "uint16" | "int16" | "uint32" | "int32" | "float32" | "float64";
export type ScalarValue = number | bigint | boolean | string;

/** One metadata value. 64-bit integers are exact, so they are bigint. */
export type MetadataValue =
  | { type: NumberType; value: number }
  | { type: "uint64" | "int64"; value: bigint }
  | { type: "bool"; value: boolean }
  | { type: "string"; value: string }
  | { type: "array"; value: MetadataArray };

/**
 * An array that stays in the file: a vocabulary never becomes JavaScript strings by being looked at.
 * `items` is there only where it is small (at most 1024 items and 64 KiB); `stringChunks` and `numberChunks`
 * of arrays.ts read any array piece by piece.
 */
export interface MetadataArray {
  elementType: ScalarType;
  count: number;
  /** The file it lies in. */
  path: string;
  /** How to open it again where it is no file of this machine. */
  origin?: ByteOrigin;
  /** Of the length of a string in the file; 8 where absent. */
  countBytes?: 4;
  /** Where its first element starts in the file. */
  fileOffset: number;
  /** Bytes its elements take in the file. */
  bytes: number;
  items?: readonly ScalarValue[];
}

/** The metadata of one GGUF file. A value of another type than asked raises `gguf-malformed`. */
export class Metadata {
  constructor(
    readonly path: string,
    private readonly values: ReadonlyMap<string, MetadataValue>,
  ) {}

  get size(): number {
    return this.values.size;
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  get(key: string): MetadataValue | undefined {
    return this.values.get(key);
  }

  keys(): IterableIterator<string> {
    return this.values.keys();
  }

  entries(): IterableIterator<[string, MetadataValue]> {
    return this.values.entries();
  }

  /** A number of any numeric type; a 64-bit integer only where a JavaScript number holds it exactly. */
  number(key: string): number | undefined {
    const entry = this.values.get(key);
    if (!entry) return undefined;
    if (typeof entry.value === "number") return entry.value;
    if (typeof entry.value === "bigint" && Number.isSafeInteger(Number(entry.value)))
      return Number(entry.value);
    throw this.malformed(key, problems.wrongType({ found: entry.type, expected: "number" }));
  }

  string(key: string): string | undefined {
    const entry = this.values.get(key);
    if (!entry) return undefined;
    if (entry.type === "string") return entry.value;
    throw this.malformed(key, problems.wrongType({ found: entry.type, expected: "string" }));
  }

  boolean(key: string): boolean | undefined {
    const entry = this.values.get(key);
    if (!entry) return undefined;
    if (entry.type === "bool") return entry.value;
    throw this.malformed(key, problems.wrongType({ found: entry.type, expected: "bool" }));
  }

  array(key: string): MetadataArray | undefined {
    const entry = this.values.get(key);
    if (!entry) return undefined;
    if (entry.type === "array") return entry.value;
    throw this.malformed(key, problems.wrongType({ found: entry.type, expected: "array" }));
  }

  /**
   * The numbers of a per-layer value, which a file states as one number for all layers or as an array of `count`.
   * Undefined where the key is absent.
   */
  perLayer(key: string, count: number): number[] | undefined {
    const entry = this.values.get(key);
    if (!entry) return undefined;
    if (entry.type !== "array") return new Array<number>(count).fill(this.number(key) as number);
    const { items } = entry.value;
    if (!items || entry.value.count !== count)
      throw this.malformed(key, problems.wrongCount({ found: entry.value.count, expected: count }));
    return items.map((item) => {
      if (typeof item === "string")
        throw this.malformed(key, problems.wrongType({ found: "string", expected: "number" }));
      return Number(item);
    });
  }

  private malformed(key: string, problem: string): JaugeError<"gguf-malformed"> {
    return new JaugeError("gguf-malformed", { path: this.path, field: key, problem });
  }
}
