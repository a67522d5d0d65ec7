import type { WritableValue } from "../../src/gguf/encode.js";
import { readGguf } from "../../src/gguf/reader.js";
import { writeGguf } from "../../src/gguf/writer.js";
import { seeded } from "../gguf/random.js";
import { ones, randomMatrix } from "../gguf/tensors.js";
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
  const random = seeded(1);
  const tensors = [
    randomMatrix("token_embd.weight", [hidden, 512], random),
    ones("output_norm.weight", hidden),
    randomMatrix("output.weight", [hidden, 512], random),
    ...Array.from({ length: layers }, (_, layer) => [
      ones(`blk.${layer}.attn_norm.weight`, hidden),
      randomMatrix(`blk.${layer}.attn_q.weight`, [hidden, hidden], random),
      randomMatrix(`blk.${layer}.attn_k.weight`, [hidden, 32], random),
      randomMatrix(`blk.${layer}.attn_v.weight`, [hidden, 32], random),
      randomMatrix(`blk.${layer}.attn_output.weight`, [hidden, hidden], random),
      ones(`blk.${layer}.ffn_norm.weight`, hidden),
      randomMatrix(`blk.${layer}.ffn_gate.weight`, [hidden, 2 * hidden], random),
      randomMatrix(`blk.${layer}.ffn_up.weight`, [hidden, 2 * hidden], random),
      randomMatrix(`blk.${layer}.ffn_down.weight`, [2 * hidden, hidden], random),
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
  const random = seeded(seed);
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
    randomMatrix(`${name}.lora_a`, [from, rank], random),
    randomMatrix(`${name}.lora_b`, [rank, to], random),
  ];
  const tensors = [0, 1, 2, 3, 4].flatMap((layer) => [
    ...pair(`blk.${layer}.attn_q.weight`, hidden, hidden),
    ...pair(`blk.${layer}.ffn_down.weight`, 172, hidden),
  ]);
  await writeGguf(path, { metadata, tensors });
}
