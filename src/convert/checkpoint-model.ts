import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MetadataValue } from "../gguf/metadata.js";
import type { Blueprint } from "./architectures/blueprint.js";
import type { Checkpoint } from "./checkpoint.js";
import { generalMetadata } from "./general-metadata.js";
import type { ConvertibleModel, ConvertibleTensor, SourceNote } from "./model.js";

export interface CheckpointParts {
  /** The folder of the model's files. */
  folder: string;
  format: string;
  blueprint: Blueprint;
  checkpoint: Checkpoint;
  tensors: ConvertibleTensor[];
  tokenizer: ReadonlyMap<string, MetadataValue>;
  /** What may name the model, the more reliable first. */
  identifiers: readonly string[];
  generation?: Readonly<Record<string, unknown>>;
  notes?: readonly SourceNote[];
}

/** The model that an open checkpoint and what lies beside it make. */
export async function checkpointModel(parts: CheckpointParts): Promise<ConvertibleModel> {
  const {
    folder,
    format,
    blueprint,
    checkpoint,
    tensors,
    tokenizer,
    identifiers,
    generation = {},
    notes = [],
  } = parts;
  const { architecture, hyperparameters } = blueprint;
  const metadata = new Map([
    ...generalMetadata({ architecture, identifiers, tensors, generation }),
    ...Array.from(hyperparameters, ([key, value]) => [`${architecture}.${key}`, value] as const),
    ...tokenizer,
  ]);
  return {
    path: folder,
    format,
    metadata,
    tensors,
    fingerprint: await fingerprintOf(folder, checkpoint),
    notes,
    close: () => checkpoint.close(),
  };
}

/** Of the weights, and of the small files beside them that the metadata are made from. */
async function fingerprintOf(folder: string, checkpoint: Checkpoint): Promise<string> {
  const hash = createHash("sha256").update(checkpoint.fingerprint);
  for (const name of (await readdir(folder)).sort()) {
    if (!/\.(json|model|jinja|txt|tiktoken)$/.test(name)) continue;
    const { size, mtimeMs } = await stat(join(folder, name));
    hash.update(`\n${name}\0${size}\0${mtimeMs}`);
  }
  return hash.digest("hex");
}
