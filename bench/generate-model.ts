import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { WritableValue } from "../src/gguf/encode.js";
import { type TensorTypeName, tensorBytes } from "../src/gguf/tensor-types.js";
import { type TensorSource, writeGguf } from "../src/gguf/writer.js";
import { fromRoot } from "./paths.js";
import { Random } from "./random.js";
import { randomChunks } from "./random-blocks.js";
import { madeUpVocabulary } from "./vocabulary.js";

/** The shape of a LLaMA model: what its speed depends on. */
export interface ModelShape {
  /** Multiple of 256, the block of Q4_K, as `feedForward` is. */
  hidden: number;
  layers: number;
  heads: number;
  kvHeads: number;
  feedForward: number;
  vocabulary: number;
  contextLength: number;
}

/** The shapes there are; `1b` is the one that is measured, `tiny` is for trying a bench out. */
export const shapes = {
  "1b": {
    hidden: 2048,
    layers: 22,
    heads: 32,
    kvHeads: 4,
    feedForward: 5632,
    vocabulary: 32_000,
    contextLength: 4096,
  },
  tiny: {
    hidden: 512,
    layers: 8,
    heads: 8,
    kvHeads: 2,
    feedForward: 1536,
    vocabulary: 32_000,
    contextLength: 4096,
  },
} satisfies Record<string, ModelShape>;
export type ShapeName = keyof typeof shapes;

/** The path of a generated model, written first where it is missing. The same seed gives the same bytes. */
export async function generatedModel(name: ShapeName, seed = 1): Promise<string> {
  const path = fromRoot("bench", "models", `random-${name}-q4_k${seed === 1 ? "" : `-${seed}`}.gguf`);
  if (!existsSync(path)) {
    console.error(`bench: writing ${path} (once)…`);
    await mkdir(dirname(path), { recursive: true });
    await writeModel(path, shapes[name], seed);
  }
  return path;
}

/**
 * Writes a LLaMA model of random weights, made directly as quantised blocks. Every matrix is Q4_K and the output
 * layer Q6_K; llama.cpp's own Q4_K_M mix also keeps half of attn_v and ffn_down in Q6_K, which is left out here to
 * keep the model plain. Norms are F32 and 1.
 */
async function writeModel(path: string, shape: ModelShape, seed: number): Promise<void> {
  const random = new Random(seed);
  await writeGguf(path, { metadata: metadataOf(shape), tensors: tensorsOf(shape, random) });
}

function metadataOf(shape: ModelShape): Map<string, WritableValue> {
  const uint32 = (value: number): WritableValue => ({ type: "uint32", value });
  return new Map<string, WritableValue>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: "random weights" }],
    // 15 is LLAMA_FTYPE_MOSTLY_Q4_K_M, 2 the version of the quantised formats.
    ["general.file_type", uint32(15)],
    ["general.quantization_version", uint32(2)],
    ["llama.context_length", uint32(shape.contextLength)],
    ["llama.embedding_length", uint32(shape.hidden)],
    ["llama.block_count", uint32(shape.layers)],
    ["llama.feed_forward_length", uint32(shape.feedForward)],
    ["llama.attention.head_count", uint32(shape.heads)],
    ["llama.attention.head_count_kv", uint32(shape.kvHeads)],
    ["llama.rope.dimension_count", uint32(shape.hidden / shape.heads)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "float32", value: 1e-5 }],
    ["llama.vocab_size", uint32(shape.vocabulary)],
    ...madeUpVocabulary(shape.vocabulary),
  ]);
}

function tensorsOf(shape: ModelShape, random: Random): TensorSource[] {
  const { hidden, feedForward } = shape;
  const kv = (hidden / shape.heads) * shape.kvHeads;
  const matrix = (name: string, rows: number, columns: number, type: "Q4_K" | "Q6_K" = "Q4_K") =>
    tensor(`${name}.weight`, type, [rows, columns], () =>
      randomChunks(type, tensorBytes(type, [rows, columns])!, random),
    );
  const norm = (name: string) => tensor(`${name}.weight`, "F32", [hidden], () => ones(hidden));
  const layer = (index: number): TensorSource[] => [
    norm(`blk.${index}.attn_norm`),
    matrix(`blk.${index}.attn_q`, hidden, hidden),
    matrix(`blk.${index}.attn_k`, hidden, kv),
    matrix(`blk.${index}.attn_v`, hidden, kv),
    matrix(`blk.${index}.attn_output`, hidden, hidden),
    norm(`blk.${index}.ffn_norm`),
    matrix(`blk.${index}.ffn_gate`, hidden, feedForward),
    matrix(`blk.${index}.ffn_up`, hidden, feedForward),
    matrix(`blk.${index}.ffn_down`, feedForward, hidden),
  ];
  return [
    matrix("token_embd", hidden, shape.vocabulary),
    ...Array.from({ length: shape.layers }, (_, index) => layer(index)).flat(),
    norm("output_norm"),
    matrix("output", hidden, shape.vocabulary, "Q6_K"),
  ];
}

function tensor(
  name: string,
  type: TensorTypeName,
  shape: number[],
  data: () => Iterable<Uint8Array>,
): TensorSource {
  return { name, type, shape, data };
}

function* ones(count: number): Iterable<Uint8Array> {
  yield new Uint8Array(new Float32Array(count).fill(1).buffer);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({
    options: { seed: { type: "string", default: "1" } },
    allowPositionals: true,
  });
  const name = positionals[0] ?? "1b";
  if (!(name in shapes)) throw new Error(`no shape ${name}; there are: ${Object.keys(shapes).join(", ")}`);
  console.log(await generatedModel(name as ShapeName, Number(values.seed)));
}
