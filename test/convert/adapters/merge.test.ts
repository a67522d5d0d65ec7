import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openLora } from "../../../src/convert/adapters/lora.js";
import { withLora } from "../../../src/convert/adapters/merge.js";
import type { Checkpoint } from "../../../src/convert/checkpoint.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { memoryCheckpoint } from "../memory-checkpoint.js";
import { elementsOf, type WrittenTensor } from "../readers/checkpoint-files.js";
import { randomTensor, valuesOf, writeLora } from "./lora-files.js";

const temporary = temporaryFolder();
const [outputs, inputs, tokens] = [6, 10, 12];
const matrix = randomTensor([outputs, inputs], 1);
const embedding = randomTensor([tokens, inputs], 2);
const head = randomTensor([tokens, inputs], 3);

function base(): Checkpoint {
  const tensor = ({ shape, data }: WrittenTensor) => ({ type: "F32" as const, shape, bytes: data });
  return memoryCheckpoint([
    ["model.embed_tokens.weight", tensor(embedding)],
    ["model.layers.0.self_attn.q_proj.weight", tensor(matrix)],
    ["model.layers.0.self_attn.q_proj.bias", tensor(randomTensor([outputs], 4))],
    ["lm_head.weight", tensor(head)],
  ]);
}

const prefix = "base_model.model.model.layers.0.self_attn.q_proj";
const pair = (rank: number) => ({
  [`${prefix}.lora_A.weight`]: randomTensor([rank, inputs], 11),
  [`${prefix}.lora_B.weight`]: randomTensor([outputs, rank], 12),
});

/** `base + scale × b × a`, element by element, in doubles. */
function expected(from: WrittenTensor, b: WrittenTensor, a: WrittenTensor, scale: number): number[] {
  const [rows, columns] = from.shape as [number, number];
  const rank = b.shape[1]!;
  const [values, left, right] = [valuesOf(from), valuesOf(b), valuesOf(a)];
  return Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += left[row * rank + k]! * right[k * columns + column]!;
    return values[index]! + scale * sum;
  });
}

function close(found: number[], wanted: number[]): void {
  expect(found.length).toBe(wanted.length);
  for (const [index, value] of found.entries()) expect(value).toBeCloseTo(wanted[index]!, 5);
}

async function merged(name: string, config: object, tensors: Record<string, WrittenTensor>, scale?: number) {
  const folder = await writeLora(temporary.path(name), { r: 4, lora_alpha: 8, ...config }, tensors);
  const adapter = await openLora(folder);
  try {
    return withLora(base(), adapter, scale);
  } catch (error) {
    await adapter.close();
    throw error;
  }
}

describe("a merged LoRA is base + alpha / rank × B × A", () => {
  const [a, b] = Object.values(pair(4)) as [WrittenTensor, WrittenTensor];
  it.each<[string, object, number, number | undefined]>([
    ["as configured", {}, 2, undefined],
    ["times the scale that is asked for", {}, 2 * -0.5, -0.5],
    ["rank-stabilised", { use_rslora: true }, 4, undefined],
    ["with an alpha of its own", { alpha_pattern: { "self_attn.q_proj": 16 } }, 4, undefined],
    ["with a pattern for its alpha", { alpha_pattern: { "model.layers.\\d+.*q_proj": 2 } }, 0.5, undefined],
    ["with a rank of its own", { r: 16, rank_pattern: { q_proj: 4 } }, 2, undefined],
    ["with patterns for others", { alpha_pattern: { k_proj: 1, proj: 1, "q_pro.": 8 } }, 2, undefined],
  ])("%s", async (name, config, scale, asked) => {
    const checkpoint = await merged(name, config, pair(4), asked);
    const tensor = checkpoint.tensors.get("model.layers.0.self_attn.q_proj.weight")!;
    expect([tensor.type, tensor.shape]).toEqual(["F32", [outputs, inputs]]);
    const wanted = expected(matrix, b, a, scale);
    close(await elementsOf(tensor), wanted);
    for (let first = 0; first < 60; first += 7)
      for (const count of [1, 4, 13])
        if (first + count <= 60)
          close(await elementsOf(tensor, first, count), wanted.slice(first, first + count));
    expect(checkpoint.tensors.get("lm_head.weight")!.type).toBe("F32");
    await checkpoint.close();
  });

  it("of any rank", async () => {
    for (const rank of [1, 3, 5, 8]) {
      const [a, b] = Object.values(pair(rank)) as [WrittenTensor, WrittenTensor];
      const checkpoint = await merged(`rank-${rank}`, { r: rank }, pair(rank));
      close(
        await elementsOf(checkpoint.tensors.get("model.layers.0.self_attn.q_proj.weight")!),
        expected(matrix, b, a, 8 / rank),
      );
      await checkpoint.close();
    }
  });
});

