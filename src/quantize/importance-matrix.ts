import { JaugeError } from "../errors.js";
import { stringChunks } from "../gguf/arrays.js";
import { openBytes } from "../gguf/byte-source.js";
import { FileWindow } from "../gguf/file-window.js";
import type { MetadataArray } from "../gguf/metadata.js";
import { type GgufHeader, readGguf, type TensorInfo } from "../gguf/reader.js";
import { longestTensorName, tensorElements } from "../gguf/tensor-types.js";
import { importanceProblems } from "../messages/compare.js";
import { localized } from "../messages/locale.js";

const problems = localized(importanceProblems);

/** How much each column of a model's matrices matters, as a file has it. The sums stay in the file until asked for. */
export interface ImportanceMatrix {
  path: string;
  /** `legacy`: the `.dat` that llama.cpp wrote until 2025, whose sums are divided by their counts already. */
  format: "gguf" | "legacy";
  /** The texts it was computed on. */
  datasets: string[];
  /** Chunks of text that were computed; 0 where the file does not say. */
  chunks: number;
  /** Tokens of a chunk; 0 in the legacy format. */
  chunkSize: number;
  /** By the name of the model's tensor. */
  entries: ReadonlyMap<string, ImportanceMatrixEntry>;
}

export interface ImportanceMatrixEntry {
  name: string;
  /** Numbers in all: columns × matrices. */
  values: number;
  /**
   * Rows that each matrix of a stack has seen, or one number for all; in the legacy format, the chunks.
   */
  counts: readonly number[];
  /** The sums of squares as the file has them. */
  readSums(): Promise<Float32Array>;
}

/**
 * Reads an importance matrix of either format; which one, its first bytes say.
 *
 * Source: common/imatrix-loader.cpp of llama.cpp v0.5.0. Errors: `file-unreadable`, those of `readGguf`,
 * `importance-file-invalid`.
 */
export async function readImportanceMatrix(path: string): Promise<ImportanceMatrix> {
  const file = await openBytes(path);
  const magic = new Uint8Array(4);
  try {
    await file.read(magic, 0);
  } finally {
    await file.close();
  }
  const isGguf = Buffer.from(magic).toString("latin1") === "GGUF";
  return isGguf ? await readGgufMatrix(await readGguf(path)) : await readLegacyMatrix(path);
}

/**
 * The weight of each column of each matrix, as the quantisers take it: the mean of the squares, 1 for experts that
 * nothing was routed to. Errors: `file-unreadable`, `importance-file-invalid` where one is no finite number.
 */
export async function columnWeights(
  matrix: ImportanceMatrix,
  entry: ImportanceMatrixEntry,
): Promise<Float32Array> {
  const weights = await entry.readSums();
  const { counts } = entry;
  const columns = weights.length / counts.length;
  for (let index = 0; index < weights.length; index++) {
    const count = counts[Math.floor(index / columns)]!;
    if (count > 0) weights[index] = weights[index]! / count;
    else if (matrix.format === "gguf") weights[index] = 1;
    if (!Number.isFinite(weights[index]!)) throw invalid(matrix.path, entry.name, problems.notFinite());
  }
  return weights;
}

const sumsSuffix = ".in_sum2";
const countsSuffix = ".counts";

async function readGgufMatrix(header: GgufHeader): Promise<ImportanceMatrix> {
  const { path, metadata } = header;
  const byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const entries = new Map<string, ImportanceMatrixEntry>();
  for (const sums of header.tensors) {
    if (!sums.name.endsWith(sumsSuffix)) continue;
    const name = sums.name.slice(0, -sumsSuffix.length);
    const counts = byName.get(name + countsSuffix);
    if (!counts || sums.type !== "F32" || counts.type !== "F32")
      throw invalid(path, name, problems.noCounts());
    const values = tensorElements(sums.shape)!;
    const counted = await readFloats(path, counts);
    if (values % counted.length !== 0) throw invalid(path, name, problems.noCounts());
    entries.set(name, {
      name,
      values,
      counts: Array.from(counted, (count) => Math.round(count)),
      readSums: () => readFloats(path, sums),
    });
  }
  const chunkSize = metadata.number("imatrix.chunk_size");
  const chunks = metadata.number("imatrix.chunk_count");
  const datasets = metadata.array("imatrix.datasets");
  if (entries.size === 0) throw invalid(path, sumsSuffix, problems.empty());
  if (chunkSize === undefined || chunks === undefined || datasets === undefined)
    throw invalid(path, "imatrix.*", problems.noMetadata());
  return { path, format: "gguf", datasets: await strings(datasets), chunks, chunkSize, entries };
}

async function strings(array: MetadataArray): Promise<string[]> {
  const found: string[] = [];
  for await (const chunk of stringChunks(array)) found.push(...chunk);
  return found;
}

/** Most entries that are believed: as many as a model may have tensors. */
const mostEntries = 32_768;

/** Entries one after the other: length and bytes of the name, chunks, number of values, values. Then chunks, a text. */
async function readLegacyMatrix(path: string): Promise<ImportanceMatrix> {
  const window = await FileWindow.open(path);
  try {
    const count = window.fileBytes >= 4 ? await window.uint32("n_entries") : 0;
    if (count < 1 || count > mostEntries) throw invalid(path, "n_entries", problems.unknownFormat());
    const entries = new Map<string, ImportanceMatrixEntry>();
    for (let index = 0; index < count; index++) {
      const field = `entry[${index}]`;
      const length = await window.uint32(field);
      if (length < 1 || length > longestTensorName) throw invalid(path, field, problems.unknownFormat());
      const name = (await window.take(length, field)).toString("utf8");
      const chunks = await window.uint32(name);
      const values = await window.uint32(name);
      if (values < 1 || chunks >= 2 ** 31 || entries.has(name))
        throw invalid(path, name, problems.unknownFormat());
      window.require(values * 4, name);
      const place = { name, fileOffset: window.offset, bytes: values * 4 };
      window.seek(window.offset + values * 4);
      entries.set(name, { name, values, counts: [chunks], readSums: () => readFloats(path, place) });
    }
    const chunks = window.left >= 4 ? await window.uint32("chunks") : 0;
    const length = window.left >= 4 ? await window.uint32("dataset") : 0;
    const dataset =
      length > 0 && length <= 65_536 ? (await window.take(length, "dataset")).toString("utf8") : "";
    return { path, format: "legacy", datasets: dataset ? [dataset] : [], chunks, chunkSize: 0, entries };
  } finally {
    await window.close();
  }
}

/** The float32 numbers of a tensor, in a copy of their own. */
async function readFloats(
  path: string,
  { name, fileOffset, bytes }: Pick<TensorInfo, "name" | "fileOffset" | "bytes">,
): Promise<Float32Array> {
  const values = new Float32Array(bytes / 4);
  const target = new Uint8Array(values.buffer);
  const file = await openBytes(path);
  try {
    for (let done = 0; done < bytes; ) {
      const read = await file.read(target.subarray(done), fileOffset + done);
      if (read === 0)
        throw new JaugeError("gguf-truncated", {
          ...{ path, field: name, missingBytes: bytes - done, fileBytes: file.bytes },
        });
      done += read;
    }
  } finally {
    await file.close();
  }
  return values;
}

function invalid(path: string, field: string, problem: string): JaugeError<"importance-file-invalid"> {
  return new JaugeError("importance-file-invalid", { path, field, problem });
}
