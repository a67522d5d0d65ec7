import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import type { Origin } from "./byte-source.js";
import { FileWindow } from "./file-window.js";
import type { Metadata } from "./metadata.js";
import { MetadataReader, readMetadata } from "./metadata-reader.js";
import { notAGguf } from "./other-formats.js";
import {
  longestTensorName,
  type TensorTypeName,
  tensorBytes,
  tensorElements,
  tensorTypeById,
  tensorTypes,
} from "./tensor-types.js";

const problems = localized(ggufProblems);

/** Version 1 has counts of 32 bits; llama.cpp no longer reads it, we do to convert it. */
export type GgufVersion = 1 | 2 | 3;

/** The header of one GGUF file: everything but the tensor data. */
export interface GgufHeader {
  path: string;
  version: GgufVersion;
  /** Size of the file. */
  fileBytes: number;
  /** Bytes; a power of two. Every tensor's data starts at a multiple of it, counted from `dataOffset`. */
  alignment: number;
  /** Where the tensor data starts in the file. */
  dataOffset: number;
  metadata: Metadata;
  /** In the order of the file. */
  tensors: TensorInfo[];
}

export interface TensorInfo {
  name: string;
  type: TensorTypeName;
  /** Row length first, as in ggml; empty for a scalar. */
  shape: number[];
  /** Where its data starts in the file. */
  fileOffset: number;
  /** Bytes of its data, without padding. */
  bytes: number;
}

/** GGML_MAX_DIMS of ggml.h. */
const mostDimensions = 4;
/** llama.cpp compares every name with all before it: above this, a load would take minutes for names alone. */
const mostTensors = 32_768;
const mostKeys = 16_384;
/** Bytes of the shortest possible entries: an empty string, a type and the smallest value or no dimension. */
const leastKeyBytes = { 4: 4 + 4 + 1, 8: 8 + 4 + 1 };
const leastTensorBytes = { 4: 4 + 4 + 4 + 8, 8: 8 + 4 + 4 + 8 };

/**
 * Reads the header of a GGUF file, in bounded memory: arrays stay in the file. Every count,
 * length, type and offset is checked against the file before it is used.
 *
 * Source: docs/gguf.md of ggml, ggml/src/gguf.cpp of llama.cpp v0.5.0.
 * Errors: `file-unreadable` (a local path) or those of the origin, `not-a-gguf`, `gguf-version`, `gguf-big-endian`,
 * `gguf-truncated`, `gguf-malformed`.
 */
export async function readGguf(origin: Origin): Promise<GgufHeader> {
  const window = await FileWindow.open(origin);
  try {
    return await readHeader(window);
  } finally {
    await window.close();
  }
}

async function readHeader(window: FileWindow): Promise<GgufHeader> {
  const version = await readPreamble(window);
  const tensorCount = await readCount(
    window,
    "tensor_count",
    leastTensorBytes[window.countBytes],
    mostTensors,
  );
  const keyCount = await readCount(window, "metadata_kv_count", leastKeyBytes[window.countBytes], mostKeys);
  const reader = new MetadataReader(window);
  const metadata = await readMetadata(reader, keyCount);
  const alignment = alignmentOf(window.path, metadata);

  const tensors: TensorInfo[] = [];
  const names = new Set<string>();
  for (let index = 0; index < tensorCount; index++) {
    const tensor = await readTensorInfo(reader, index);
    if (names.has(tensor.name)) throw malformed(window, tensor.name, problems.duplicate());
    names.add(tensor.name);
    tensors.push(tensor);
  }
  const dataOffset = Math.ceil(window.offset / alignment) * alignment;
  for (const tensor of tensors) tensor.fileOffset += dataOffset;
  checkPlacement(window, tensors, dataOffset, alignment);
  return {
    path: window.path,
    version,
    fileBytes: window.fileBytes,
    alignment,
    dataOffset,
    metadata,
    tensors,
  };
}

