import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { WritableValue } from "../../gguf/encode.js";
import { Metadata } from "../../gguf/metadata.js";
import { type ModelOutline, outlineOf } from "../../gguf/outline.js";
import { writeHollowGguf } from "../../gguf/writer.js";
import type { ModelSource, SourceTensor } from "../../plan/source.js";
import { fingerprintOf } from "./fingerprint.js";

/** What a source is made of. */
export interface HeaderFacts {
  source: string;
  path?: string;
  metadata: Metadata;
  tensors: SourceTensor[];
  /** Bytes; every tensor of the ghost starts at a multiple of it. */
  alignment: number;
}

/** A model known by its header, wherever the header came from. */
export class HeaderSource implements ModelSource {
  readonly source: string;
  readonly path?: string;
  readonly metadata: Metadata;
  readonly tensors: SourceTensor[];
  readonly alignment: number;
  readonly outline: ModelOutline;
  private knownFingerprint: string | undefined;

  /** Errors: `gguf-malformed` where a value has the wrong type. */
  constructor({ source, path, metadata, tensors, alignment }: HeaderFacts) {
    this.source = source;
    if (path !== undefined) this.path = path;
    this.metadata = metadata;
    this.tensors = tensors;
    this.alignment = alignment;
    this.outline = outlineOf({ metadata, tensors });
  }

  /** Worked out when it is asked for: of most quantisations that are only tried it never is. */
  get fingerprint(): string {
    this.knownFingerprint ??= fingerprintOf(this.metadata, this.tensors);
    return this.knownFingerprint;
  }

  /** Errors: `file-unwritable`. */
  async writeGhost(folder: string): Promise<string> {
    const path = join(folder, `ghost-${randomBytes(6).toString("hex")}.gguf`);
    const metadata = ghostMetadata(this.metadata, this.tensors);
    await writeHollowGguf(path, { metadata, tensors: this.tensors }, { alignment: this.alignment });
    return path;
  }
}

/** Keys of the dropped groups that the engine's memory depends on, or that its loader wants. */
const keptKeys = new Set([
  "general.architecture",
  "general.name",
  "general.file_type",
  "general.quantization_version",
  "tokenizer.ggml.token_type_count",
]);
const droppedGroups = /^(general|tokenizer|split)\./;

/**
 * The hyperparameters, and a vocabulary that has a size but no texts. libllama takes its size from
 * `<architecture>.vocab_size` then, which for most models is a copy of the embedding's number of rows.
 * Source: `llama_vocab::impl::load` in src/llama-vocab.cpp of llama.cpp v0.5.0.
 */
function ghostMetadata(metadata: Metadata, tensors: readonly SourceTensor[]): Map<string, WritableValue> {
  const architecture = metadata.string("general.architecture") ?? "";
  const kept = new Map<string, WritableValue>();
  for (const [key, entry] of metadata.entries()) {
    if (droppedGroups.test(key) && !keptKeys.has(key)) continue;
    if (entry.type !== "array") kept.set(key, entry);
    else {
      const { elementType, items } = entry.value;
      if (items) kept.set(key, { type: "array", value: { elementType, items } });
      else if (key.startsWith(`${architecture}.`)) kept.set(key, entry);
    }
  }
  const vocabulary =
    tensors.find(({ name }) => name === "token_embd.weight")?.shape[1] ??
    metadata.array("tokenizer.ggml.tokens")?.count;
  kept.set("tokenizer.ggml.model", { type: "string", value: "none" });
  if (vocabulary !== undefined) kept.set(`${architecture}.vocab_size`, { type: "uint32", value: vocabulary });
  return kept;
}

/** The same metadata with some values replaced or added. */
export function withValues(
  metadata: Metadata,
  changes: Iterable<[string, Exclude<WritableValue, { type: "array" }>]>,
): Metadata {
  return new Metadata(metadata.path, new Map([...metadata.entries(), ...changes]));
}
