import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { madeUpVocabulary } from "../../../bench/vocabulary.js";
import { type LoraAdapter, openLora } from "../../../src/convert/adapters/lora.js";
import { withLora } from "../../../src/convert/adapters/merge.js";
import { mergedInto } from "../../../src/convert/adapters/merge-converted.js";
import { assemble } from "../../../src/convert/architectures/assemble.js";
import type { Blueprint } from "../../../src/convert/architectures/blueprint.js";
import { blueprintOfModel } from "../../../src/convert/architectures/from-metadata.js";
import { knownModel } from "../../../src/convert/architectures/known.js";
import { storedOf } from "../../../src/convert/architectures/recipe.js";
import type { ConvertibleModel, ConvertibleTensor } from "../../../src/convert/model.js";
import { openModelSource } from "../../../src/convert/open.js";
import { outputFiles } from "../../../src/convert/output-files.js";
import { targetTypes } from "../../../src/convert/target-types.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import type { QuantizeKernels } from "../../../src/quantize/kernels.js";
import { failure } from "../../engine/harness.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { converted, randomCheckpoint, randomWeights, rowsOf } from "../architectures/random-model.js";
import { tinyConfigs } from "../architectures/tiny-configs.js";
import { tinyTokens } from "../legacy/tiny.js";
import { legacyBytes } from "../legacy/writer.js";
import { memoryCheckpoint, memoryTensor } from "../memory-checkpoint.js";
import { safetensorsFile, type WrittenTensor } from "../readers/checkpoint-files.js";
import { randomTensor, writeLora } from "./lora-files.js";
import { asMeta } from "./meta-names.js";

const temporary = temporaryFolder();
const rank = 3;

/** A model as it opens from a GGUF, of tensors in memory. */
function modelOf(blueprint: Blueprint, seed?: number): ConvertibleModel {
  const parts = converted(blueprint, randomCheckpoint(blueprint, seed), "tiny");
  return { path: "tiny.gguf", format: "GGUF", ...parts, fingerprint: "tiny", close: async () => {} };
}

/** A pair for every matrix that has a name of its own, as PEFT would make them. */
function adapterFor(blueprint: Blueprint, isTransposed: boolean): LoraAdapter {
  const { prefix = "" } = blueprint;
  let seed = 100;
  const matrix = (name: string, rows: number, columns: number) => {
    const { shape, data } = randomTensor([rows, columns], seed++, 0.3);
    return memoryTensor(name, { type: "F32", shape, bytes: data });
  };
  const stored = new Map(
    blueprint.tensors
      .flatMap(({ recipe }) => storedOf(recipe.kind === "either" ? recipe.choices[0]! : recipe))
      .map((each) => [each.name, each.shape]),
  );
  const pairs: LoraAdapter["pairs"] = new Map(
    [...stored].flatMap(([name, shape]) => {
      if (shape.length !== 2 || !name.endsWith(".weight")) return [];
      const [rows = 0, columns = 0] = isTransposed ? shape.toReversed() : shape;
      const [a, b] = [matrix("a", rank, columns), matrix("b", rows, rank)];
      const module = prefix + name.slice(0, -".weight".length);
      return [[module, { a, b, rank, scale: 0.7, isEmbedding: false }] as const];
    }),
  );
  const config = { alpha: 8, isTransposed, baseName: undefined, rankOf: () => rank, scaleOf: () => 0.7 };
  return { path: "lora", config, pairs, replaced: new Map(), fingerprint: "lora", close: async () => {} };
}

async function floatsOf(tensor: ConvertibleTensor): Promise<Float32Array> {
  const chunks: Uint8Array[] = [];
  for await (const rows of rowsOf(tensor)) chunks.push(rows);
  return new Float32Array(Uint8Array.from(Buffer.concat(chunks)).buffer);
}

/** The greatest difference of two tensors' elements. */
async function distance(one: ConvertibleTensor, other: ConvertibleTensor): Promise<number> {
  const [a, b] = [await floatsOf(one), await floatsOf(other)];
  expect([one.name, one.type, a.length]).toEqual([other.name, other.type, b.length]);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
}

