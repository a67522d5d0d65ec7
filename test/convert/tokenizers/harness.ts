import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { readTokenizer, type TokenizerRequest } from "../../../src/convert/tokenizers/read-tokenizer.js";
import { numberChunks, stringChunks } from "../../../src/gguf/arrays.js";
import type { MetadataArray, MetadataValue } from "../../../src/gguf/metadata.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import { loadTokenizer } from "../../../src/model.js";
import { zeros } from "../../gguf/tensors.js";

export type Keys = Map<string, MetadataValue>;

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/tokenizers/${name}`, import.meta.url));
}

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A new folder with these files; objects are written as JSON. Removed after the tests. */
export async function folderOf(files: Record<string, Uint8Array | string | object>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "jauge-tokenizer-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    const isBytes = typeof content === "string" || content instanceof Uint8Array;
    const path = join(folder, name);
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, isBytes ? content : JSON.stringify(content));
  }
  return folder;
}

/** `readTokenizer` of a folder with these files. */
export async function keysOf(
  files: Record<string, Uint8Array | string | object>,
  request: Partial<TokenizerRequest> & { vocabularySize: number },
): Promise<Keys> {
  return readTokenizer({ folder: await folderOf(files), config: {}, architecture: "llama", ...request });
}

export type EncodeText = (
  text: string,
  options?: { special?: boolean; added?: boolean },
) => Promise<number[]>;

/** Asks `use` with the engine's own tokenizer, loaded from a GGUF that has these keys. */
export async function withEngine(keys: Keys, use: (encode: EncodeText) => Promise<void>): Promise<void> {
  const folder = await folderOf({});
  const path = join(folder, "vocabulary.gguf");
  await writeTinyModel(path, keys);
  const tokenizer = await loadTokenizer(path);
  try {
    await use(async (text, { special = false, added = false } = {}) => [
      ...(await tokenizer.tokenize(text, { addSpecial: added, parseSpecial: special })),
    ]);
  } finally {
    await tokenizer.close();
  }
}

/** The smallest LLaMA around a vocabulary: one layer of zeros. */
async function writeTinyModel(path: string, keys: Keys): Promise<void> {
  const rows = arrayOf(keys, "tokenizer.ggml.tokens").count;
  const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["llama.context_length", uint32(512)],
    ["llama.embedding_length", uint32(32)],
    ["llama.block_count", uint32(1)],
    ["llama.feed_forward_length", uint32(32)],
    ["llama.attention.head_count", uint32(1)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "float32", value: 1e-5 }],
    ["llama.rope.dimension_count", uint32(32)],
    ...keys,
  ]);
  const zero = (name: string, shape: number[]) => zeros({ name, type: "F32", shape });
  const square = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
  await writeGguf(path, {
    metadata,
    tensors: [
      zero("token_embd.weight", [32, rows]),
      zero("output_norm.weight", [32]),
      zero("blk.0.attn_norm.weight", [32]),
      zero("blk.0.ffn_norm.weight", [32]),
      ...square.map((name) => zero(`blk.0.${name}.weight`, [32, 32])),
    ],
  });
}

export function arrayOf(keys: Keys, key: string): MetadataArray {
  const entry = keys.get(key);
  if (entry?.type !== "array") throw new Error(`${key} is no array`);
  return entry.value;
}

export async function stringsOf(keys: Keys, key: string): Promise<string[]> {
  return collect(stringChunks(arrayOf(keys, key)));
}

export async function numbersOf(keys: Keys, key: string): Promise<number[]> {
  return collect(numberChunks(arrayOf(keys, key)));
}

async function collect<T>(chunks: AsyncIterable<T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const chunk of chunks) all.push(...chunk);
  return all;
}

/** All keys but arrays, for a glance at once. */
export function scalarsOf(keys: Keys): Record<string, unknown> {
  const scalars = [...keys].filter(([, { type }]) => type !== "array");
  return Object.fromEntries(scalars.map(([key, { value }]) => [key.replace("tokenizer.", ""), value]));
}
