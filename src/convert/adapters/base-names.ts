import type { Checkpoint, StoredTensor } from "../checkpoint.js";

/** What classes of transformers put before the names of the model inside them. */
const prefixes = ["model.", "transformer.", "gpt_neox.", "language_model."];

/** The base's tensor of this name; models that were saved from inside another class have shorter names. */
export function findInBase(base: Checkpoint, name: string): StoredTensor | undefined {
  const exact = base.tensors.get(name);
  if (exact) return exact;
  for (const prefix of prefixes) {
    const shorter = name.startsWith(prefix) ? base.tensors.get(name.slice(prefix.length)) : undefined;
    const found = shorter ?? base.tensors.get(prefix + name);
    if (found) return found;
  }
  return undefined;
}