it("an embedding gets the transpose, a Conv1D too", async () => {
  const [a, b] = [randomTensor([4, tokens], 21), randomTensor([inputs, 4], 22)];
  const transposed = ({ shape: [rows, columns], ...tensor }: WrittenTensor): WrittenTensor => {
    const values = valuesOf({ shape: [], ...tensor });
    const turned = Float32Array.from({ length: values.length }, (_, index) => {
      const [column, row] = [Math.floor(index / rows!), index % rows!];
      return values[row * columns! + column]!;
    });
    return { dtype: "F32", shape: [columns!, rows!], data: Buffer.from(turned.buffer) };
  };
  const wanted = expected(embedding, transposed(a), transposed(b), 2);
  const name = "base_model.model.model.embed_tokens";
  for (const [folder, config, tensors] of [
    ["embedding", {}, { [`${name}.lora_embedding_A`]: a, [`${name}.lora_embedding_B`]: b }],
    ["conv1d", { fan_in_fan_out: true }, { [`${name}.lora_A.weight`]: a, [`${name}.lora_B.weight`]: b }],
  ] as const) {
    const checkpoint = await merged(folder, config, tensors);
    close(await elementsOf(checkpoint.tensors.get("model.embed_tokens.weight")!), wanted);
    await checkpoint.close();
  }
});

it("tensors trained as a whole replace the base's, with more rows too, and a LoRA adds to what replaces", async () => {
  const grown = randomTensor([tokens + 2, inputs], 31);
  const [a, b] = [randomTensor([4, inputs], 32), randomTensor([tokens + 2, 4], 33)];
  const checkpoint = await merged(
    "replaced",
    {},
    {
      "base_model.model.lm_head.base_layer.weight": grown,
      "base_model.model.lm_head.lora_A.weight": a,
      "base_model.model.lm_head.lora_B.weight": b,
      "base_model.model.model.embed_tokens.modules_to_save.weight": grown,
    },
  );
  close(await elementsOf(checkpoint.tensors.get("lm_head.weight")!), expected(grown, b, a, 2));
  const embedded = checkpoint.tensors.get("model.embed_tokens.weight")!;
  expect([embedded.name, embedded.shape]).toEqual(["model.embed_tokens.weight", [tokens + 2, inputs]]);
  close(await elementsOf(embedded), [...valuesOf(grown)]);
  await checkpoint.close();
});

it("the base's names may lack what is in front", async () => {
  const shorter = memoryCheckpoint([
    ["layers.0.self_attn.q_proj.weight", { type: "F32", shape: matrix.shape, bytes: matrix.data }],
  ]);
  const folder = await writeLora(temporary.path("shorter"), { r: 4, lora_alpha: 8 }, pair(4));
  const checkpoint = withLora(shorter, await openLora(folder));
  const [a, b] = Object.values(pair(4)) as [WrittenTensor, WrittenTensor];
  close(
    await elementsOf(checkpoint.tensors.get("layers.0.self_attn.q_proj.weight")!),
    expected(matrix, b, a, 2),
  );
  await checkpoint.close();
});

