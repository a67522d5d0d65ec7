import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import { decodeScalars } from "./arrays.js";
import type { FileWindow } from "./file-window.js";
import {
  Metadata,
  type MetadataArray,
  type MetadataValue,
  type ScalarType,
  valueBytes,
  valueTypes,
} from "./metadata.js";

const problems = localized(ggufProblems);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The format's own limit for keys (docs/gguf.md). */
const longestKey = 65_535;
/** All texts that a header may bring into memory together; the largest known are 35 MB, a tokenizer.json in a key. */
const mostTextBytes = 64 * 1024 * 1024;
/** GGUF_MAX_ARRAY_ELEMENTS of ggml/src/gguf.cpp. */
const mostElements = 2 ** 30;
/** An array up to these sizes is kept in memory as well. */
const inlineItems = 1024;
const inlineBytes = 64 * 1024;
/** And only while all such arrays of a header stay below this, hundreds of times what any model has. */
const mostInlineBytes = 4 * 1024 * 1024;

/** Reads `count` keys and their values. Errors: `gguf-truncated`, `gguf-malformed`. */
export async function readMetadata(reader: MetadataReader, count: number): Promise<Metadata> {
  const values = new Map<string, MetadataValue>();
  for (let index = 0; index < count; index++) {
    const key = await reader.name(`metadata[${index}].key`, longestKey);
    if (values.has(key)) throw reader.malformed(key, problems.duplicate());
    values.set(key, await reader.value(key));
  }
  return new Metadata(reader.window.path, values);
}

/** Reads names and values of a header from a window, and keeps account of the text they bring into memory. */
export class MetadataReader {
  private textBytes = 0;
  private inlinedBytes = 0;

  constructor(readonly window: FileWindow) {}

  /** A key or tensor name: not empty, UTF-8, without NUL, at which C would end it and see another name. */
  async name(field: string, longest: number): Promise<string> {
    const length = await this.window.count(field);
    if (length === 0) throw this.malformed(field, problems.empty());
    if (length > longest) throw this.malformed(field, problems.tooLong({ bytes: length, limit: longest }));
    const bytes = await this.window.take(length, field);
    this.account(length, field);
    if (bytes.includes(0)) throw this.malformed(field, problems.holdsNul());
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.malformed(field, problems.notUtf8());
    }
  }

  async value(key: string): Promise<MetadataValue> {
    const type = await this.type(key);
    if (type === "array") return { type, value: await this.array(key) };
    if (type === "string") return { type, value: await this.text(key) };
    const bytes = await this.window.take(valueBytes[type], key);
    if (type === "bool" && bytes[0]! > 1)
      throw this.malformed(key, problems.notBoolean({ value: bytes[0]! }));
    return { type, value: decodeScalars(type, bytes)[0] } as MetadataValue;
  }

  malformed(field: string, problem: string): JaugeError<"gguf-malformed"> {
    return new JaugeError("gguf-malformed", { path: this.window.path, field, problem });
  }

  private async type(key: string): Promise<(typeof valueTypes)[number]> {
    const id = await this.window.uint32(key);
    const type = valueTypes[id];
    if (type === undefined) throw this.malformed(key, problems.unknownValueType({ id }));
    return type;
  }

  private async text(key: string): Promise<string> {
    const length = await this.window.count(key);
    this.window.require(length, key);
    this.account(length, key);
    return (await this.window.take(length, key)).toString("utf8");
  }

  private async array(key: string): Promise<MetadataArray> {
    const elementType = await this.type(key);
    if (elementType === "array") throw this.malformed(key, problems.nestedArray());
    const count = await this.window.count(key);
    if (count > mostElements) throw this.malformed(key, problems.tooMany({ count, limit: mostElements }));
    if (elementType === "string") {
      const fileOffset = this.window.offset;
      const bytes = await this.skipStrings(key, count);
      const array = { elementType, count, ...this.place(), fileOffset, bytes };
      if (!this.isInline(count, bytes)) return array;
      return { ...array, items: await this.inlineStrings(key, fileOffset, count) };
    }
    return this.scalars(key, elementType, count);
  }

  private async scalars(
    key: string,
    elementType: Exclude<ScalarType, "string">,
    count: number,
  ): Promise<MetadataArray> {
    const fileOffset = this.window.offset;
    const bytes = count * valueBytes[elementType];
    this.window.require(bytes, key);
    const array = { elementType, count, ...this.place(), fileOffset, bytes };
    if (this.isInline(count, bytes)) {
      return { ...array, items: decodeScalars(elementType, await this.window.take(bytes, key)) };
    }
    this.window.seek(fileOffset + bytes);
    return array;
  }

  private place(): Pick<MetadataArray, "path" | "origin" | "countBytes"> {
    const { path, origin, countBytes } = this.window;
    return {
      path,
      ...(typeof origin !== "string" && { origin }),
      ...(countBytes === 4 && { countBytes }),
    };
  }

  /** Walks over `count` strings, each length checked; returns the bytes they take. */
  private async skipStrings(key: string, count: number): Promise<number> {
    this.window.require(count * this.window.countBytes, key);
    const start = this.window.offset;
    await this.window.skipStrings(count, key);
    return this.window.offset - start;
  }

  private async inlineStrings(key: string, fileOffset: number, count: number): Promise<string[]> {
    const end = this.window.offset;
    this.window.seek(fileOffset);
    const items: string[] = [];
    for (let index = 0; index < count; index++) {
      const length = await this.window.count(key);
      items.push((await this.window.take(length, key)).toString("utf8"));
    }
    this.window.seek(end);
    return items;
  }

  private isInline(count: number, bytes: number): boolean {
    if (count > inlineItems || bytes > inlineBytes || this.inlinedBytes + bytes > mostInlineBytes)
      return false;
    this.inlinedBytes += bytes;
    return true;
  }

  private account(bytes: number, field: string): void {
    this.textBytes += bytes;
    if (this.textBytes > mostTextBytes)
      throw this.malformed(field, problems.textTooLong({ limit: mostTextBytes }));
  }
}
