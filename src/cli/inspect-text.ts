import type { WritableValue } from "../gguf/encode.js";
import type { ModelFile } from "../gguf/model-file.js";
import type { ModelOutline, WeightBytes } from "../gguf/outline.js";
import { inspectMessages } from "../messages/inspect.js";
import { localized } from "../messages/locale.js";
import { formatBytes, formatCount } from "../units.js";
import type { Inspection } from "./inspection.js";

const texts = localized(inspectMessages);
const longestValue = 100;
const mostItems = 8;

/** The lines that describe a model to a person. Texts from the file are shown without their control characters. */
export function* describeModel(
  { model, outline, refusal }: Inspection,
  listTensors: boolean,
): Generator<string> {
  yield texts.headings.model;
  yield* table([
    ...modelRows(outline),
    [texts.fields.runnable, refusal ? `${texts.no}: ${refusal.message}` : texts.yes],
  ]);
  yield "";
  yield texts.headings.files;
  yield* table(
    model.shards.map(({ path, version, fileBytes, tensors }) => [
      path,
      `GGUF ${version}`,
      formatBytes(fileBytes),
      texts.tensorsOf(tensors.length),
    ]),
  );
  yield "";
  yield texts.headings.metadata;
  yield* table(metadataRows(model.metadata));
  yield "";
  yield texts.headings.types;
  yield* table(typeRows(model));
  yield "";
  yield texts.headings.bytes;
  yield* table(byteRows(outline.bytes));
  yield "";
  yield texts.headings.tensors;
  if (listTensors) yield* table(tensorRows(model));
  else yield `  ${texts.listHint(model.tensors.length)}`;
}

/** What a list of tensors shows of each. */
export interface TensorLine {
  type: string;
  bytes: number;
}

function modelRows(outline: ModelOutline): string[][] {
  const { fields } = texts;
  const templates = Object.keys(outline.chatTemplates);
  const special = [
    ["bos", outline.bosTokenId],
    ["eos", outline.eosTokenId],
    ["eot", outline.eotTokenId],
  ].filter(([, id]) => id !== undefined);
  const rows: [string, string | number | undefined][] = [
    [fields.name, outline.name && visible(outline.name)],
    [fields.architecture, visible(outline.architecture)],
    [fields.parameters, formatCount(outline.parameters)],
    [fields.fileType, outline.fileType],
    [fields.contextLength, outline.contextLength],
    [fields.hiddenSize, outline.hiddenSize],
    [fields.layers, outline.layers],
    [fields.heads, perLayer(outline.heads)],
    [fields.kvHeads, perLayer(outline.kvHeads)],
    [fields.headSize, outline.headSizeK && `${outline.headSizeK}, ${outline.headSizeV}`],
    [fields.feedForwardSize, outline.feedForwardSize && perLayer(outline.feedForwardSize)],
    [fields.slidingWindow, outline.slidingWindow],
    [fields.experts, outline.experts && `${outline.experts}, ${texts.used(outline.expertsUsed ?? 0)}`],
    [fields.vocabulary, outline.vocabularySize && vocabulary(outline)],
    [fields.specialTokens, special.map(([name, id]) => `${name} ${id}`).join(", ")],
    [
      fields.chatTemplate,
      outline.chatTemplate === undefined ? texts.no : template(outline.chatTemplate, templates),
    ],
    [fields.pooling, outline.pooling],
  ];
  return rows
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => [name, `${value}`]);
}

function vocabulary({ vocabularySize, tokenizer, preTokenizer }: ModelOutline): string {
  const names = [tokenizer, preTokenizer].filter((name) => name !== undefined).map((name) => visible(name));
  return [texts.tokens(vocabularySize ?? 0), ...names].join(", ");
}

function template(text: string, others: string[]): string {
  return [texts.characters(text.length), ...others.map((name) => visible(name))].join(", ");
}

/** One number where all layers agree, else the runs: `8 ×24, 0 ×2`. */
function perLayer(values: readonly number[]): string {
  return runs(values)
    .map(({ value, count }, _, all) => (all.length === 1 ? `${value}` : `${value} ×${count}`))
    .join(", ");
}

function byteRows(bytes: WeightBytes): string[][] {
  const rows = [[texts.embedding, formatBytes(bytes.embedding)]];
  let layer = 0;
  for (const { value, count } of runs(bytes.layers.map((size, index) => `${size} ${bytes.experts[index]}`))) {
    const [size, experts] = value.split(" ").map(Number) as [number, number];
    const name = count === 1 ? `blk.${layer}` : `blk.${layer}–${layer + count - 1}`;
    const detail = [count > 1 ? texts.each : "", experts > 0 ? texts.ofExperts(formatBytes(experts)) : ""];
    rows.push([name, formatBytes(size), detail.filter(Boolean).join(", ")]);
    layer += count;
  }
  rows.push([texts.output, formatBytes(bytes.output)]);
  if (bytes.other > 0) rows.push([texts.other, formatBytes(bytes.other)]);
  rows.push([texts.total, formatBytes(bytes.total)]);
  return rows;
}

/** A line for each key: its type and its value, or how many items it has. */
export function metadataRows(metadata: { entries(): IterableIterator<[string, WritableValue]> }): string[][] {
  return [...metadata.entries()].map(([key, entry]) => [visible(key), showType(entry), showValue(entry)]);
}

/** How many tensors and bytes are of each type, the most bytes first. */
export function typeRows({ tensors }: { tensors: readonly TensorLine[] }): string[][] {
  const types = new Map<string, { count: number; bytes: number }>();
  for (const { type, bytes } of tensors) {
    const sum = types.get(type) ?? { count: 0, bytes: 0 };
    types.set(type, { count: sum.count + 1, bytes: sum.bytes + bytes });
  }
  return [...types]
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([type, { count, bytes }]) => [type, texts.tensorsOf(count), formatBytes(bytes)]);
}

function tensorRows({ tensors, shards }: ModelFile): string[][] {
  return tensors.map(({ name, type, shape, bytes, shard }) => [
    visible(name),
    type,
    shape.join(" × ") || "1",
    formatBytes(bytes),
    ...(shards.length > 1 ? [`${shard + 1}/${shards.length}`] : []),
  ]);
}

function showType(entry: WritableValue): string {
  return entry.type === "array" ? `${entry.value.elementType}[]` : entry.type;
}

function showValue(entry: WritableValue): string {
  if (entry.type !== "array") return visible(String(entry.value));
  const items = "items" in entry.value ? entry.value.items : undefined;
  const count = "count" in entry.value ? entry.value.count : entry.value.items.length;
  return items && count <= mostItems ? visible(items.join(", ")) : texts.items(count);
}

/** A text from a file on one line, without what could steer a terminal. */
export function visible(text: string): string {
  const line = text.replace(/\s+/g, " ").replace(/\p{C}/gu, "�");
  return line.length > longestValue ? `${line.slice(0, longestValue)}…` : line;
}

function runs<T>(values: readonly T[]): { value: T; count: number }[] {
  const found: { value: T; count: number }[] = [];
  for (const value of values) {
    const last = found.at(-1);
    if (last?.value === value) last.count++;
    else found.push({ value, count: 1 });
  }
  return found;
}

/** Lines of cells, each column as wide as its widest. */
export function* table(rows: readonly (readonly string[])[]): Generator<string> {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === row.length - 1 ? cell : cell.padEnd(widths[column]!),
    );
    yield `  ${cells.join("  ")}`.trimEnd();
  }
}
