import { access } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { JaugeError } from "../errors.js";
import { assemble } from "./architectures/assemble.js";
import type { Blueprint } from "./architectures/blueprint.js";
import { Config } from "./architectures/config.js";
import { validate } from "./architectures/known.js";
import { type LlamaNames, llama, metaNames } from "./architectures/llama.js";
import type { Checkpoint } from "./checkpoint.js";
import { checkpointModel } from "./checkpoint-model.js";
import type { UnstatedSettings } from "./legacy/metadata.js";
import type { ConvertibleModel, SourceNote } from "./model.js";
import { FilePool } from "./readers/file-pool.js";
import { type MetaParameters, readMetaParameters } from "./readers/meta-parameters.js";
import { openCheckpoint } from "./readers/open-checkpoint.js";
import type { TokenizerOptions } from "./tokenizer-options.js";
import { readTokenizer } from "./tokenizers/read-tokenizer.js";

/**
 * Opens a checkpoint as Meta publishes LLaMA 1 to 3: params.json, consolidated.NN.pth, and tokenizer.model there or in
 * the folder above.
 *
 * Errors: `source-config-invalid`, `weights-…`, `checkpoint-…`, `tokenizer-…`, `file-unreadable`.
 */
export async function openMeta(
  folder: string,
  options: TokenizerOptions & UnstatedSettings = {},
): Promise<ConvertibleModel> {
  const path = join(folder, "params.json");
  const parameters = await parametersOf(path);
  const checkpoint = await openCheckpoint(folder);
  try {
    const blueprint = metaBlueprint(parameters, checkpoint, path, options);
    const tensors = assemble(blueprint, checkpoint);
    const notes: SourceNote[] = [];
    const tokenizer = await readTokenizer({
      folder: await tokenizerFolder(folder),
      config: {},
      architecture: blueprint.architecture,
      vocabularySize: blueprint.tensors.find(({ name }) => name === "token_embd.weight")!.shape[1]!,
      onNote: (note) => notes.push(note),
      ...options,
    });
    return await checkpointModel({
      folder,
      format: `${checkpoint.format}, Meta`,
      identifiers: [basename(resolve(folder))],
      ...{ blueprint, checkpoint, tensors, tokenizer, notes },
    });
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/**
 * LLaMA as params.json describes it, with Meta's names or those given. What it leaves out is read off the weights, or
 * as a person states it, who knows better than it as well.
 * Errors: `source-config-invalid`, `weights-missing`.
 */
export function metaBlueprint(
  written: MetaParameters,
  checkpoint: Checkpoint,
  path: string,
  stated: UnstatedSettings = {},
  names: LlamaNames = metaNames,
): Blueprint {
  const parameters: MetaParameters = {
    ...written,
    ...(stated.rmsEpsilon === undefined ? {} : { norm_eps: stated.rmsEpsilon }),
    ...(stated.ropeFrequencyBase === undefined ? {} : { rope_theta: stated.ropeFrequencyBase }),
  };
  const { dim, n_layers, n_heads, n_kv_heads = n_heads, norm_eps, rope_theta } = parameters;
  const config = new Config(path, {
    hidden_size: dim,
    num_hidden_layers: n_layers,
    num_attention_heads: n_heads,
    num_key_value_heads: n_kv_heads,
    intermediate_size: rowsOf(checkpoint, `${names.layers}0.${names.feedForward[0]}.weight`),
    vocab_size: rowsOf(checkpoint, `${names.embedding}.weight`),
    max_position_embeddings: stated.contextLength ?? contextLength(written),
    rms_norm_eps: norm_eps,
    rope_theta,
    ...(parameters.use_scaled_rope && { rope_scaling: scaledRope(parameters) }),
  });
  const blueprint = llama(config, names);
  validate(blueprint, path);
  return blueprint;
}

/**
 * Tokens the model was trained for, which Meta's files do not say: LLaMA 1 and 2 differ in their norm's epsilon, Code
 * Llama and Llama 3 in their RoPE base. Source: the model cards.
 */
function contextLength({ rope_theta, norm_eps, use_scaled_rope }: MetaParameters): number {
  if (use_scaled_rope) return 131_072;
  if (rope_theta === 1_000_000) return 16_384;
  if (rope_theta === 500_000) return 8192;
  return norm_eps === 1e-5 ? 4096 : 2048;
}

/** Llama 3.1 has a factor of 8; 3.2, whose text models are narrower than any of 3.1, one of 32. */
function scaledRope({ dim, rope_scaling_factor, high_freq_factor }: MetaParameters) {
  return {
    rope_type: "llama3",
    factor: rope_scaling_factor ?? (dim < 4096 ? 32 : 8),
    low_freq_factor: 1,
    high_freq_factor: high_freq_factor ?? 4,
    original_max_position_embeddings: 8192,
  };
}

function rowsOf(checkpoint: Checkpoint, name: string): number {
  const rows = checkpoint.tensors.get(name)?.shape[0];
  if (rows === undefined)
    throw new JaugeError("weights-missing", { path: checkpoint.path, tensor: name, architecture: "llama" });
  return rows;
}

/** LLaMA 1 has one tokenizer above the folders of its sizes. */
export async function tokenizerFolder(folder: string): Promise<string> {
  const has = (where: string) =>
    access(join(where, "tokenizer.model")).then(
      () => true,
      () => false,
    );
  const above = dirname(resolve(folder));
  return !(await has(folder)) && (await has(above)) ? above : folder;
}

export async function parametersOf(path: string): Promise<MetaParameters> {
  const pool = new FilePool();
  try {
    return await readMetaParameters(await pool.add(path));
  } finally {
    await pool.close();
  }
}