/** Magic and version. A file of the other byte order has its version in the upper half. */
async function readPreamble(window: FileWindow): Promise<GgufVersion> {
  const head = await window.take(Math.min(64, window.fileBytes), "magic");
  const magic = head.toString("latin1", 0, 4);
  if (magic === "FUGG") throw new JaugeError("gguf-big-endian", { path: window.path });
  if (magic !== "GGUF") throw notAGguf(window.path, head);
  window.seek(4);
  const version = await window.uint32("version");
  if (version !== 0 && (version & 0xffff) === 0)
    throw new JaugeError("gguf-big-endian", { path: window.path });
  if (version !== 1 && version !== 2 && version !== 3)
    throw new JaugeError("gguf-version", { path: window.path, version });
  if (version === 1) window.countBytes = 4;
  return version;
}

/** A count of entries of at least `leastBytes` each, which the rest of the file must be able to hold. */
async function readCount(
  window: FileWindow,
  field: string,
  leastBytes: number,
  most: number,
): Promise<number> {
  const count = await window.count(field);
  if (count > most) throw malformed(window, field, problems.tooMany({ count, limit: most }));
  window.require(count * leastBytes, field);
  return count;
}

function alignmentOf(path: string, metadata: Metadata): number {
  const field = "general.alignment";
  const entry = metadata.get(field);
  if (!entry) return 32;
  if (entry.type !== "uint32") {
    const problem = problems.wrongType({ found: entry.type, expected: "uint32" });
    throw new JaugeError("gguf-malformed", { path, field, problem });
  }
  const { value } = entry;
  if (value < 8 || value > 65_536 || (value & (value - 1)) !== 0)
    throw new JaugeError("gguf-malformed", { path, field, problem: problems.badAlignment({ value }) });
  return value;
}

/** One tensor's entry; its offset is still relative to the start of the tensor data. */
async function readTensorInfo(reader: MetadataReader, index: number): Promise<TensorInfo> {
  const { window } = reader;
  const name = await reader.name(`tensor[${index}].name`, longestTensorName);
  const dimensions = await window.uint32(`${name}: n_dimensions`);
  if (dimensions > mostDimensions)
    throw malformed(window, name, problems.tooManyDimensions({ count: dimensions }));
  const shape: number[] = [];
  for (let axis = 0; axis < dimensions; axis++) shape.push(await window.count(`${name}: dimensions`));
  const id = await window.uint32(`${name}: type`);
  const fileOffset = await window.count(`${name}: offset`, 8);
  const type = tensorTypeById(id);
  if (type === undefined) throw malformed(window, name, problems.unknownTensorType({ id }));
  const row = shape[0] ?? 1;
  const block = tensorTypes[type].blockElements;
  if (tensorElements(shape) === undefined)
    throw malformed(window, name, problems.impossibleShape({ shape: shape.join(", ") }));
  if (row % block !== 0) throw malformed(window, name, problems.notWholeBlocks({ row, block, type }));
  const bytes = tensorBytes(type, shape);
  if (bytes === undefined || !Number.isSafeInteger(bytes + fileOffset + window.fileBytes))
    throw malformed(window, name, problems.impossibleShape({ shape: shape.join(", ") }));
  return { name, type, shape, fileOffset, bytes };
}

/** Every tensor aligned, inside the file, and none over another. */
function checkPlacement(
  window: FileWindow,
  tensors: TensorInfo[],
  dataOffset: number,
  alignment: number,
): void {
  const inOrder = [...tensors].sort((a, b) => a.fileOffset - b.fileOffset);
  let before: TensorInfo | undefined;
  for (const tensor of inOrder) {
    const offset = tensor.fileOffset - dataOffset;
    if (offset % alignment !== 0)
      throw malformed(window, tensor.name, problems.misaligned({ offset, alignment }));
    if (before && before.fileOffset + before.bytes > tensor.fileOffset)
      throw malformed(window, tensor.name, problems.overlaps({ other: before.name }));
    before = tensor;
  }
  if (before && before.fileOffset + before.bytes > window.fileBytes)
    throw window.truncated(before.fileOffset + before.bytes - window.fileBytes, before.name);
}

function malformed(window: FileWindow, field: string, problem: string): JaugeError<"gguf-malformed"> {
  return new JaugeError("gguf-malformed", { path: window.path, field, problem });
}
