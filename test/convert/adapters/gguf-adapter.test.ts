import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { writeGgufAdapter } from "../../../src/convert/adapters/gguf-adapter.js";
import { openLora } from "../../../src/convert/adapters/lora.js";
import { withLora } from "../../../src/convert/adapters/merge.js";
import { assemble } from "../../../src/convert/architectures/assemble.js";
import { knownModel } from "../../../src/convert/architectures/known.js";
import type { Checkpoint } from "../../../src/convert/checkpoint.js";
import { readModel } from "../../../src/gguf/model-file.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import { continueWith, distance, openStories } from "../../engine/harness.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import { tokensOf } from "../../oracles/plain.js";
import { memoryCheckpoint } from "../memory-checkpoint.js";
import type { WrittenTensor } from "../readers/checkpoint-files.js";
import { randomTensor, writeLora } from "./lora-files.js";

const temporary = temporaryFolder();
const [hidden, feedForward, layers, heads, kvHeads, vocabulary] = [64, 172, 5, 8, 4, 512];

/** A Llama of the embedded model's shape. */
const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: hidden,
  intermediate_size: feedForward,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  vocab_size: vocabulary,
  tie_word_embeddings: false,
};
const kv = (hidden / heads) * kvHeads;
const matrices: Record<string, [number, number]> = {
  "self_attn.q_proj": [hidden, hidden],
  "self_attn.k_proj": [kv, hidden],
  "self_attn.v_proj": [kv, hidden],
  "self_attn.o_proj": [hidden, hidden],
  "mlp.gate_proj": [feedForward, hidden],
  "mlp.up_proj": [feedForward, hidden],
  "mlp.down_proj": [hidden, feedForward],
};

function weights(): Checkpoint {
  let seed = 1;
  const matrix = (rows: number, columns: number) => {
    const { shape, data } = randomTensor([rows, columns], seed++, Math.sqrt(12 / columns));
    return { type: "F32" as const, shape, bytes: data };
  };
  const norm = {
    type: "F32" as const,
    shape: [hidden],
    bytes: new Uint8Array(new Float32Array(hidden).fill(1).buffer),
  };
  return memoryCheckpoint([
    ["model.embed_tokens.weight", matrix(vocabulary, hidden)],
    ["model.norm.weight", norm],
    ["lm_head.weight", matrix(vocabulary, hidden)],
    ...Array.from({ length: layers }, (_, layer) =>
      [
        ["model.layers.N.input_layernorm.weight", norm] as const,
        ["model.layers.N.post_attention_layernorm.weight", norm] as const,
        ...Object.entries(matrices).map(
          ([name, [rows, columns]]) => [`model.layers.N.${name}.weight`, matrix(rows, columns)] as const,
        ),
      ].map(([name, tensor]) => [name.replace(".N.", `.${layer}.`), tensor] as [string, typeof norm]),
    ).flat(),
  ]);
}

/** A pair for every matrix, those that llama.cpp turns among them. */
function adapterTensors(rank: number, embedding: boolean): Record<string, WrittenTensor> {
  let seed = 1000;
  const pairs: [string, WrittenTensor][] = [];
  const add = (name: string, rows: number, columns: number) =>
    pairs.push(
      [`base_model.model.${name}.lora_A.weight`, randomTensor([rank, columns], seed++, 0.5)],
      [`base_model.model.${name}.lora_B.weight`, randomTensor([rows, rank], seed++, 0.5)],
    );
  for (let layer = 0; layer < layers; layer++)
    for (const [name, [rows, columns]] of Object.entries(matrices))
      add(`model.layers.${layer}.${name}`, rows, columns);
  add("lm_head", vocabulary, hidden);
  if (embedding)
    pairs.push(
      ["base_model.model.model.embed_tokens.lora_embedding_A", randomTensor([rank, vocabulary], seed++, 0.5)],
      ["base_model.model.model.embed_tokens.lora_embedding_B", randomTensor([hidden, rank], seed++, 0.5)],
    );
  return Object.fromEntries(pairs);
}

