import { type Blueprint, unquantisedType } from "../../convert/architectures/blueprint.js";
import type { Config } from "../../convert/architectures/config.js";
import { knownModel } from "../../convert/architectures/known.js";
import { Metadata, type MetadataValue } from "../../gguf/metadata.js";
import type { MixName } from "../../quantize/mixes.js";
import { HeaderSource } from "./header-source.js";
import { placed, requantised } from "./requantised.js";

export interface ConfigOptions {
  /** What it would be quantised to. `MXFP4_MOE` where the configuration says that its experts are, else `Q4_K_M`. */
  mix?: MixName;
  /** What to call it: the source of the plan. */
  name?: string;
}

/**
 * The model that llama.cpp's converter and quantiser would make of an unconverted one, from its config.json alone.
 * Source: convert_hf_to_gguf.py and conversion/ of llama.cpp v0.5.0.
 *
 * Errors: `source-config-invalid`, `source-config-unknown`.
 */
export function sourceFromConfig(config: unknown, options: ConfigOptions = {}): HeaderSource {
  const name = options.name ?? "config.json";
  const { config: values, blueprint } = knownModel(config, name);
  const alignment = 32;
  const tensors = blueprint.tensors.map(({ name: tensorName, shape }) => ({
    name: tensorName,
    shape: [...shape],
    type: unquantisedType({ name: tensorName, shape }),
  }));
  const converted = new HeaderSource({
    source: name,
    metadata: metadataOf(blueprint, values, name),
    tensors: placed(tensors, alignment),
    alignment,
  });
  return requantised(converted, options.mix ?? usualMix(values));
}

function usualMix(config: Config): MixName {
  return config.object("quantization_config").string("quant_method") === "mxfp4" ? "MXFP4_MOE" : "Q4_K_M";
}

function metadataOf({ architecture, hyperparameters }: Blueprint, config: Config, path: string): Metadata {
  const values = new Map<string, MetadataValue>([
    ["general.architecture", { type: "string", value: architecture }],
    ["general.name", { type: "string", value: config.string("_name_or_path") || path }],
  ]);
  for (const [key, value] of hyperparameters) values.set(`${architecture}.${key}`, value);
  return new Metadata(path, values);
}
