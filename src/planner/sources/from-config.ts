import { type Blueprint, type Converter, unquantisedType } from "../../convert/architectures/blueprint.js";
import { Config } from "../../convert/architectures/config.js";
import { falcon } from "../../convert/architectures/falcon.js";
import { gemma2, gemma3 } from "../../convert/architectures/gemma.js";
import { gpt2, gptNeoX } from "../../convert/architectures/gpt.js";
import { gptOss } from "../../convert/architectures/gpt-oss.js";
import { llama } from "../../convert/architectures/llama.js";
import { olmo2 } from "../../convert/architectures/olmo2.js";
import { phi3 } from "../../convert/architectures/phi3.js";
import { qwen2, qwen2moe, qwen3, qwen3moe } from "../../convert/architectures/qwen.js";
import { stablelm } from "../../convert/architectures/stablelm.js";
import { isJaugeError, JaugeError } from "../../errors.js";
import { Metadata, type MetadataValue } from "../../gguf/metadata.js";
import { validateHyperparameters } from "../../gguf/validate-hyperparameters.js";
import { localized } from "../../messages/locale.js";
import { sourceProblems } from "../../messages/source.js";
import type { MixName } from "../../quantize/mixes.js";
import { HeaderSource } from "./header-source.js";
import { placed, requantised } from "./requantised.js";

/** By `model_type` of config.json. */
const converters: Readonly<Record<string, Converter>> = {
  llama,
  mistral: llama,
  mixtral: llama,
  qwen2,
  qwen2_moe: qwen2moe,
  qwen3,
  qwen3_moe: qwen3moe,
  gemma2,
  gemma3,
  gemma3_text: gemma3,
  phi3,
  olmo2,
  olmo3: olmo2,
  gpt2,
  gpt_neox: gptNeoX,
  falcon,
  stablelm,
  stablelm_epoch: stablelm,
  gpt_oss: gptOss,
};

/** The kinds of models whose configuration is known, as `model_type` names them. */
export const configArchitectures: readonly string[] = Object.keys(converters);

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
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    const problem = localized(sourceProblems).notA({ expected: "object" });
    throw new JaugeError("source-config-invalid", { path: name, field: "config.json", problem });
  }
  const outer = new Config(name, config as Record<string, unknown>);
  // models that see or hear keep their language model's values one level deeper
  const values = outer.has("text_config") ? outer.with(outer.object("text_config")) : outer;
  const blueprint = converterOf(outer, values)(values);
  const metadata = metadataOf(blueprint, values, name);
  const alignment = 32;
  const tensors = blueprint.tensors.map((tensor) => {
    const [tensorName, ...shape] = tensor;
    return { name: tensorName, shape, type: unquantisedType(tensor) };
  });
  const converted = new HeaderSource({
    source: name,
    metadata,
    tensors: placed(tensors, alignment),
    alignment,
  });
  return requantised(converted, options.mix ?? usualMix(outer));
}

function converterOf(outer: Config, values: Config): Converter {
  const [architecture] = outer.strings("architectures") ?? [];
  const type = outer.string("model_type");
  const converter =
    (type === undefined ? undefined : own(type)) ??
    own(values.string("model_type") ?? "") ??
    byClass(architecture);
  // embedders and classifiers of a known kind have other heads
  const isLanguageModel =
    architecture === undefined || /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/.test(architecture);
  if (converter && isLanguageModel) return converter;
  throw new JaugeError("source-config-unknown", {
    path: outer.path,
    architecture: architecture ?? type ?? "?",
    known: [...configArchitectures],
  });
}

function own(type: string): Converter | undefined {
  return Object.hasOwn(converters, type) ? converters[type] : undefined;
}

/** `Qwen2MoeForCausalLM` is `qwen2_moe`. */
function byClass(architecture: string | undefined): Converter | undefined {
  const kind = architecture?.replace(/For[A-Z]\w*$|LMHeadModel$/, "").toLowerCase();
  const type = configArchitectures.find((candidate) => candidate.replaceAll("_", "") === kind);
  return type === undefined ? undefined : converters[type];
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
  const metadata = new Metadata(path, values);
  try {
    validateHyperparameters({ path, metadata }, architecture);
  } catch (error) {
    if (!isJaugeError(error, "gguf-invalid")) throw error;
    throw new JaugeError("source-config-invalid", error.facts, { cause: error });
  }
  return metadata;
}
