import { Readable } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { isJaugeError, JaugeError } from "../../errors.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";
import type { BatchItem } from "../request.js";
import { type ReadOptions, readObject } from "./read-object.js";

const problems = localized(batchProblems);

/** A row's cells, or what is wrong with it. */
type Row = { cells: string[] } | { problem: string };

/**
 * The rows of a table with a header (RFC 4180, by commas or tabs), each as the fields of the template; without one, the
 * column `prompt` is asked. A column `custom_id` names the rows; numbers count them from 1, without the header.
 * Errors: `batch-columns-unknown`, `batch-table-empty`.
 */
export async function* tableItems(
  chunks: AsyncIterable<Uint8Array>,
  delimiter: "," | "\t",
  mostBytes: number,
  options: ReadOptions,
): AsyncGenerator<BatchItem, void, void> {
  const rows = rowsOf(chunks, delimiter, mostBytes);
  const first = await rows.next();
  if (first.done) throw new JaugeError("batch-table-empty", {});
  if ("problem" in first.value) throw new JaugeError("batch-table-empty", {});
  const columns = first.value.cells.map((name) => name.trim());
  refuseUnknown(columns, options);
  let number = 0;
  for await (const row of rows) {
    number++;
    yield "cells" in row
      ? itemOf(row.cells, columns, number, options)
      : { number, customId: `line-${number}`, request: invalidRow(row.problem) };
  }
}

function refuseUnknown(columns: readonly string[], { template }: ReadOptions): void {
  const wanted = template ? template.fields : ["prompt"];
  const missing = wanted.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw new JaugeError("batch-columns-unknown", { missing: missing.join(", "), names: columns });
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

/** Rows as they come. A row that cannot be read is told as such; what follows an open quote cannot be told apart. */
async function* rowsOf(
  chunks: AsyncIterable<Uint8Array>,
  delimiter: string,
  mostBytes: number,
): AsyncGenerator<Row, void, void> {
  const source = Readable.from(chunks, { objectMode: false, highWaterMark: 1 << 18 });
  const parser = parse({
    bom: true,
    delimiter,
    columns: false,
    relax_column_count: true,
    skip_empty_lines: true,
    // Tabs separate texts in which quotes are just quotes.
    ...(delimiter === "\t" && { quote: null }),
    max_record_size: mostBytes,
  });
  source.on("error", (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const cells of parser as AsyncIterable<string[]>) yield { cells };
  } catch (error) {
    if (isJaugeError(error) || !(error instanceof CsvError)) throw error;
    yield { problem: problems.unreadRow({ problem: error.message }) };
  } finally {
    source.destroy();
  }
}