describe.each(Object.entries(tinyConfigs))("a converted %s", (name, config) => {
  const { blueprint } = knownModel(config, name);
  const isStored = ({ recipe }: Blueprint["tensors"][number]) => recipe.kind !== "numbers";

  it("tells from its metadata how it was converted", () => {
    const found = blueprintOfModel(modelOf(blueprint));
    expect(found.tensors.filter(isStored)).toEqual(
      // where a choice is the checkpoint's, the model shows what it was
      blueprint.tensors.filter(isStored).map(({ isOptional, ...tensor }) => tensor),
    );
    expect([found.architecture, found.prefix]).toEqual([blueprint.architecture, blueprint.prefix]);
  });

  it("takes an adapter to what its original with the adapter becomes", async () => {
    const adapter = adapterFor(blueprint, config.model_type === "gpt2");
    const expected = assemble(blueprint, withLora(randomCheckpoint(blueprint), adapter, 0.5));
    const merged = mergedInto(modelOf(blueprint), adapter, { scale: 0.5, kernels: undefined });
    const types = merged.tensors.map(({ keepAs }) => keepAs);
    expect(types).toEqual(expected.map(({ keepAs }) => keepAs));
    for (const [index, tensor] of merged.tensors.entries()) {
      if (tensor.type !== "F32") continue;
      // the same sums in another order where a matrix is transposed on the way
      const tolerance = config.model_type === "gpt2" ? 1e-6 : 0;
      expect(await distance(tensor, expected[index]!), tensor.name).toBeLessThanOrEqual(tolerance);
    }
    const plain = modelOf(blueprint);
    const q = plain.tensors.findIndex((tensor) => /attn_(q|qkv)\.weight$/.test(tensor.name));
    expect(await distance(merged.tensors[q]!, plain.tensors[q]!)).toBeGreaterThan(0.01);
  });
});

/** The smallest LLaMA that every format can hold: 64 wide, a layer, two heads. */
const [hidden, feedForward, heads, vocabulary] = [64, 192, 2, 560];
const config = {
  ...tinyConfigs.llama!,
  ...{ hidden_size: hidden, intermediate_size: feedForward, num_hidden_layers: 1, vocab_size: vocabulary },
  ...{ num_attention_heads: heads, num_key_value_heads: heads, rms_norm_eps: 1e-6 },
  ...{ rope_theta: 10_000, rope_scaling: null, max_position_embeddings: 2048 },
};

