import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { JaugeError } from "../errors.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { type AdapterOptions, openAdapted } from "./adapters/open-adapted.js";
import { assemble } from "./architectures/assemble.js";
import type { Blueprint } from "./architectures/blueprint.js";
import { knownModel } from "./architectures/known.js";
import { huggingFaceNames } from "./architectures/llama.js";
import type { Checkpoint } from "./checkpoint.js";
import { checkpointModel } from "./checkpoint-model.js";
import { headsOf, readJson } from "./hugging-face.js";
import type { UnstatedSettings } from "./legacy/metadata.js";
import { metaBlueprint, parametersOf, tokenizerFolder } from "./meta-checkpoint.js";
import type { ConvertibleModel, SourceNote } from "./model.js";
import { isObject } from "./readers/bounded-json.js";
import { expectUnsaid } from "./stated.js";
import type { TokenizerOptions } from "./tokenizer-options.js";
import { readTokenizer } from "./tokenizers/read-tokenizer.js";

/**
 * Opens a LLaMA in a file of EasyLM's (Koala, OpenLLaMA), as a delta of `base` or as it is. The file holds weights
 * alone: configuration and tokenizer are those of the base, or of the folder that it lies in.
 *
 * Errors: `checkpoint-alone`, `source-config-…`, `weights-…`, `checkpoint-…`, `tokenizer-…`, `adapter-…`, `delta-…`,
 * `option-unused`, `file-unreadable`.
 */
export async function openEasyLm(
  path: string,
  options: TokenizerOptions & AdapterOptions & UnstatedSettings = {},
  kernels?: QuantizeKernels,
): Promise<ConvertibleModel> {
  const home = await homeOf(path, options.base ?? dirname(path));
  const { blueprint, checkpoint, config } = await opened(path, home, options, kernels);
  try {
    const tensors = assemble(blueprint, checkpoint);
    const notes: SourceNote[] = [];
    const tokenizer = await readTokenizer({
      folder: await tokenizerFolder(home.folder),
      config,
      architecture: blueprint.architecture,
      vocabularySize: blueprint.tensors.find(({ name }) => name === "token_embd.weight")!.shape[1]!,
      onNote: (note) => notes.push(note),
      ...options,
    });
    const model = await checkpointModel({
      ...{ folder: home.folder, format: checkpoint.format, identifiers: [basename(path)] },
      ...{ blueprint, checkpoint, tensors, tokenizer, notes },
    });
    return { ...model, path };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** A folder that says what the weights are of, and its file that does. */
interface Home {
  folder: string;
  file: "config.json" | "params.json";
}

async function homeOf(path: string, place: string): Promise<Home> {
  const isFolder = await stat(place).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
  const folder = isFolder ? place : dirname(place);
  const names = await readdir(folder).catch((): string[] => []);
  const file = (["config.json", "params.json"] as const).find((name) => names.includes(name));
  if (!file) throw new JaugeError("checkpoint-alone", { path });
  return { folder, file };
}

interface Opened {
  blueprint: Blueprint;
  checkpoint: Checkpoint;
  config: Record<string, unknown>;
}

async function opened(
  path: string,
  { folder, file }: Home,
  options: AdapterOptions & UnstatedSettings,
  kernels: QuantizeKernels | undefined,
): Promise<Opened> {
  const configPath = join(folder, file);
  if (file === "config.json") {
    expectUnsaid(configPath, options);
    const config = await readJson(configPath);
    const { blueprint } = knownModel(config, configPath);
    const checkpoint = await openAdapted(path, options, headsOf(blueprint), kernels);
    return { blueprint, checkpoint, config: isObject(config) ? config : {} };
  }
  const parameters = await parametersOf(configPath);
  const { n_heads: heads, n_kv_heads: kvHeads = heads } = parameters;
  const checkpoint = await openAdapted(path, options, { heads, kvHeads }, kernels);
  try {
    const blueprint = metaBlueprint(parameters, checkpoint, configPath, options, huggingFaceNames);
    return { blueprint, checkpoint, config: {} };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}