describe("is refused by name", () => {
  it.each<[string, object, Record<string, WrittenTensor>, string]>([
    ["DoRA", { use_dora: true }, pair(4), "adapter-unsupported"],
    ["another kind", { peft_type: "IA3" }, pair(4), "adapter-unsupported"],
    ["a rank that is none", { r: 0 }, pair(4), "adapter-invalid"],
    ["another rank", { r: 8 }, pair(4), "adapter-invalid"],
    ["a pattern that could hang", { alpha_pattern: { "(a+)+b": 1 } }, pair(4), "adapter-invalid"],
    ["a pattern that is none", { alpha_pattern: { "q_proj(": 1 } }, pair(4), "adapter-invalid"],
    ["half a pair", {}, { [`${prefix}.lora_A.weight`]: randomTensor([4, inputs], 1) }, "adapter-invalid"],
    ["nothing", {}, {}, "adapter-invalid"],
    [
      "a magnitude",
      {},
      { ...pair(4), [`${prefix}.lora_magnitude_vector`]: randomTensor([outputs], 1) },
      "adapter-unsupported",
    ],
    [
      "a module that the base lacks",
      {},
      {
        "base_model.model.other.lora_A.weight": randomTensor([4, inputs], 1),
        "base_model.model.other.lora_B.weight": randomTensor([outputs, 4], 1),
      },
      "adapter-base-differs",
    ],
    [
      "other sizes",
      {},
      {
        [`${prefix}.lora_A.weight`]: randomTensor([4, inputs + 1], 1),
        [`${prefix}.lora_B.weight`]: randomTensor([outputs, 4], 1),
      },
      "adapter-base-differs",
    ],
    [
      "a tensor nobody has",
      {},
      { "base_model.model.new.weight": randomTensor([3], 1) },
      "adapter-base-differs",
    ],
  ])("%s", async (name, config, tensors, code) => {
    await expect(merged(`refused-${name}`, config, tensors)).rejects.toMatchObject({ code });
  });

  it.each([
    ["lora_alpha", null, /^(null is no number|null n'est pas un nombre)$/],
    ["r", "8", /^"8" (is no number|n'est pas un nombre)$/],
    ["r", 0, /^0 (is less than|est inférieur à) 1$/],
    ["r", undefined, /^(is missing|est absent)$/],
    ["rank_pattern.q_proj", 2.5, /^2.5 (is no whole number|n'est pas un nombre entier)$/],
    ["base_model_name_or_path", ["a".repeat(99)], /^\["a{38}… (is no text|n'est pas un texte)$/],
  ])("a configuration's field, in words: %s %j", async (field, value, problem) => {
    const [name, key] = field.split(".") as [string, string?];
    const config = { r: 4, [name]: key === undefined ? value : { [key]: value } };
    await expect(merged(`field-${field}-${value}`.slice(0, 40), config, pair(4))).rejects.toMatchObject({
      code: "adapter-invalid",
      facts: { field, problem: expect.stringMatching(problem) },
    });
  });

  it("a folder without a configuration or without weights", async () => {
    const folder = await writeLora(temporary.path("bare"), { r: 4 }, pair(4));
    const weights = join(folder, "adapter_model.safetensors");
    await writeFile(join(folder, "adapter_model.bin"), await readFile(weights));
    await expect(openLora(temporary.path("nowhere"))).rejects.toMatchObject({ code: "file-unreadable" });
    const empty = await mkdtemp(temporary.path("empty-"));
    for (const path of [empty, join(folder, "adapter_config.json")])
      await expect(openLora(path)).rejects.toMatchObject({ code: "adapter-unrecognised", facts: { path } });
    await writeFile(join(folder, "adapter_config.json"), "{");
    await expect(openLora(folder)).rejects.toMatchObject({ code: "checkpoint-malformed" });
  });
});
