import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import type { ImportanceEntry } from "../engine/protocol.js";
import { unwritable } from "../file-errors.js";
import { uint32, type WritableMetadata, type WritableValue } from "../gguf/encode.js";
import { type TensorSource, writeGguf } from "../gguf/writer.js";

/** An importance matrix to write; the sums of one tensor are in memory at a time. */
export interface CollectedImportance {
  entries: readonly ImportanceEntry[];
  sums: (name: string) => Promise<Float32Array>;
  /** The texts it was computed on, the present one last. */
  datasets: readonly string[];
  chunks: number;
  chunkSize: number;
}

/**
 * Writes an importance matrix as llama.cpp does: its GGUF with the raw sums and counts, or the legacy `.dat` with means
 * times chunks. The file appears under its name only when it is complete. Returns the names of the matrices of which
 * some experts were never used.
 *
 * Source: `save_imatrix` and `save_imatrix_legacy` in tools/imatrix/imatrix.cpp, v0.5.0. Errors: `file-unwritable`.
 */
export async function writeImportance(
  path: string,
  format: "gguf" | "legacy",
  collected: CollectedImportance,
): Promise<string[]> {
  if (format === "gguf") await writeAsGguf(path, collected);
  else await writeAsLegacy(path, collected);
  return collected.entries.filter(({ counts }) => counts.includes(0)).map(({ name }) => name);
}

async function writeAsGguf(path: string, collected: CollectedImportance): Promise<void> {
  const { entries, datasets, chunks, chunkSize } = collected;
  const metadata: WritableMetadata = new Map<string, WritableValue>([
    ["general.type", { type: "string", value: "imatrix" }],
    ["imatrix.datasets", { type: "array", value: { elementType: "string", items: datasets } }],
    ["imatrix.chunk_count", { type: "uint32", value: chunks }],
    ["imatrix.chunk_size", { type: "uint32", value: chunkSize }],
  ]);
  const tensors = entries.flatMap(({ name, columns, matrices, counts }): TensorSource[] => {
    // One count stands for all matrices of a dense stack: the sums then are one row to the format.
    const shape = counts.length === 1 ? [columns * matrices] : [columns, matrices];
    const countsShape = counts.length === 1 ? [1] : [1, counts.length];
    return [
      { name: `${name}.in_sum2`, type: "F32", shape, data: () => floats(collected.sums(name)) },
      { name: `${name}.counts`, type: "F32", shape: countsShape, data: () => [bytesOf(counts)] },
    ];
  });
  await writeGguf(path, { metadata, tensors });
}

async function* floats(values: Promise<Float32Array>): AsyncGenerator<Uint8Array> {
  const { buffer, byteOffset, byteLength } = await values;
  yield new Uint8Array(buffer, byteOffset, byteLength);
}

function bytesOf(numbers: Float64Array): Uint8Array {
  return new Uint8Array(Float32Array.from(numbers).buffer);
}

async function writeAsLegacy(path: string, collected: CollectedImportance): Promise<void> {
  const { entries, chunks, chunkSize, datasets } = collected;
  // An entry of which nothing is known has no place in this format.
  const stored = entries.filter(({ counts }) => counts.some((count) => count > 0));
  await replacing(path, async (file) => {
    await file.write(uint32(stored.length));
    for (const { name, counts } of stored) {
      const sums = await collected.sums(name);
      const calls = Math.ceil(Math.max(...counts) / chunkSize);
      const columns = sums.length / counts.length;
      for (let index = 0; index < sums.length; index++) {
        const count = counts[Math.floor(index / columns)]!;
        const mean = count === 0 ? 1 : Math.fround(sums[index]! / count);
        sums[index] = mean * calls;
      }
      const text = Buffer.from(name, "utf8");
      await file.write(Buffer.concat([uint32(text.length), text, uint32(calls), uint32(sums.length)]));
      await file.write(new Uint8Array(sums.buffer, sums.byteOffset, sums.byteLength));
    }
    const dataset = Buffer.from(datasets.at(-1) ?? "", "utf8");
    await file.write(Buffer.concat([uint32(chunks), uint32(dataset.length), dataset]));
  });
}

/** Writes a file beside its place, and puts it there when it is whole. */
async function replacing(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString("hex")}.partial`;
  try {
    const file = await open(partial, "wx");
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await unlink(partial).catch(() => {});
    const isSystems =
      typeof (cause as NodeJS.ErrnoException)?.code === "string" && !("facts" in (cause as object));
    throw isSystems ? unwritable(path, cause) : cause;
  }
}
