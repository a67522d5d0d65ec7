import { basename, dirname, join } from "node:path";
import { isJaugeError, JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import type { ByteOrigin, Origin } from "./byte-source.js";
import type { Metadata } from "./metadata.js";
import { type GgufHeader, readGguf, type TensorInfo } from "./reader.js";

const problems = localized(ggufProblems);

/** A model as it lies on disk: one GGUF file, or all the parts of a split one. */
export interface ModelFile {
  /** The file to hand to llama.cpp: the only one, or the first part. */
  path: string;
  /** Headers of all parts in order; one for a model in one file. */
  shards: GgufHeader[];
  /** The model's metadata, which the first part holds. */
  metadata: Metadata;
  /** The tensors of all parts, in file order. */
  tensors: ModelTensor[];
  /** Size of all parts together. */
  fileBytes: number;
}

export interface ModelTensor extends TensorInfo {
  /** Index into `shards` of the file it lies in. */
  shard: number;
}

/** A model that is no file of this machine: how to open the part that is named, and its neighbours. */
export interface ModelPlace {
  /** Name of the file alone, as `model-00001-of-00003.gguf`. */
  fileName: string;
  origin: ByteOrigin;
  /** The file of another name beside it. */
  beside(fileName: string): ByteOrigin;
}

/**
 * Reads the headers of a model. Any part of a split model may be named; all are read, and must be there.
 *
 * Source: `llama_split_path` in src/llama.cpp and the constructor of src/llama-model-loader.cpp, v0.5.0.
 * Errors: those of `readGguf`, and `gguf-shard-missing`.
 */
export async function readModel(place: string | ModelPlace): Promise<ModelFile> {
  const { fileName, origin, beside } = typeof place === "string" ? localPlace(place) : place;
  const given = await readGguf(origin);
  const count = splitNumber(given, "split.count") ?? 1;
  if (count <= 1) return merge([given]);

  const givenNo = splitNumber(given, "split.no") ?? 0;
  if (givenNo >= count)
    throw malformed(given, "split.no", problems.outOfRange({ value: givenNo, low: 0, high: count - 1 }));
  const prefix = shardPrefix(given, fileName, givenNo, count);
  const shards: GgufHeader[] = [];
  for (let no = 0; no < count; no++) {
    const header = no === givenNo ? given : await readShard(beside(shardPath(prefix, no, count)), no, count);
    expectNumber(header, "split.no", no);
    expectNumber(header, "split.count", count);
    shards.push(header);
  }
  const model = merge(shards);
  const expected = shards[0]!.metadata.number("split.tensors.count");
  if (expected !== undefined && expected !== model.tensors.length)
    throw malformed(
      shards[0]!,
      "split.tensors.count",
      problems.shardTensors({ found: model.tensors.length, expected }),
    );
  return model;
}

function localPlace(path: string) {
  return {
    fileName: basename(path),
    origin: path,
    beside: (fileName: string): Origin => join(dirname(path), fileName),
  };
}

/** The name of one part, numbered from 0 here and from 1 in the name: `model-00001-of-00003.gguf`. */
function shardPath(prefix: string, no: number, count: number): string {
  return `${prefix}${shardSuffix(no, count)}`;
}

function shardSuffix(no: number, count: number): string {
  return `-${String(no + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;
}

function shardPrefix(header: GgufHeader, fileName: string, no: number, count: number): string {
  const suffix = shardSuffix(no, count);
  if (!fileName.endsWith(suffix) || fileName === suffix)
    throw malformed(header, "split.no", problems.shardName({ expected: suffix }));
  return fileName.slice(0, -suffix.length);
}

async function readShard(origin: Origin, no: number, count: number): Promise<GgufHeader> {
  try {
    return await readGguf(origin);
  } catch (error) {
    const path = typeof origin === "string" ? origin : origin.path;
    if (isMissing(error))
      throw new JaugeError("gguf-shard-missing", { path, shard: no + 1, count }, { cause: error });
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  if (isJaugeError(error, "file-unreadable"))
    return (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
  return isJaugeError(error, "source-not-found");
}

/** llama.cpp reads these only as uint16. */
function splitNumber(header: GgufHeader, key: string): number | undefined {
  const entry = header.metadata.get(key);
  if (!entry) return undefined;
  if (entry.type !== "uint16")
    throw malformed(header, key, problems.wrongType({ found: entry.type, expected: "uint16" }));
  return entry.value;
}

function expectNumber(header: GgufHeader, key: string, expected: number): void {
  const found = splitNumber(header, key);
  if (found !== expected)
    throw malformed(
      header,
      key,
      problems.shardValue({ found: String(found ?? "—"), expected: String(expected) }),
    );
}

function merge(shards: GgufHeader[]): ModelFile {
  const tensors: ModelTensor[] = [];
  const names = new Set<string>();
  let fileBytes = 0;
  for (const [shard, header] of shards.entries()) {
    fileBytes += header.fileBytes;
    for (const tensor of header.tensors) {
      if (names.has(tensor.name)) throw malformed(header, tensor.name, problems.duplicate());
      names.add(tensor.name);
      tensors.push({ ...tensor, shard });
    }
  }
  const first = shards[0]!;
  return { path: first.path, shards, metadata: first.metadata, tensors, fileBytes };
}

function malformed(header: GgufHeader, field: string, problem: string): JaugeError<"gguf-malformed"> {
  return new JaugeError("gguf-malformed", { path: header.path, field, problem });
}
