import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import type { Checkpoint, StoredTensor } from "../checkpoint.js";
import { FilePool } from "../readers/file-pool.js";
import { openCheckpoint } from "../readers/open-checkpoint.js";
import { printable } from "../readers/problems.js";
import { isFloat } from "../views/stored.js";
import { type LoraConfig, readLoraConfig } from "./lora-config.js";

const problems = localized(adapterProblems);

/** A LoRA adapter of PEFT. Names are the base model's, without what PEFT puts in front. */
export interface LoraAdapter {
  readonly path: string;
  readonly config: LoraConfig;
  /** By the name of the module: `model.layers.0.self_attn.q_proj`. */
  readonly pairs: ReadonlyMap<string, LoraPair>;
  /** Tensors that were trained as a whole and replace the base's, by their full names. */
  readonly replaced: ReadonlyMap<string, StoredTensor>;
  readonly fingerprint: string;
  close(): Promise<void>;
}

/** What is added to a matrix: `scale × b × a`; for an embedding, a table of tokens by hidden size, the transpose. */
export interface LoraPair {
  /** Rank by inputs; for an embedding rank by tokens. */
  readonly a: StoredTensor;
  /** Outputs by rank; for an embedding hidden size by rank. */
  readonly b: StoredTensor;
  readonly rank: number;
  readonly scale: number;
  readonly isEmbedding: boolean;
}

/**
 * Opens the folder of an adapter: `adapter_config.json` and `adapter_model.safetensors` or `.bin`.
 *
 * Source of the names: peft/utils/save_and_load.py of PEFT 0.3 to 0.17.
 * Errors: `file-unreadable`, `adapter-unrecognised`, `adapter-invalid`, `adapter-unsupported`; those of `openCheckpoint`.
 */
export async function openLora(folder: string): Promise<LoraAdapter> {
  const pool = new FilePool();
  try {
    const found = await stat(folder).catch((cause: unknown) => Promise.reject(unreadable(folder, cause)));
    const isAdapter = found.isDirectory() && (await readdir(folder)).includes("adapter_config.json");
    if (!isAdapter) throw new JaugeError("adapter-unrecognised", { path: folder });
    const config = await readLoraConfig(await pool.add(join(folder, "adapter_config.json")));
    const checkpoint = await openCheckpoint(await weightsIn(folder));
    try {
      const { pairs, replaced } = sorted(checkpoint, config);
      const fingerprint = `${pool.fingerprint()} ${checkpoint.fingerprint}`;
      return { path: folder, config, pairs, replaced, fingerprint, close: () => checkpoint.close() };
    } catch (error) {
      await checkpoint.close();
      throw error;
    }
  } finally {
    await pool.close();
  }
}

async function weightsIn(folder: string): Promise<string> {
  const [best, other] = ["adapter_model.safetensors", "adapter_model.bin"].map((name) => join(folder, name));
  const isThere = await stat(best!).then(
    () => true,
    () => false,
  );
  // where neither is, the error names the old one
  return isThere ? best! : other!;
}

const matrixName = /^(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/;

function sorted(checkpoint: Checkpoint, config: LoraConfig) {
  const found = new Map<string, { A?: StoredTensor; B?: StoredTensor; isEmbedding: boolean }>();
  const replaced = new Map<string, StoredTensor>();
  for (const tensor of checkpoint.tensors.values()) {
    const name = tensor.name.replace(/^base_model\.model\./, "");
    if (!isFloat(tensor.type)) throw wrong(checkpoint, tensor, problems.notFloat({ type: tensor.type }));
    if (/\.lora_magnitude_vector|\.lora_[AB](\.default)?\.bias$/.test(name))
      throw new JaugeError("adapter-unsupported", { path: checkpoint.path, feature: printable(name) });
    const match = matrixName.exec(name);
    if (!match) {
      // a whole tensor beside a LoRA of it is what the LoRA is added to
      const plain = name.replace(/\.(modules_to_save|base_layer)(\.default)?(?=\.)/, "");
      replaced.set(plain, tensor);
      continue;
    }
    const [, module, embedding, side] = match as unknown as [string, string, string?, ("A" | "B")?];
    const pair = found.get(module) ?? { isEmbedding: embedding !== undefined };
    if (tensor.shape.length !== 2)
      throw wrong(checkpoint, tensor, problems.notMatrix({ shape: `[${tensor.shape.join(", ")}]` }));
    if (pair[side!] || pair.isEmbedding !== (embedding !== undefined))
      throw wrong(checkpoint, tensor, problems.noPair());
    found.set(module, { ...pair, [side!]: tensor });
  }
  const pairs = new Map<string, LoraPair>();
  for (const [module, { A: a, B: b, isEmbedding }] of found) {
    if (!a || !b) throw wrong(checkpoint, (a ?? b)!, problems.noPair());
    const rank = config.rankOf(module);
    for (const [tensor, size] of [
      [a, a.shape[0]],
      [b, b.shape[1]],
    ] as const)
      if (size !== rank)
        throw wrong(checkpoint, tensor, problems.rank({ found: `[${tensor.shape.join(", ")}]`, rank }));
    pairs.set(module, { a, b, rank, scale: config.scaleOf(module), isEmbedding });
  }
  if (pairs.size === 0 && replaced.size === 0) {
    const facts = { path: checkpoint.path, field: "adapter_model", problem: problems.noModules() };
    throw new JaugeError("adapter-invalid", facts);
  }
  return { pairs, replaced };
}

function wrong(checkpoint: Checkpoint, tensor: StoredTensor, problem: string): JaugeError<"adapter-invalid"> {
  return new JaugeError("adapter-invalid", { path: checkpoint.path, field: printable(tensor.name), problem });
}
