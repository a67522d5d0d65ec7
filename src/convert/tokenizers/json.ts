import { localized } from "../../messages/locale.js";
import { tokenizerProblems } from "../../messages/tokenizer.js";

const problems = localized(tokenizerProblems);

/** A JSON object whose fields are not known yet. */
export type JsonRecord = Record<string, unknown>;
type Refuse = (problem: string) => Error;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field of its own, never one that objects inherit; `undefined` also where `record` is no object. */
export function field(record: unknown, name: string): unknown {
  return isRecord(record) && Object.hasOwn(record, name) ? record[name] : undefined;
}

export function asRecord(value: unknown, refuse: Refuse): JsonRecord {
  if (!isRecord(value)) throw refuse(problems.notA({ expected: "object" }));
  return value;
}

export function asString(value: unknown, refuse: Refuse): string {
  if (typeof value !== "string") throw refuse(problems.notA({ expected: "string" }));
  return value;
}

export function asList(value: unknown, refuse: Refuse): unknown[] {
  if (!Array.isArray(value)) throw refuse(problems.notA({ expected: "array" }));
  return value;
}

/** A token's id, below `mostTokens`. */
export function asTokenId(value: unknown, refuse: Refuse): number {
  if (!Number.isInteger(value)) throw refuse(problems.notA({ expected: "integer" }));
  const id = value as number;
  if (id < 0 || id >= mostTokens)
    throw refuse(problems.outOfRange({ value: id, low: 0, high: mostTokens - 1 }));
  return id;
}

/** More than any vocabulary has, and what the GGUF reader takes. */
export const mostTokens = 2 ** 22;
