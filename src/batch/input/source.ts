import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { breakOf } from "../../json.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";
import type { BatchItem } from "../request.js";
import { type Line, lineGroupsOf } from "./lines.js";
import { ReadAhead } from "./read-ahead.js";
import { type ReadOptions, readObject, readText } from "./read-object.js";
import { type TableFacts, tableItems } from "./table.js";

const problems = localized(batchProblems);

export const inputFormats = ["jsonl", "csv", "tsv", "text"] as const;
export type InputFormat = (typeof inputFormats)[number];

export interface SourceOptions extends ReadOptions {
  /** By the file's name where absent, else by its first character. */
  format?: InputFormat;
}

/** The longest line: the prompt of a context of a million tokens is about 4 MB of text. */
export const mostLineBytes = 16_000_000;

/** The lines of a job. They are read as they are asked for. */
export interface BatchSource {
  /** A path; `-` is standard input. */
  readonly name: string;
  readonly format: InputFormat;
  /** Bytes of all lines; undefined where they come from a pipe whose end was not seen at a glance. */
  readonly totalBytes: number | undefined;
  /** Of what was read so far. */
  readonly readBytes: number;
  /** Of the beginning: says whether another run reads the same lines. Undefined for a pipe. */
  readonly beginning: InputBeginning | undefined;
  /** Of a table: what was seen of it so far. */
  readonly table: TableFacts;
  /** All lines, once. */
  items(): AsyncGenerator<BatchItem, void, void>;
  /**
   * The lines at the beginning as a source of their own, to look at before the job; `items` has them all the same. Of a
   * file these are all lines. Of a pipe, which is asked before its `items` are, those that come without a pause:
   * `totalBytes` is undefined where there may be more.
   */
  glance(): Promise<BatchSource>;
}

/** The first bytes of an input, hashed: lines may be added to a file between two runs, not changed. */
export interface InputBeginning {
  bytes: number;
  sha256: string;
}

/**
 * Opens an input; `-` is standard input. `known` is what an earlier run hashed of it.
 * Errors: `file-unreadable`.
 */
