import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isJaugeError, JaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import { unrecognised } from "../gguf/other-formats.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { openLora } from "./adapters/lora.js";
import { mergedInto } from "./adapters/merge-converted.js";
import type { AdapterOptions } from "./adapters/open-adapted.js";
import { openEasyLm } from "./easylm.js";
import { openHuggingFace } from "./hugging-face.js";
import { isLegacyGgml, type LegacyOptions, openLegacyGgml } from "./legacy/open.js";
import { openMeta } from "./meta-checkpoint.js";
import type { ConvertibleModel } from "./model.js";
import { headOf } from "./readers/file-head.js";
import { isFlaxStream } from "./readers/flax.js";
import { openGgufModel } from "./readers/gguf-model.js";
import { expectUnsaid, underName } from "./stated.js";
import type { TokenizerOptions } from "./tokenizer-options.js";

/**
 * What is said of a source beside its path, because it does not say it itself; each reader takes what concerns it. Plain
 * data: it crosses to the process that converts.
 */
export type SourceOptions = LegacyOptions & TokenizerOptions & AdapterOptions;

/**
 * Opens anything a model can be made from, recognised by content: a folder of Hugging Face or of Meta, or a file in
 * one; a GGUF file, or the first or any part of a split one; a GGML file of 2023, or the first part of one; a file of
 * EasyLM's; with `base`, the folder of a LoRA adapter. `kernels` turn blocks into numbers where an adapter or a delta is added to
 * them; to plan what becomes of a source needs none.
 * Errors: `source-remote`, `source-format-unknown`, `source-unconvertible`, `source-is-adapter`, `checkpoint-file-missing`, `adapter-…`,
 * `delta-…`, `checkpoint-alone`, `option-unused`, `file-unreadable`; those of the reader.
 */
export async function openModelSource(
  path: string,
  options: SourceOptions = {},
  kernels?: QuantizeKernels,
): Promise<ConvertibleModel> {
  return underName(await openKnown(path, options, kernels), options.name);
}

async function openKnown(
  path: string,
  options: SourceOptions,
  kernels: QuantizeKernels | undefined,
): Promise<ConvertibleModel> {
  if (/^(https?:\/\/|hf:)/i.test(path)) throw new JaugeError("source-remote", { path });
  const found = await stat(path).catch((cause: unknown) => Promise.reject(unreadable(path, cause)));
  if (found.isDirectory()) return openFolder(path, options, kernels);
  const head = await headOf(path);
  if (isOfCheckpoint(head)) {
    const names = await readdir(dirname(path));
    if (names.includes("config.json") || names.includes("params.json"))
      return openFolder(dirname(path), options, kernels);
    if (!isJson(head)) throw unknownFolder(dirname(path), names) ?? lacking(dirname(path), "config.json");
  }
  if (isFlaxStream(head)) return openEasyLm(path, options, kernels);
  expectNoDelta(path, options);
  if (!isLegacyGgml(head)) return merged(() => openGguf(path, options), options, kernels);
  // its tokenizer is SentencePiece's
  if (options.pre !== undefined)
    throw new JaugeError("option-unused", { path, option: "--pre", reason: "tokenizer" });
  // what is added to blocks is added to the file's own, finer values
  const finer = () => openLegacyGgml(path, { ...options, exact: true });
  return merged(() => openLegacyGgml(path, options), options, kernels, finer);
}

async function openFolder(
  folder: string,
  options: SourceOptions,
  kernels?: QuantizeKernels,
): Promise<ConvertibleModel> {
  const names = await readdir(folder).catch((cause: unknown) => Promise.reject(unreadable(folder, cause)));
  // Mistral's folders have both
  if (names.includes("config.json")) return openHuggingFace(folder, options, kernels);
  const { base, loras = [], ...others } = options;
  // an adapter and its base, named the other way round
  if (names.includes("adapter_config.json") && base !== undefined)
    return openModelSource(base, { ...others, loras: [{ path: folder, scale: 1 }, ...loras] }, kernels);
  expectNoDelta(folder, options);
  if (names.includes("params.json")) return merged(() => openMeta(folder, options), options, kernels);
  const models = names.filter(
    (name) => name.endsWith(".gguf") && !/^mmproj|-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(name),
  );
  if (models.length === 1) return merged(() => openGguf(join(folder, models[0]!), options), options, kernels);
  throw unknownFolder(folder, names) ?? new JaugeError("source-unconvertible", { path: folder });
}

/** What nothing else is, is taken for a GGUF. */
async function openGguf(path: string, options: SourceOptions): Promise<ConvertibleModel> {
  const model = await openGgufModel(path).catch((error: unknown) => {
    throw isJaugeError(error, "not-a-gguf") ? unrecognised(error) : error;
  });
  try {
    expectUnsaid(path, options);
    if (options.pre !== undefined)
      throw new JaugeError("option-unused", { path, option: "--pre", reason: "stated" });
    return model;
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** What a folder lacks to be a model; undefined where nothing in it is one's part. */
function unknownFolder(path: string, names: readonly string[]): JaugeError | undefined {
  if (names.includes("adapter_config.json")) return new JaugeError("source-is-adapter", { path });
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/^consolidated\.\d+\.pth$/)) return lacking(path, "params.json");
  return has(/\.safetensors$|^pytorch_model.*\.bin$/) ? lacking(path, "config.json") : undefined;
}

function lacking(path: string, file: string): JaugeError {
  return new JaugeError("checkpoint-file-missing", { path, file });
}

/** Deltas are published in Hugging Face's format. */
function expectNoDelta(path: string, { base }: SourceOptions): void {
  if (base !== undefined) throw new JaugeError("delta-unrecognised", { path });
}

/** A model with adapters merged in, one after the other. `finer` opens it without what rounds its numbers. */
async function merged(
  open: () => Promise<ConvertibleModel>,
  { loras = [] }: SourceOptions,
  kernels: QuantizeKernels | undefined,
  finer?: () => Promise<ConvertibleModel>,
): Promise<ConvertibleModel> {
  let model = await open();
  // what is added next, until the sum owns it
  const waiting: { close(): Promise<void> }[] = [];
  try {
    for (const [index, { path, scale }] of loras.entries()) {
      const adapter = await openLora(path);
      waiting.push(adapter);
      const exact = index === 0 ? await finer?.() : undefined;
      if (exact) waiting.push(exact);
      model = mergedInto(model, adapter, { scale, kernels, ...(exact && { finer: exact }) });
      waiting.length = 0;
    }
    return model;
  } catch (error) {
    await Promise.all([model, ...waiting].map((each) => each.close()));
    throw error;
  }
}

/** Configurations (JSON), safetensors (a length, then JSON), torch (zip, or a pickle). */
function isOfCheckpoint(head: Buffer): boolean {
  const text = head.toString("latin1");
  const isTorch = text.startsWith("PK\x03\x04") || head[0] === 0x80;
  return isTorch || text[8] === "{" || isJson(head);
}

function isJson(head: Buffer): boolean {
  return /^(\xef\xbb\xbf)?\s*\{/.test(head.toString("latin1"));
}
