import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { ScoringRequest } from "../../src/compare/scoring-model.js";
import { readGguf } from "../../src/gguf/reader.js";
import { type TensorSource, writeGguf } from "../../src/gguf/writer.js";
import { seeded } from "../gguf/random.js";
import { float32, ones, randomMatrix } from "../gguf/tensors.js";
import { storiesPath } from "../oracles/plain.js";

export const textPath = fileURLToPath(new URL("../../texts/english-french.txt", import.meta.url));
export const fixture = (name: string) =>
  fileURLToPath(new URL(`../fixtures/compare/${name}`, import.meta.url));

/** One thread of the CPU, whatever the machine has. */
export const request: ScoringRequest = {
  budgets: {},
  wishes: { threads: 1, threadsBatch: 1, gpuLayers: 0, devices: [] },
  engine: { libraries: { backend: "cpu" } },
};

/** The float32 values of a tensor of a small file. */
export async function tensorValues(path: string, name: string): Promise<Float32Array> {
  const { tensors } = await readGguf(path);
  const { fileOffset, bytes } = tensors.find((tensor) => tensor.name === name)!;
  const data = await readFile(path);
  return new Float32Array(
    data.buffer.slice(data.byteOffset + fileOffset, data.byteOffset + fileOffset + bytes),
  );
}

/** The embedded model with every matrix changed a little: `amount` is the part of each value that is random. */
export async function writeNoisyStories(path: string, amount: number): Promise<void> {
  const { metadata, tensors } = await readGguf(storiesPath);
  const random = seeded(7);
  const noisy = await Promise.all(
    tensors.map(async ({ name, shape }): Promise<TensorSource> => {
      const values = await tensorValues(storiesPath, name);
      const isMatrix = shape.length > 1;
      for (let index = 0; isMatrix && index < values.length; index++)
        values[index]! *= 1 + amount * (random() - 0.5);
      return float32(name, shape, values);
    }),
  );
  await writeGguf(path, { metadata, tensors: noisy });
}

/**
 * Writes a LLaMA of random weights with the embedded model's vocabulary and, in each layer, four experts of which two
 * are used.
 */
export async function writeMixtureModel(path: string): Promise<void> {
  const { metadata: stories } = await readGguf(storiesPath);
  const uint32 = (value: number) => ({ type: "uint32" as const, value });
  const [hidden, experts, inner] = [64, 4, 96];
  const metadata = new Map([
    ...stories.entries(),
    ["llama.embedding_length", uint32(hidden)],
    ["llama.block_count", uint32(2)],
    ["llama.attention.head_count", uint32(2)],
    ["llama.attention.head_count_kv", uint32(1)],
    ["llama.rope.dimension_count", uint32(32)],
    ["llama.feed_forward_length", uint32(inner)],
    ["llama.expert_count", uint32(experts)],
    ["llama.expert_used_count", uint32(2)],
  ]);
  const random = seeded(3);
  const tensor = (name: string, ...shape: number[]) =>
    shape.length === 1 ? ones(name, shape[0]!) : randomMatrix(name, shape, random);
  const layers = [0, 1].flatMap((layer) => [
    tensor(`blk.${layer}.attn_norm.weight`, hidden),
    tensor(`blk.${layer}.attn_q.weight`, hidden, hidden),
    tensor(`blk.${layer}.attn_k.weight`, hidden, 32),
    tensor(`blk.${layer}.attn_v.weight`, hidden, 32),
    tensor(`blk.${layer}.attn_output.weight`, hidden, hidden),
    tensor(`blk.${layer}.ffn_norm.weight`, hidden),
    tensor(`blk.${layer}.ffn_gate_inp.weight`, hidden, experts),
    tensor(`blk.${layer}.ffn_gate_exps.weight`, hidden, inner, experts),
    tensor(`blk.${layer}.ffn_up_exps.weight`, hidden, inner, experts),
    tensor(`blk.${layer}.ffn_down_exps.weight`, inner, hidden, experts),
  ]);
  const ends = [
    tensor("token_embd.weight", hidden, 512),
    tensor("output_norm.weight", hidden),
    tensor("output.weight", hidden, 512),
  ];
  await writeGguf(path, { metadata, tensors: [...ends, ...layers] });
}