describe("Alpaca-LoRA and its like", () => {
  const { blueprint } = knownModel(config, "llama");
  const weights = randomWeights(blueprint);
  let folder = "";
  let expected: ConvertibleTensor[] = [];

  beforeAll(async () => {
    const pair = (name: string, rows: number, columns: number, seed: number) => ({
      [`base_model.model.${name}.lora_A.weight`]: randomTensor([4, columns], seed, 0.5),
      [`base_model.model.${name}.lora_B.weight`]: randomTensor([rows, 4], seed + 1, 0.5),
    });
    const attention = "model.layers.0.self_attn";
    folder = await writeLora(
      temporary.path("alpaca-lora"),
      { r: 4, lora_alpha: 8 },
      {
        ...pair(`${attention}.q_proj`, hidden, hidden, 1),
        ...pair(`${attention}.k_proj`, hidden, hidden, 3),
        ...pair(`${attention}.o_proj`, hidden, hidden, 5),
        ...pair("model.layers.0.mlp.down_proj", hidden, feedForward, 7),
        "base_model.model.model.norm.modules_to_save.weight": randomTensor([hidden], 9),
      },
    );
    expected = assemble(blueprint, withLora(memoryCheckpoint(weights), await openLora(folder), 1));
  });

  async function expectMerged(path: string): Promise<void> {
    const model = await openModelSource(path, { loras: [{ path: folder, scale: 1 }] });
    const byName = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
    expect([...byName.keys()].sort()).toEqual(expected.map(({ name }) => name).sort());
    for (const tensor of expected)
      expect(await distance(byName.get(tensor.name)!, tensor), tensor.name).toBe(0);
    expect(model.format).toMatch(/, LoRA$/);
    const plain = await openModelSource(path);
    expect(model.fingerprint).not.toBe(plain.fingerprint);
    const otherWay = await openModelSource(folder, { base: path });
    expect(otherWay.fingerprint).toBe(model.fingerprint);
    await Promise.all([model, plain, otherWay].map((each) => each.close()));
  }

  it("are merged into Meta's LLaMA as into Hugging Face's", async () => {
    const path = temporary.path("7B");
    await mkdir(path);
    const written = Array.from(asMeta(weights, heads, heads), ([name, { type, shape, bytes }]) => [
      ...[name, { dtype: type, shape: [...shape], data: bytes }],
    ]);
    const parameters = { dim: hidden, n_layers: 1, n_heads: heads, norm_eps: 1e-6, multiple_of: 64 };
    await writeFile(join(path, "consolidated.00.pth"), safetensorsFile(Object.fromEntries(written)));
    await writeFile(join(path, "params.json"), JSON.stringify(parameters));
    await copyTokenizer(path);
    await expectMerged(path);
  });

  it("are merged into a GGUF, split or not", async () => {
    const { metadata, tensors } = converted(blueprint, memoryCheckpoint(weights), "tiny");
    for (const [key, value] of madeUpVocabulary(vocabulary)) metadata.set(key, value);
    const files = tensors.map((tensor) => ({ ...tensor, data: () => rowsOf(tensor) }));
    const whole = temporary.path("tiny.gguf");
    await writeGguf(whole, { metadata, tensors: files });
    await expectMerged(whole);
    const model = await openModelSource(whole);
    const division = { kind: "limited", tensors: 5 } as const;
    const types = model.tensors.map(({ type }) => type);
    const parts = outputFiles(temporary.path("part"), model, types, model.metadata, division);
    expect(parts.length).toBeGreaterThan(1);
    for (const { path, metadata, tensors } of parts)
      await writeGguf(path, {
        metadata,
        tensors: tensors.map(({ source }) => ({ ...source, data: () => rowsOf(source) })),
      });
    await model.close();
    await expectMerged(parts[0]!.path);
  });

  it("are merged into a GGML file of 2023", async () => {
    const path = temporary.path("ggml-model-f32.bin");
    const written = Array.from(asMeta(weights, heads, heads), ([name, { shape, bytes }]) => ({
      ...{ name, number: 0, shape: shape.toReversed(), data: Buffer.from(bytes) },
    }));
    const hyperparameters = [vocabulary, hidden, 64, heads, 1, hidden / heads, 0];
    const file = { container: "ggjt v1", hyperparameters, tokens: tinyTokens(vocabulary), tensors: written };
    await writeFile(path, legacyBytes(file));
    await expectMerged(path);
  });

  it.each<[string, Record<string, WrittenTensor>, string, string]>([
    [
      "another shape",
      {
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": randomTensor([4, hidden], 1),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": randomTensor([2 * hidden, 4], 2),
      },
      "adapter-base-differs",
      "model.layers.0.self_attn.q_proj",
    ],
    [
      "more layers",
      {
        "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight": randomTensor([4, hidden], 1),
        "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight": randomTensor([hidden, 4], 2),
      },
      "adapter-base-differs",
      "model.layers.1.self_attn.q_proj",
    ],
    [
      "a whole tensor the model has not",
      { "base_model.model.score.weight": randomTensor([2, hidden], 1) },
      "adapter-base-differs",
      "score.weight",
    ],
    [
      "more tokens",
      { "base_model.model.lm_head.modules_to_save.weight": randomTensor([vocabulary + 1, hidden], 1) },
      "weights-shape",
      "lm_head.weight",
    ],
  ])("are refused where they are for %s", async (what, tensors, code, tensor) => {
    const path = await writeLora(temporary.path(what.replaceAll(" ", "-")), { r: 4 }, tensors);
    const adapter = await openLora(path);
    await expect(
      (async () => mergedInto(modelOf(blueprint), adapter, { scale: 1, kernels: undefined }))(),
    ).rejects.toMatchObject({ code, facts: { tensor } });
    await adapter.close();
  });
});

it("a model of an architecture without a way back is refused by name", async () => {
  const { blueprint } = knownModel(config, "llama");
  const model = modelOf(blueprint);
  const metadata = new Map(model.metadata).set("general.architecture", { type: "string", value: "rwkv7" });
  const error = await failure(
    (async () =>
      mergedInto({ ...model, metadata }, adapterFor(blueprint, false), { scale: 1, kernels: undefined }))(),
  );
  expect(error).toMatchObject({ code: "adapter-needs-original", facts: { architecture: "rwkv7" } });
});

