import { isJaugeError, type JaugeError } from "../errors.js";
import type { WritableMetadata, WritableValue } from "../gguf/encode.js";
import { type ModelFile, readModel } from "../gguf/model-file.js";
import { layerOf, type ModelOutline, outlineOf } from "../gguf/outline.js";
import { validateModel } from "../gguf/validate.js";
import type { SourceInspection } from "./source-inspection.js";

/** What `jauge inspect` knows about a model. */
export interface Inspection {
  model: ModelFile;
  outline: ModelOutline;
  /** Why llama.cpp could not run it, where that is so. */
  refusal?: JaugeError;
}

/** Reads a model's headers and checks it. A model that cannot be run is still described. */
export async function inspect(path: string): Promise<Inspection> {
  const model = await readModel(path);
  const outline = outlineOf(model);
  try {
    await validateModel(model);
    return { model, outline };
  } catch (error) {
    if (isJaugeError(error)) return { model, outline, refusal: error };
    throw error;
  }
}

/** Weights in another format as plain JSON. */
export function sourceAsJson({ metadata, ...source }: SourceInspection): object {
  return { ...source, ...(metadata && { metadata: metadataJson(metadata) }) };
}

/** The inspection as plain JSON: long arrays are summarised, 64-bit integers past 2⁵³ are strings. */
export function asJson({ model, outline, refusal }: Inspection): object {
  return {
    path: model.path,
    files: model.shards.map(({ path, fileBytes }) => ({ path, bytes: fileBytes })),
    version: model.shards[0]!.version,
    runnable: refusal === undefined,
    refusal: refusal?.toJSON(),
    outline,
    metadata: metadataJson(model.metadata),
    tensors: model.tensors.map(({ name, type, shape, bytes, shard, fileOffset }) => ({
      name,
      type,
      shape,
      bytes,
      layer: layerOf(name),
      file: shard,
      fileOffset,
    })),
    layers: outline.bytes.layers.map((bytes, layer) => ({
      layer,
      bytes,
      expertBytes: outline.bytes.experts[layer],
      heads: outline.heads[layer],
      kvHeads: outline.kvHeads[layer],
    })),
  };
}

function metadataJson(metadata: WritableMetadata): Record<string, object> {
  const json: Record<string, object> = Object.create(null);
  for (const [key, entry] of metadata.entries()) json[key] = valueJson(entry);
  return json;
}

const mostItems = 64;

function valueJson(entry: WritableValue): object {
  if (entry.type !== "array") return { type: entry.type, value: plain(entry.value) };
  const { elementType } = entry.value;
  const bytes = "bytes" in entry.value ? entry.value.bytes : undefined;
  const items = "items" in entry.value ? entry.value.items : undefined;
  const count = "count" in entry.value ? entry.value.count : entry.value.items.length;
  const shown = items && count <= mostItems ? { items: items.map(plain) } : {};
  return { type: "array", elementType, count, bytes, ...shown };
}

/** JSON has no bigint, and no number for infinities and NaN. */
function plain(value: number | bigint | boolean | string): number | boolean | string {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value;
}
