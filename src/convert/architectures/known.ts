import { isJaugeError, JaugeError } from "../../errors.js";
import { Metadata } from "../../gguf/metadata.js";
import { validateHyperparameters } from "../../gguf/validate-hyperparameters.js";
import { localized } from "../../messages/locale.js";
import { sourceProblems } from "../../messages/source.js";
import type { Blueprint, Converter } from "./blueprint.js";
import { Config } from "./config.js";
import { falcon } from "./falcon.js";
import { gemma2 } from "./gemma2.js";
import { gemma3 } from "./gemma3.js";
import { gptOss } from "./gpt-oss.js";
import { gpt2 } from "./gpt2.js";
import { gptNeoX } from "./gptneox.js";
import { llama, smollm3 } from "./llama.js";
import { olmo2 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen2moe } from "./qwen2moe.js";
import { qwen3 } from "./qwen3.js";
import { qwen3moe } from "./qwen3moe.js";
import { stablelm } from "./stablelm.js";

/** By `model_type` of config.json. */
const converters: Readonly<Record<string, Converter>> = {
  llama: (config) => llama(config),
  mistral: (config) => llama(config),
  mixtral: (config) => llama(config),
  smollm3,
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
  refinedweb: falcon,
  refinedwebmodel: falcon,
  stablelm,
  stablelm_epoch: stablelm,
  gpt_oss: gptOss,
};

/** The kinds of models that are known, as `model_type` names them. */
export const configArchitectures: readonly string[] = Object.keys(converters);

/** A configuration with the values of its language model, and what that is made of. */
export interface KnownModel {
  config: Config;
  blueprint: Blueprint;
}

/**
 * What a model is made of, from its config.json. `path` is for errors.
 * Errors: `source-config-invalid`, `source-config-unknown`.
 */
export function knownModel(config: unknown, path: string): KnownModel {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    const problem = localized(sourceProblems).notA({ expected: "object" });
    throw new JaugeError("source-config-invalid", { path, field: "config.json", problem });
  }
  const outer = new Config(path, config as Record<string, unknown>);
  // models that see or hear keep their language model's values one level deeper
  const values = outer.has("text_config") ? outer.with(outer.object("text_config")) : outer;
  const blueprint = converterOf(outer, values)(values);
  validate(blueprint, path);
  return { config: values, blueprint };
}

/** Refuses what llama.cpp would divide by, assert about or not find. Errors: `source-config-invalid`. */
export function validate({ architecture, hyperparameters }: Blueprint, path: string): void {
  const keys = Array.from(hyperparameters, ([key, value]) => [`${architecture}.${key}`, value] as const);
  const metadata = new Metadata(path, new Map(keys));
  try {
    validateHyperparameters({ path, metadata }, architecture);
  } catch (error) {
    if (!isJaugeError(error, "gguf-invalid")) throw error;
    throw new JaugeError("source-config-invalid", error.facts, { cause: error });
  }
}

function converterOf(outer: Config, values: Config): Converter {
  const [architecture] = outer.strings("architectures") ?? [];
  const type = outer.string("model_type");
  const converter =
    (type === undefined ? undefined : own(type.toLowerCase())) ??
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
