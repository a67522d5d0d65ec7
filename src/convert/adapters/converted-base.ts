import { stat } from "node:fs/promises";
import { JaugeError } from "../../errors.js";
import type { QuantizeKernels } from "../../quantize/kernels.js";
import { type Checkpoint, type StoredTensor, storedBytes } from "../checkpoint.js";
import { isLegacyGgml, openLegacyGgml } from "../legacy/open.js";
import type { ConvertibleModel, ConvertibleTensor } from "../model.js";
import { headOf } from "../readers/file-head.js";
import { openGgufModel } from "../readers/gguf-model.js";
import type { View } from "../views/view.js";
import { FloatRows } from "./dequantised.js";
import { elementReader, type Heads, inUsualNames } from "./usual-names.js";

/** What a GGUF of LLaMA calls tensors, and what Meta does: rows of Q and K are in Meta's order. */
const names: readonly [RegExp, string][] = [
  [/^token_embd\.weight$/, "tok_embeddings.weight"],
  [/^output_norm\.weight$/, "norm.weight"],
  [/^rope_freqs\.weight$/, "rope.freqs"],
  [/^blk\.(\d+)\.attn_norm\.weight$/, "layers.$1.attention_norm.weight"],
  [/^blk\.(\d+)\.attn_([qkv])\.weight$/, "layers.$1.attention.w$2.weight"],
  [/^blk\.(\d+)\.attn_output\.weight$/, "layers.$1.attention.wo.weight"],
  [/^blk\.(\d+)\.ffn_norm\.weight$/, "layers.$1.ffn_norm.weight"],
  [/^blk\.(\d+)\.ffn_gate\.weight$/, "layers.$1.feed_forward.w1.weight"],
  [/^blk\.(\d+)\.ffn_down\.weight$/, "layers.$1.feed_forward.w2.weight"],
  [/^blk\.(\d+)\.ffn_up\.weight$/, "layers.$1.feed_forward.w3.weight"],
];

/**
 * A LLaMA that is converted already, a GGUF or a GGML file of 2023, as the checkpoint it was made from, for `delta` to be
 * added to: names and rows as transformers has them, blocks as the F32 that they stand for. Undefined where `path`
 * is no such file. Without `kernels`, blocks can be planned, but not read.
 *
 * Errors: `delta-base-converted` where it is another architecture; `file-unreadable`, those of the reader.
 */
export async function openConvertedBase(
  path: string,
  delta: string,
  kernels: QuantizeKernels | undefined,
): Promise<Checkpoint | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const head = await headOf(path);
  const isGguf = head.toString("latin1").startsWith("GGUF");
  if (!isGguf && !isLegacyGgml(head)) return undefined;
  const model = await (isGguf ? openGgufModel(path) : openLegacyGgml(path, { exact: true }));
  try {
    return checkpointOf(model, delta, kernels);
  } catch (error) {
    await model.close();
    throw error;
  }
}

function checkpointOf(
  model: ConvertibleModel,
  delta: string,
  kernels: QuantizeKernels | undefined,
): Checkpoint {
  const { path, format, fingerprint } = model;
  const floats = new FloatRows(path, model.tensors, kernels);
  const tensors = model.tensors.map((tensor) => stored(tensor, floats, delta));
  const checkpoint: Checkpoint = {
    ...{ path, format, fingerprint },
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    close: () => model.close(),
  };
  return inUsualNames(checkpoint, headsOf(model, delta));
}

function stored(tensor: ConvertibleTensor, floats: FloatRows, delta: string): StoredTensor {
  const [pattern, usual] = names.find(([pattern]) => pattern.test(tensor.name)) ?? [];
  const name = pattern && usual ? tensor.name.replace(pattern, usual) : tensor.name;
  const shape = tensor.shape.toReversed();
  const { type } = tensor;
  if (type === "F32" || type === "F16" || type === "BF16") {
    const elementBytes = storedBytes[type];
    const rowBytes = (tensor.shape[0] ?? 1) * elementBytes;
    const rows = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
    const readRows: View["readRows"] = (target, firstRow) => tensor.readRows(target, firstRow);
    return {
      ...{ name, shape, type },
      read: elementReader({ type, rows, rowBytes, readRows }, elementBytes),
    };
  }
  const read = elementReader(floats.of(tensor, delta), 4);
  return { name, shape, type: "F32", dequantisedFrom: type, read };
}

function headsOf(model: ConvertibleModel, delta: string): Heads {
  const architecture = model.metadata.get("general.architecture");
  const name = architecture?.type === "string" ? architecture.value : "?";
  if (name !== "llama")
    throw new JaugeError("delta-base-converted", { path: delta, base: model.path, architecture: name });
  const number = (key: string) => {
    const entry = model.metadata.get(`llama.attention.${key}`);
    return entry && entry.type !== "array" && entry.type !== "string" ? Number(entry.value) : undefined;
  };
  // heads that differ from layer to layer are no published delta's; the shapes refuse them
  const heads = number("head_count") ?? 1;
  return { heads, kvHeads: number("head_count_kv") ?? heads };
}
