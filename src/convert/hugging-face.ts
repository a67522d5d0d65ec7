import { basename, join, resolve } from "node:path";
import { JaugeError } from "../errors.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { type AdapterOptions, openAdapted } from "./adapters/open-adapted.js";
import type { Heads } from "./adapters/usual-names.js";
import { assemble } from "./architectures/assemble.js";
import type { Blueprint } from "./architectures/blueprint.js";
import { knownModel } from "./architectures/known.js";
import { checkpointModel } from "./checkpoint-model.js";
import type { UnstatedSettings } from "./legacy/metadata.js";
import type { ConvertibleModel, SourceNote } from "./model.js";
import { isObject, readJsonFile } from "./readers/bounded-json.js";
import { FilePool } from "./readers/file-pool.js";
import { float8Scales } from "./readers/scaled-float8-config.js";
import { expectUnsaid } from "./stated.js";
import type { TokenizerOptions } from "./tokenizer-options.js";
import { readTokenizer } from "./tokenizers/read-tokenizer.js";

/**
 * Opens a folder as Hugging Face has them: config.json, weights, the tokenizer's files, generation_config.json. Adapters
 * and the base of a delta, which may be a checkpoint of Meta's, are added to the weights.
 *
 * Errors: `source-config-…`, `weights-…`, `checkpoint-…`, `tokenizer-…`, `adapter-…`, `delta-…`, `option-unused`,
 * `file-unreadable`.
 */
export async function openHuggingFace(
  folder: string,
  options: TokenizerOptions & AdapterOptions & UnstatedSettings = {},
  kernels?: QuantizeKernels,
): Promise<ConvertibleModel> {
  const path = join(folder, "config.json");
  expectUnsaid(path, options);
  const parsed = await readJson(path);
  const { config, blueprint } = knownModel(parsed, path);
  const quantisation = config.object("quantization_config");
  const method = quantisation.string("quant_method");
  const isKept = method === "mxfp4" && blueprint.architecture === "gpt-oss";
  if (method !== undefined && !isKept && !float8Scales(quantisation))
    throw new JaugeError("weights-quantised", { path, method });
  const checkpoint = await openAdapted(folder, options, headsOf(blueprint), kernels);
  try {
    const tensors = assemble(blueprint, checkpoint);
    const notes: SourceNote[] = [];
    const tokenizer = await readTokenizer({
      folder,
      config: isObject(parsed) ? parsed : {},
      architecture: blueprint.architecture,
      vocabularySize: blueprint.tensors.find(({ name }) => name === "token_embd.weight")!.shape[1]!,
      onNote: (note) => notes.push(note),
      ...options,
    });
    const [kind] = config.strings("architectures") ?? [config.string("model_type") ?? ""];
    return await checkpointModel({
      folder,
      format: `${checkpoint.format}, ${kind}`,
      identifiers: identifiersOf(config.string("_name_or_path"), folder),
      generation: await generationOf(folder),
      ...{ blueprint, checkpoint, tensors, tokenizer, notes },
    });
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Of a LLaMA, whose tensors may have the names and the order of rows that Meta gave them. */
export function headsOf({ architecture, hyperparameters }: Blueprint): Heads | undefined {
  if (architecture !== "llama") return undefined;
  const number = (key: string) => Number(hyperparameters.get(key)?.value);
  return { heads: number("attention.head_count"), kvHeads: number("attention.head_count_kv") };
}

/** A path of somebody's computer is no name. */
function identifiersOf(stated: string | undefined, folder: string): string[] {
  const name = basename(resolve(folder));
  return stated !== undefined && stated.split("/").length <= 2 ? [stated, name] : [name];
}

/** generation_config.json, which may be missing or broken: it is advice. */
async function generationOf(folder: string): Promise<Record<string, unknown>> {
  const parsed = await readJson(join(folder, "generation_config.json")).catch(() => undefined);
  return isObject(parsed) ? parsed : {};
}

export async function readJson(path: string): Promise<unknown> {
  const pool = new FilePool();
  try {
    return await readJsonFile(await pool.add(path), basename(path));
  } finally {
    await pool.close();
  }
}