/** The embedded model's vocabulary with these weights. */
async function writeModel(name: string, checkpoint: Checkpoint): Promise<string> {
  const { metadata } = await readModel(storiesPath);
  const tensors = assemble(knownModel(config, "config.json").blueprint, checkpoint).map((tensor) => ({
    name: tensor.name,
    type: "F32" as const,
    shape: tensor.shape,
    async *data() {
      const rows = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
      const bytes = new Uint8Array(rows * tensor.shape[0]! * 4);
      await tensor.readRows(bytes, 0);
      yield bytes;
    },
  }));
  const path = temporary.path(name);
  await writeGguf(path, { metadata, tensors });
  return path;
}

async function baseFolder(name: string, change: object = {}): Promise<string> {
  const folder = temporary.path(name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
  return folder;
}

let base = "";
let prompt: Int32Array;
beforeAll(async () => {
  base = await writeModel("base.gguf", weights());
  prompt = (await tokensOf(["Once upon a time there was a little dog"]))[0]!;
});

describe("a GGUF adapter on the base is the merged model", () => {
  it.each<[string, Record<string, unknown>, number, boolean]>([
    ["plain", { r: 4, lora_alpha: 8 }, 4, false],
    ["rank-stabilised, the embedding too", { r: 6, lora_alpha: 3, use_rslora: true }, 6, true],
    [
      "alphas of their own",
      { r: 4, lora_alpha: 2, alpha_pattern: { "layers.[13].*q_proj": 9, lm_head: 1 } },
      4,
      true,
    ],
  ])("%s", async (name, settings, rank, embedding) => {
    const folder = await writeLora(temporary.path(`lora ${name}`), settings, adapterTensors(rank, embedding));
    const path = temporary.path(`${name}.gguf`);
    const written = await writeGgufAdapter(folder, await baseFolder("config"), path);
    expect(written).toMatchObject({ pairs: 36 + Number(embedding), architecture: "llama" });

    const merged = withLora(weights(), await openLora(folder));
    const mergedPath = await writeModel(`merged ${name}.gguf`, merged);
    await merged.close();
    const [plain, adapted, whole] = [
      await continueWith(await openStories({ modelPath: base }), prompt, 8),
      await continueWith(await openStories({ modelPath: base, adapters: [{ path, scale: 1 }] }), prompt, 8),
      await continueWith(await openStories({ modelPath: mergedPath }), prompt, 8),
    ];
    // keys and values are rounded to 11 bits on their way through the cache
    const size = Math.max(...whole.logits[0]!.map(Math.abs));
    expect(distance(plain.logits[0]!, whole.logits[0]!)).toBeGreaterThan(0.1 * size);
    expect(distance(adapted.logits[0]!, whole.logits[0]!)).toBeLessThan(1e-3 * size);
    expect(adapted.tokens).toEqual(whole.tokens);
  });
});

/** With one number that is none. */
function damaged(tensors: Record<string, WrittenTensor>): Record<string, WrittenTensor> {
  const [name, tensor] = Object.entries(tensors).at(-1)!;
  const data = Uint8Array.from(tensor.data);
  new Float32Array(data.buffer)[5] = Number.NaN;
  return { ...tensors, [name]: { ...tensor, data } };
}

describe("what a GGUF adapter cannot hold is refused", () => {
  const pairs = adapterTensors(4, true);
  const settings = { r: 4, lora_alpha: 8 };
  it.each<[string, object, Record<string, WrittenTensor>, object, string]>([
    [
      "tensors trained as a whole",
      {},
      { ...pairs, "base_model.model.lm_head.weight": randomTensor([vocabulary, hidden], 1) },
      {},
      "adapter-needs-merging",
    ],
    [
      "an embedding that is the output matrix, too",
      { tie_word_embeddings: true },
      pairs,
      {},
      "adapter-needs-merging",
    ],
    ["matrices of another model", { num_hidden_layers: 4 }, pairs, {}, "adapter-base-differs"],
    ["other sizes", { intermediate_size: 180 }, pairs, {}, "adapter-base-differs"],
    [
      "an unknown base",
      { model_type: "unheard-of", architectures: ["Unheard"] },
      pairs,
      {},
      "source-config-unknown",
    ],
    ["weights that are no numbers", {}, damaged(pairs), {}, "weights-not-finite"],
  ])("%s", async (name, change, tensors, others, code) => {
    const folder = await writeLora(temporary.path(`refused ${name}`), { ...settings, ...others }, tensors);
    const output = temporary.path("refused.gguf");
    await expect(writeGgufAdapter(folder, await baseFolder(name, change), output)).rejects.toMatchObject({
      code,
    });
  });
});
