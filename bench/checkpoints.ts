import { copyFile, mkdir, open, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ModelShape, shapes } from "./generate-model.js";
import { fromRoot } from "./paths.js";
import { Random } from "./random.js";

/** Shapes of checkpoints: `3b` is OpenLLaMA's, `65b` LLaMA's largest of 2023, 130 GB of 16-bit weights. */
export const checkpointShapes = {
  "1b": shapes["1b"],
  tiny: shapes.tiny,
  "3b": {
    hidden: 3200,
    layers: 26,
    heads: 32,
    kvHeads: 32,
    feedForward: 8640,
    vocabulary: 32_000,
    contextLength: 2048,
  },
  "65b": {
    hidden: 8192,
    layers: 80,
    heads: 64,
    kvHeads: 64,
    feedForward: 22_016,
    vocabulary: 32_000,
    contextLength: 2048,
  },
} satisfies Record<string, ModelShape>;
export type CheckpointShape = keyof typeof checkpointShapes;

/** What fills the tensors: random weights, or holes, which read as zeros and take no room on the disk. */
export type Fill = "random" | "holes";

const shardBytes = 10e9;

interface HeldTensor {
  name: string;
  shape: number[];
  bytes: number;
}

/** Writes a Hugging Face folder of a LLaMA model in BF16, in shards as published ones are; once. */
export async function writeCheckpoint(folder: string, name: CheckpointShape, fill: Fill): Promise<string> {
  const index = join(folder, "model.safetensors.index.json");
  if (await stat(index).catch(() => undefined)) return folder;
  const shape = checkpointShapes[name];
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(configOf(shape)));
  // A small vocabulary; what the embedding has beyond it is filled up, as with any padded one.
  await copyFile(fromRoot("test", "fixtures", "tokenizers", "bpe.model"), join(folder, "tokenizer.model"));
  const shards = shardsOf(tensorsOf(shape));
  const random = new Random(1);
  const places: Record<string, string> = {};
  for (const [number, tensors] of shards.entries()) {
    const file = `model-${part(number + 1)}-of-${part(shards.length)}.safetensors`;
    await writeShard(join(folder, file), tensors, fill, random);
    for (const tensor of tensors) places[tensor.name] = file;
  }
  await writeFile(index, JSON.stringify({ metadata: {}, weight_map: places }));
  return folder;
}

function configOf(shape: ModelShape) {
  return {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", torch_dtype: "bfloat16" },
    ...{ hidden_size: shape.hidden, num_hidden_layers: shape.layers, vocab_size: shape.vocabulary },
    ...{ num_attention_heads: shape.heads, num_key_value_heads: shape.kvHeads },
    ...{ intermediate_size: shape.feedForward, max_position_embeddings: shape.contextLength },
    ...{ rms_norm_eps: 1e-5, hidden_act: "silu", rope_theta: 10_000, tie_word_embeddings: false },
  };
}

function tensorsOf(shape: ModelShape): HeldTensor[] {
  const { hidden, feedForward } = shape;
  const kv = (hidden / shape.heads) * shape.kvHeads;
  const tensor = (name: string, ...sizes: number[]): HeldTensor => ({
    ...{ name: `${name}.weight`, shape: sizes },
    bytes: 2 * sizes.reduce((product, size) => product * size, 1),
  });
  const layer = (index: number): HeldTensor[] => {
    const of = (name: string, ...sizes: number[]) => tensor(`model.layers.${index}.${name}`, ...sizes);
    return [
      of("input_layernorm", hidden),
      of("self_attn.q_proj", hidden, hidden),
      of("self_attn.k_proj", kv, hidden),
      of("self_attn.v_proj", kv, hidden),
      of("self_attn.o_proj", hidden, hidden),
      of("post_attention_layernorm", hidden),
      of("mlp.gate_proj", feedForward, hidden),
      of("mlp.up_proj", feedForward, hidden),
      of("mlp.down_proj", hidden, feedForward),
    ];
  };
  return [
    tensor("model.embed_tokens", shape.vocabulary, hidden),
    ...Array.from({ length: shape.layers }, (_, index) => layer(index)).flat(),
    tensor("model.norm", hidden),
    tensor("lm_head", shape.vocabulary, hidden),
  ];
}

function shardsOf(tensors: HeldTensor[]): HeldTensor[][] {
  const shards: HeldTensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    if (shards.length === 0 || tensor.bytes > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(tensor);
    room -= tensor.bytes;
  }
  return shards;
}

/** Source: the safetensors format: the header's length as 64 bits, its JSON, then the tensors. */
async function writeShard(path: string, tensors: HeldTensor[], fill: Fill, random: Random): Promise<void> {
  let end = 0;
  const entries = tensors.map(({ name, shape, bytes }) => {
    const begin = end;
    end += bytes;
    return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }] as const;
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = await open(path, "w");
  try {
    await file.writeFile(length);
    await file.writeFile(header);
    if (fill === "holes") await file.truncate(8 + header.length + end);
    else
      for (const { bytes } of tensors)
        for (const chunk of randomHalves(bytes, random)) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

/** BF16 numbers, of both signs and of sizes from 2⁻⁷ to 2⁻³. */
function* randomHalves(bytes: number, random: Random): Iterable<Uint8Array> {
  const words = new Uint32Array(Math.min(bytes, 1 << 20) / 4);
  for (let left = bytes; left > 0; left -= 4 * words.length) {
    random.fill(words);
    for (let index = 0; index < words.length; index++)
      words[index] = (words[index]! & 0x81ff_81ff) | 0x3c00_3c00;
    yield new Uint8Array(words.buffer, 0, Math.min(left, 4 * words.length));
  }
}

function part(number: number): string {
  return String(number).padStart(5, "0");
}