describe("a model of blocks", () => {
  const { blueprint } = knownModel(tinyConfigs.llama!, "llama");
  /** "Q8_0" of these tests: a scale of one, so that a block's bytes are its numbers. */
  const plain = modelOf(blueprint);
  const integers: ConvertibleModel = {
    ...plain,
    tensors: plain.tensors.map((tensor) =>
      tensor.keepAs
        ? tensor
        : {
            ...tensor,
            type: "Q8_0",
            async readRows(target, firstRow) {
              const values = new Float32Array(((target.byteLength / 34) * 32) | 0);
              await tensor.readRows(new Uint8Array(values.buffer), firstRow);
              for (let block = 0; block < target.byteLength / 34; block++) {
                target.set([0x00, 0x3c], block * 34);
                for (let at = 0; at < 32; at++)
                  target[block * 34 + 2 + at] = Math.round(values[block * 32 + at]! * 100);
              }
            },
          },
    ),
  };
  const kernels: QuantizeKernels = {
    version: "test",
    prepare: async () => {},
    lane: ({ sourceBytes, targetBytes }) => {
      const [source, output] = [new Uint8Array(sourceBytes), new Uint8Array(targetBytes)];
      return {
        source,
        importance: new Float32Array(0),
        async convert({ from, to, rows, rowElements }) {
          expect([from, to]).toEqual(["Q8_0", "F32"]);
          const values = new Float32Array(output.buffer, 0, rows * rowElements);
          const signed = new Int8Array(source.buffer);
          for (let at = 0; at < values.length; at++)
            values[at] = signed[Math.floor(at / 32) * 34 + 2 + (at % 32)]!;
          return output.subarray(0, 4 * values.length);
        },
      };
    },
  };
  const adapter = adapterFor(blueprint, false);

  it("is dequantised where something is added to it, and says so", async () => {
    const merged = mergedInto(integers, adapter, { scale: 1, kernels });
    const exact: ConvertibleModel = {
      ...plain,
      tensors: plain.tensors.map((tensor) =>
        tensor.keepAs
          ? tensor
          : {
              ...tensor,
              async readRows(target, firstRow) {
                await tensor.readRows(target, firstRow);
                const values = new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4);
                for (let at = 0; at < values.length; at++)
                  values[at] = (Math.round(values[at]! * 100) << 24) >> 24;
              },
            },
      ),
    };
    const expected = mergedInto(exact, adapter, { scale: 1, kernels: undefined });
    for (const [index, tensor] of merged.tensors.entries())
      expect(await distance(tensor, expected.tensors[index]!), tensor.name).toBe(0);
    const count = plain.tensors.filter(({ keepAs }) => !keepAs).length;
    expect(merged.format).toBe(`GGUF, LoRA on ${count} dequantised tensors`);
  });

  it("is quantised again by request only; what nothing is added to keeps its blocks", () => {
    const [[module, pair] = []] = adapter.pairs;
    const small = { ...adapter, pairs: new Map([[module!, pair!]]) };
    const merged = mergedInto(integers, small, { scale: 1, kernels });
    const types = targetTypes(merged, { type: "auto" });
    const changed = merged.tensors.flatMap(({ name }, index) => (types[index] === "BF16" ? [name] : []));
    expect(changed).toEqual(["token_embd.weight"]);
    expect(types.filter((type) => type === "Q8_0").length).toBeGreaterThan(5);
    expect(() => targetTypes(merged, { type: "Q8_0" })).toThrow(
      expect.objectContaining({
        code: "requantise-refused",
        facts: expect.objectContaining({ tensor: "token_embd.weight", from: "Q8_0" }),
      }),
    );
    expect(targetTypes(merged, { type: "Q8_0", allowRequantize: true })).toContain("Q8_0");
  });
});

async function copyTokenizer(folder: string): Promise<void> {
  const model = new URL("../../fixtures/tokenizers/bpe.model", import.meta.url);
  await copyFile(fileURLToPath(model), join(folder, "tokenizer.model"));
}
