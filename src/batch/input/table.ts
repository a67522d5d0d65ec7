import { CsvError, parse } from "csv-parse";
import { JaugeError } from "../../errors.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";
import type { BatchItem } from "../request.js";
import { isField } from "./body.js";
import { type ReadOptions, readObject } from "./read-object.js";

const problems = localized(batchProblems);

/** What reading a table has shown so far. */
export interface TableFacts {
  /** The line from which on nothing can be told apart: a quote opens there and never closes, or stands where none may. */
  unreadFrom?: number;
  /** Columns with names of a request's settings, which a table does not set. */
  ignoredColumns?: string[];
}

/** A row's cells, or what is wrong with it and all that follows, from a line on. */
type Row = { cells: string[] } | { problem: string; line: number };

/**
 * The rows of a table with a header (RFC 4180, by commas or tabs), each as the fields of the template; without one, the
 * column `prompt` is asked. A column `custom_id` names the rows; numbers count them from 1, without the header.
 * `facts` is told what becomes known. Errors: `batch-columns-unknown`, `batch-columns-repeated`, `batch-table-empty`.
 */
export async function* tableItems(
  chunks: AsyncIterable<Uint8Array>,
  delimiter: "," | "\t",
  mostBytes: number,
  options: ReadOptions,
  facts: TableFacts = {},
): AsyncGenerator<BatchItem, void, void> {
  const rows = rowsOf(chunks, delimiter, mostBytes);
  const first = await rows.next();
  if (first.done) throw new JaugeError("batch-table-empty", {});
  if ("problem" in first.value) throw new JaugeError("batch-table-empty", {});
  const columns = first.value.cells.map((name) => name.trim());
  refuseUnfit(columns, options);
  if (!options.template) facts.ignoredColumns = columns.filter((name) => name !== "prompt" && isField(name));
  let number = 0;
  for await (const row of rows) {
    number++;
    if ("line" in row) facts.unreadFrom = row.line;
    yield "cells" in row
      ? itemOf(row.cells, columns, number, options)
      : { number, customId: `line-${number}`, request: invalidRow(row.problem) };
  }
}

function refuseUnfit(columns: readonly string[], { template }: ReadOptions): void {
  const wanted = template ? template.fields : ["prompt"];
  const missing = wanted.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw new JaugeError("batch-columns-unknown", { missing: missing.join(", "), names: columns });
  const isRepeated = (name: string) => columns.indexOf(name) !== columns.lastIndexOf(name);
  const repeated = [...wanted, "custom_id"].find(isRepeated);
  if (repeated !== undefined) throw new JaugeError("batch-columns-repeated", { name: repeated });
}

function itemOf(
  cells: readonly string[],
  columns: readonly string[],
  number: number,
  options: ReadOptions,
): BatchItem {
  const values: Record<string, unknown> = Object.create(null);
  for (const [index, name] of columns.entries()) values[name] = cells[index];
  const id = values.custom_id === "" ? undefined : values.custom_id;
  if (cells.length !== columns.length) {
    const customId = typeof id === "string" && cells.length > columns.length ? id : `line-${number}`;
    const problem = problems.cells({ cells: cells.length, header: columns.length });
    return { number, customId, request: invalidRow(problem) };
  }
  const fields = options.template ? values : { prompt: values.prompt };
  return readObject({ ...fields, custom_id: id }, number, options);
}

function invalidRow(problem: string): JaugeError {
  return new JaugeError("line-invalid", { field: "row", problem });
}

/** What the parser found wrong in the row that begins at a line. */
function quoteProblem({ code, message }: CsvError, line: number): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return problems.openQuote({ line });
    case "INVALID_OPENING_QUOTE":
    case "CSV_INVALID_CLOSING_QUOTE":
      return problems.strayQuote({ line });
    case "CSV_MAX_RECORD_SIZE":
      return problems.longRow({ line });
    default:
      return message;
  }
}

/**
 * Rows as they come, those of one chunk together. A row that cannot be read is told as such, after all before it; what
 * follows an open quote cannot be told apart.
 */
async function* rowsOf(
  chunks: AsyncIterable<Uint8Array>,
  delimiter: string,
  mostBytes: number,
): AsyncGenerator<Row, void, void> {
  let ready: Row[] = [];
  // Of whole rows, and blank ones among them.
  let lines = 0;
  let blank = 0;
  const parser = parse({
    bom: true,
    delimiter,
    columns: false,
    relax_column_count: true,
    skip_empty_lines: true,
    // Tabs separate texts in which quotes are just quotes.
    ...(delimiter === "\t" && { quote: null }),
    max_record_size: mostBytes,
    // Taken here: an error would throw away the rows that wait to be read from the parser.
    on_record: (cells: string[], context) => {
      lines = context.lines;
      blank = context.empty_lines;
      ready.push({ cells });
      return null;
    },
  });
  let failure: unknown;
  parser.on("error", (error) => {
    failure = error;
  });
  parser.resume();
  try {
    for await (const chunk of chunks) {
      await new Promise<void>((resolve) => parser.write(chunk, () => resolve()));
      yield* ready;
      ready = [];
      if (failure) break;
    }
    if (!failure) await new Promise<void>((resolve) => parser.once("close", resolve).end());
    yield* ready;
    if (!failure) return;
    if (!(failure instanceof CsvError)) throw failure;
    const line = lines + Number(failure.empty_lines) - blank + 1;
    yield { problem: problems.unreadRow({ problem: quoteProblem(failure, line) }), line };
  } finally {
    parser.destroy();
  }
}
