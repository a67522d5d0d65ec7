import type { WritableValue } from "../../src/gguf/encode.js";
import { readGguf } from "../../src/gguf/reader.js";
import { type TensorSource, writeGguf } from "../../src/gguf/writer.js";
import { storiesPath } from "../oracles/plain.js";

/**
 * Writes a small LLaMA of random weights with the embedded model's vocabulary. Its heads are 32 wide, a whole block
 * of every quantised KV cache type, where those of the embedded model are 8.
 */
export async function writeRandomModel(path: string, { layers = 3, hidden = 96 } = {}): Promise<void> {
  const { metadata: stories } = await readGguf(storiesPath);
  const uint32 = (value: number) => ({ type: "uint32" as const, value });
  const heads = hidden / 32;
  const metadata = new Map([
    ...stories.entries(),
    ["llama.embedding_length", uint32(hidden)],
    ["llama.block_count", uint32(layers)],
    ["llama.attention.head_count", uint32(heads)],
    ["llama.attention.head_count_kv", uint32(1)],
    ["llama.rope.dimension_count", uint32(32)],
    ["llama.feed_forward_length", uint32(2 * hidden)],
  ]);
  const random = randomNumbers(1);
  const tensors = [
    matrix("token_embd.weight", [hidden, 512], random),
    norm("output_norm.weight", hidden),
    matrix("output.weight", [hidden, 512], random),
    ...Array.from({ length: layers }, (_, layer) => [
      norm(`blk.${layer}.attn_norm.weight`, hidden),
      matrix(`blk.${layer}.attn_q.weight`, [hidden, hidden], random),
      matrix(`blk.${layer}.attn_k.weight`, [hidden, 32], random),
      matrix(`blk.${layer}.attn_v.weight`, [hidden, 32], random),
      matrix(`blk.${layer}.attn_output.weight`, [hidden, hidden], random),
      norm(`blk.${layer}.ffn_norm.weight`, hidden),
      matrix(`blk.${layer}.ffn_gate.weight`, [hidden, 2 * hidden], random),
      matrix(`blk.${layer}.ffn_up.weight`, [hidden, 2 * hidden], random),
      matrix(`blk.${layer}.ffn_down.weight`, [2 * hidden, hidden], random),
    ]).flat(),
  ];
  await writeGguf(path, { metadata, tensors });
}

export interface AdapterSettings {
  seed?: number;
  architecture?: string;
  hidden?: number;
  /** Metadata to change or add. */
  changes?: Record<string, WritableValue>;
}

/**
 * Writes a LoRA adapter of random values for the query and FFN matrices of the embedded model (hidden size 64, FFN 172).
 * Source of the names and metadata: llama-adapter.cpp of llama.cpp v0.5.0.
 */
export async function writeAdapter(path: string, settings: AdapterSettings = {}): Promise<void> {
  const { seed = 1, architecture = "llama", hidden = 64, changes = {} } = settings;
  const random = randomNumbers(seed);
  const rank = 4;
  const string = (value: string) => ({ type: "string" as const, value });
  const metadata = new Map<string, WritableValue>([
    ["general.type", string("adapter")],
    ["general.architecture", string(architecture)],
    ["adapter.type", string("lora")],
    ["adapter.lora.alpha", { type: "float32" as const, value: 2 * rank }],
    ...Object.entries(changes),
  ]);
  const pair = (name: string, from: number, to: number) => [
    matrix(`${name}.lora_a`, [from, rank], random),
    matrix(`${name}.lora_b`, [rank, to], random),
  ];
  const tensors = [0, 1, 2, 3, 4].flatMap((layer) => [
    ...pair(`blk.${layer}.attn_q.weight`, hidden, hidden),
    ...pair(`blk.${layer}.ffn_down.weight`, 172, hidden),
  ]);
  await writeGguf(path, { metadata, tensors });
}

function norm(name: string, length: number): TensorSource {
  return f32(name, [length], new Float32Array(length).fill(1));
}

function matrix(name: string, shape: [number, number], random: () => number): TensorSource {
  // Values that keep the size of what is multiplied: their variance is one over the row length.
  const scale = Math.sqrt(12 / shape[0]);
  return f32(
    name,
    shape,
    Float32Array.from({ length: shape[0] * shape[1] }, () => (random() - 0.5) * scale),
  );
}

function f32(name: string, shape: number[], values: Float32Array): TensorSource {
  return { name, type: "F32", shape, data: () => [new Uint8Array(values.buffer)] };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
