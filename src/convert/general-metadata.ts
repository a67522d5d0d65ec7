import type { MetadataValue } from "../gguf/metadata.js";
import { product } from "./architectures/recipe.js";
import type { ConvertibleTensor } from "./model.js";
import { type NameParts, namePartsOf, sizeLabelOf } from "./model-name.js";

export interface GeneralFacts {
  architecture: string;
  /** Identifiers, the more reliable first: `_name_or_path` of the configuration, the folder's name. */
  identifiers: readonly string[];
  tensors: readonly ConvertibleTensor[];
  /** generation_config.json, where there is one. */
  generation?: Readonly<Record<string, unknown>>;
}

/**
 * `general.*`: what the model is, and how its makers sample from it.
 * Source: gguf-py/gguf/metadata.py, `prepare_metadata` in conversion/base.py of llama.cpp v0.5.0.
 */
export function generalMetadata(facts: GeneralFacts): Map<string, MetadataValue> {
  const counts = parametersOf(facts.tensors);
  const parts: NameParts = {};
  for (const identifier of facts.identifiers)
    Object.assign(parts, { ...namePartsOf(identifier, counts.total), ...parts });
  const text = (value: string): MetadataValue => ({ type: "string", value });
  const values = new Map<string, MetadataValue>([
    ["general.architecture", text(facts.architecture)],
    ["general.type", text("model")],
    ...samplingOf(facts.generation ?? {}),
  ]);
  const texts: [string, string | undefined][] = [
    ["name", parts.name ?? facts.architecture],
    ["version", parts.version],
    ["organization", parts.organization],
    ["finetune", parts.finetune],
    ["basename", parts.basename],
    ["size_label", parts.sizeLabel ?? sizeLabelOf(counts)],
  ];
  for (const [key, value] of texts) if (value !== undefined) values.set(`general.${key}`, text(value));
  return values;
}

/** Fields of generation_config.json, and the keys and types they have in metadata. */
const samplingKeys = [
  ["top_k", "top_k", "int32"],
  ["top_p", "top_p", "float32"],
  ["min_p", "min_p", "float32"],
  ["xtc_probability", "xtc_probability", "float32"],
  ["xtc_threshold", "xtc_threshold", "float32"],
  ["temperature", "temp", "float32"],
  ["penalty_last_n", "penalty_last_n", "int32"],
  ["repetition_penalty", "penalty_repeat", "float32"],
  ["penalty_repeat", "penalty_repeat", "float32"],
  ["mirostat", "mirostat", "int32"],
  ["mirostat_tau", "mirostat_tau", "float32"],
  ["mirostat_eta", "mirostat_eta", "float32"],
] as const;

function samplingOf(generation: Readonly<Record<string, unknown>>): [string, MetadataValue][] {
  const found: [string, MetadataValue][] = [];
  for (const [field, key, type] of samplingKeys) {
    const value = generation[field];
    // others than numbers are no advice that an engine could follow
    if (typeof value !== "number" || !Number.isFinite(value)) continue;
    if (type === "int32" && (!Number.isInteger(value) || Math.abs(value) >= 2 ** 31)) continue;
    found.push([`general.sampling.${key}`, { type, value }]);
  }
  return found;
}

/** Parameters in all, outside experts, of one expert of each layer, and experts per layer. */
function parametersOf(tensors: readonly ConvertibleTensor[]) {
  const counts = { total: 0, shared: 0, expert: 0, experts: 0 };
  let [experts, stacks] = [0, 0];
  for (const { name, shape } of tensors) {
    const size = product(shape);
    counts.total += size;
    if (!name.includes("_exps.") || shape.length < 3) counts.shared += size;
    else {
      const count = shape.at(-1)!;
      counts.expert += Math.floor(size / count);
      experts += count;
      stacks++;
    }
  }
  counts.experts = stacks > 0 ? Math.floor(experts / stacks) : 0;
  return counts;
}
