import { createHash } from "node:crypto";
import type { Metadata, MetadataValue } from "../../gguf/metadata.js";
import type { SourceTensor } from "../../plan/source.js";

/**
 * SHA-256 (hex) over what makes a model this model for a plan: architecture, metadata scalars, per-layer
 * hyperparameters and the tensor list (name, type, shape). The same for one file, for its parts, and over HTTP: the
 * order of tensors and how a model is split do not count.
 */
export function fingerprintOf(metadata: Metadata, tensors: readonly SourceTensor[]): string {
  const architecture = metadata.string("general.architecture") ?? "";
  const hash = createHash("sha256");
  const facts = [...metadata.entries()]
    .filter(([key]) => !key.startsWith("split."))
    .flatMap(([key, entry]) => {
      const value = factOf(entry, key.startsWith(`${architecture}.`));
      return value === undefined ? [] : [[key, entry.type, value] as const];
    });
  for (const fact of byName(facts, ([key]) => key)) hash.update(`${JSON.stringify(fact)}\n`);
  for (const { name, type, shape } of byName(tensors, (tensor) => tensor.name))
    hash.update(`${JSON.stringify([name, type, shape])}\n`);
  return hash.digest("hex");
}

/** Arrays count where they are hyperparameters; a vocabulary does not, it is long and changes no byte of a plan. */
function factOf(entry: MetadataValue, isHyperparameter: boolean): unknown {
  if (entry.type !== "array") return typeof entry.value === "bigint" ? String(entry.value) : entry.value;
  if (!isHyperparameter) return undefined;
  return entry.value.items?.map((item) => (typeof item === "bigint" ? String(item) : item));
}

function byName<T>(items: readonly T[], name: (item: T) => string): T[] {
  return [...items].sort((a, b) => (name(a) < name(b) ? -1 : 1));
}
