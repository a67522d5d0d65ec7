import type { PooledFile } from "./file-pool.js";
import { malformed, problems } from "./problems.js";

/** No list of tensors is longer: 300,000 of them fit. */
export const longestJson = 32 * 1024 * 1024;
/** The formats nest four levels deep. */
const deepest = 16;
/** A tensor takes three objects and arrays. */
const mostContainers = 1_000_000;

/**
 * The value of JSON from a file that may be hostile. What it would take in memory is bounded before it is parsed: two
 * bytes of text make an array of fifty. Errors: `checkpoint-malformed`, naming `field`.
 */
export function parseBoundedJson(text: Buffer, path: string, field: string): unknown {
  let depth = 0;
  let containers = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!;
    if (inString) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > deepest) throw malformed(path, field, problems.tooDeep({ limit: deepest }));
      if (++containers > mostContainers)
        throw malformed(path, field, problems.tooMany({ limit: mostContainers }));
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
  }
  try {
    return JSON.parse(text.toString("utf8").replace(/^\uFEFF/, ""));
  } catch {
    throw malformed(path, field, problems.notJson());
  }
}

/** The value of a JSON file. Errors: `file-unreadable`, `checkpoint-malformed`, `checkpoint-truncated`. */
export async function readJsonFile(file: PooledFile, field: string): Promise<unknown> {
  if (file.bytes > longestJson)
    throw malformed(file.path, field, problems.tooLong({ bytes: file.bytes, limitBytes: longestJson }));
  const text = Buffer.allocUnsafe(file.bytes);
  await file.read(text, 0, field);
  return parseBoundedJson(text, file.path, field);
}

/** Whether a value of JSON is an object, and neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