export async function openSource(
  name: string,
  options: SourceOptions,
  known?: InputBeginning,
): Promise<BatchSource> {
  if (name === "-") return pipeSource(name, process.stdin, options);
  try {
    const file = await open(name);
    const stats = await file.stat();
    // A pipe has no beginning that could be read twice, and is not there any more when it is closed.
    if (!stats.isFile() && !stats.isDirectory())
      return await pipeSource(name, file.createReadStream({ highWaterMark: chunkBytes }), options);
    let beginning: InputBeginning;
    try {
      if (stats.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
      const hashed = Buffer.alloc(Math.min(known?.bytes ?? stats.size, mostHashedBytes));
      const { bytesRead } = await file.read(hashed, 0, hashed.length, 0);
      beginning = {
        bytes: bytesRead,
        sha256: createHash("sha256").update(hashed.subarray(0, bytesRead)).digest("hex"),
      };
    } finally {
      await file.close();
    }
    const stream = createReadStream(name, { highWaterMark: chunkBytes });
    // It is opened when it is read first; until then a failure has no listener.
    stream.on("error", () => {});
    const source = await sourceOf(name, stream, options, stats.size, beginning);
    return withGlance(source, () => openSource(name, options, known));
  } catch (cause) {
    throw unreadable(name, cause);
  }
}

const mostHashedBytes = 1 << 16;
const chunkBytes = 1 << 18;

type Source = Omit<BatchSource, "glance">;

function withGlance(source: Source, glance: () => Promise<BatchSource>): BatchSource {
  return Object.assign(source, { glance });
}

/** A pipe is read ahead once: what was read goes to who glances and to the job. */
async function pipeSource(
  name: string,
  stream: AsyncIterable<Uint8Array>,
  options: SourceOptions,
): Promise<BatchSource> {
  const ahead = new ReadAhead(stream);
  let totalBytes: number | undefined;
  const source = await sourceOf(name, ahead.rest(), options, () => totalBytes, undefined);
  return withGlance(source, async () => {
    const { chunks, isWhole } = await ahead.glance();
    if (isWhole) totalBytes = chunks.reduce((sum, { length }) => sum + length, 0);
    const known = { ...options, format: source.format };
    const glanced = await sourceOf(name, replayed(chunks), known, totalBytes, undefined);
    return withGlance(glanced, () => Promise.reject(new Error("a glance has none")));
  });
}

async function* replayed(chunks: Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
  yield* chunks;
}

async function sourceOf(
  name: string,
  stream: AsyncIterable<Uint8Array>,
  options: SourceOptions,
  totalBytes: number | undefined | (() => number | undefined),
  beginning: InputBeginning | undefined,
): Promise<Source> {
  let readBytes = 0;
  const iterator = counted(stream, name, (bytes) => {
    readBytes += bytes;
  })[Symbol.asyncIterator]();
  const first = await iterator.next();
  const format = options.format ?? formatOf(name, first.done ? undefined : first.value);
  const chunks = rejoined(first, iterator);
  const table: TableFacts = {};
  return {
    ...{ name, format, beginning, table },
    get totalBytes() {
      return typeof totalBytes === "function" ? totalBytes() : totalBytes;
    },
    get readBytes() {
      return readBytes;
    },
    items: () =>
      format === "csv" || format === "tsv"
        ? tableItems(chunks, format === "csv" ? "," : "\t", mostLineBytes, options, table)
        : lineItems(chunks, format, options),
  };
}

async function* counted(
  stream: AsyncIterable<Uint8Array>,
  path: string,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const chunk of stream) {
      count(chunk.length);
      yield chunk;
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

async function* rejoined(
  first: IteratorResult<Uint8Array, void>,
  others: AsyncGenerator<Uint8Array, void, void>,
): AsyncGenerator<Uint8Array, void, void> {
  if (first.done) return;
  yield first.value;
  yield* others;
}

function formatOf(name: string, beginning: Uint8Array | undefined): InputFormat {
  if (/\.(jsonl|ndjson)$/i.test(name)) return "jsonl";
  if (/\.csv$/i.test(name)) return "csv";
  if (/\.tsv$/i.test(name)) return "tsv";
  const text = Buffer.from(beginning?.subarray(0, 1024) ?? []).toString("utf8");
  return /^\uFEFF?\s*\{/.test(text) ? "jsonl" : "text";
}

async function* lineItems(
  chunks: AsyncIterable<Uint8Array>,
  format: "jsonl" | "text",
  options: ReadOptions,
): AsyncGenerator<BatchItem, void, void> {
  for await (const lines of lineGroupsOf(chunks, mostLineBytes))
    for (const line of lines) yield lineItem(line, format, options);
}

function lineItem(
  { number, text, problem }: Line,
  format: "jsonl" | "text",
  options: ReadOptions,
): BatchItem {
  const customId = `line-${number}`;
  if (problem === "too-long")
    return { number, customId, request: new JaugeError("line-too-long", { limitBytes: mostLineBytes }) };
  if (problem) return { number, customId, request: new JaugeError("line-not-utf8", {}) };
  return format === "text" ? readText(text, number, options) : readJson(text, number, options);
}

function readJson(text: string, number: number, options: ReadOptions): BatchItem {
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch (error) {
    const request = new JaugeError("line-not-json", { problem: syntaxProblem(error as SyntaxError) });
    return { number, customId: `line-${number}`, request };
  }
  return readObject(object, number, options);
}

/** Where a line breaks, in the person's language; V8 tells it in several ways. */
function syntaxProblem(error: SyntaxError): string {
  const position = breakOf(error);
  if (position === "end") return problems.ends;
  if (position !== undefined) return problems.breaksAt({ column: position + 1 });
  const character = /^Unexpected token '(.+?)'/u.exec(error.message)?.[1];
  return character === undefined ? error.message.slice(0, 200) : problems.unexpectedCharacter({ character });
}
