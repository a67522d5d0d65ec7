import { copyFile, mkdir, mkdtemp, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { knownModel } from "../../src/convert/architectures/known.js";
import type { ConvertibleModel } from "../../src/convert/model.js";
import { openModelSource, type SourceOptions } from "../../src/convert/open.js";
import { writeGguf } from "../../src/gguf/writer.js";
import { failure } from "../engine/harness.js";
import { storiesPath, temporaryFolder } from "../gguf/temporary.js";
import { asMeta } from "./adapters/meta-names.js";
import { engineLogits } from "./architectures/engine-logits.js";
import { randomWeights, rowsOf } from "./architectures/random-model.js";
import { tinyConfigs } from "./architectures/tiny-configs.js";
import { float32Tensor, type MemoryTensor } from "./memory-checkpoint.js";
import { safetensorsFile } from "./readers/checkpoint-files.js";

const temporary = temporaryFolder();
const tokenizerModel = fileURLToPath(new URL("../fixtures/tokenizers/bpe.model", import.meta.url));
/** Tokens of that model. */
const vocab_size = 560;
const config: Record<string, unknown> = { ...tinyConfigs.llama, vocab_size };
const { blueprint } = knownModel(config, "llama");

type Weights = Map<string, MemoryTensor>;

function fileOf(weights: Weights): Buffer {
  return safetensorsFile(
    Object.fromEntries(
      Array.from(weights, ([name, { type, shape, bytes }]) => [
        name,
        { dtype: type, shape: [...shape], data: bytes },
      ]),
    ),
  );
}

async function writeFolder(
  name: string,
  files: Record<string, unknown>,
  weights: Weights,
  weightsName = "model.safetensors",
): Promise<string> {
  const folder = temporary.path(name);
  await mkdir(folder, { recursive: true });
  for (const [file, value] of Object.entries(files))
    await writeFile(join(folder, file), typeof value === "string" ? value : JSON.stringify(value));
  await writeFile(join(folder, weightsName), fileOf(weights));
  await copyFile(tokenizerModel, join(folder, "tokenizer.model"));
  return folder;
}

async function writeModel(path: string, { metadata, tensors }: ConvertibleModel): Promise<void> {
  await writeGguf(path, {
    metadata,
    tensors: tensors.map((tensor) => ({ ...tensor, data: () => rowsOf(tensor) })),
  });
}

async function bytesOf(model: ConvertibleModel): Promise<Record<string, string>> {
  const all: [string, string][] = [];
  for (const tensor of model.tensors) {
    const chunks: Uint8Array[] = [];
    for await (const rows of rowsOf(tensor)) chunks.push(rows);
    all.push([tensor.name, Buffer.concat(chunks).toString("base64")]);
  }
  return Object.fromEntries(all);
}

const text = (model: ConvertibleModel, key: string) => model.metadata.get(key)?.value;

describe("a Hugging Face folder", () => {
  it("opens with its weights, its tokenizer and what is known of it, and runs", async () => {
    const generation = {
      temperature: 0.6,
      top_k: 20,
      repetition_penalty: 1.5,
      eos_token_id: 2,
      top_p: "high",
    };
    const folder = await writeFolder(
      "Tiny-Llama-1M-Chat",
      { "config.json": config, "generation_config.json": generation },
      randomWeights(blueprint),
    );
    for (const path of [folder, join(folder, "config.json"), join(folder, "model.safetensors")]) {
      const model = await openModelSource(path);
      expect(model).toMatchObject({ path: folder, format: "safetensors, LlamaForCausalLM" });
      expect(text(model, "general.name")).toBe("Tiny Llama 1M Chat");
      expect(text(model, "general.basename")).toBe("Tiny-Llama");
      expect(text(model, "general.finetune")).toBe("1m-Chat");
      expect(text(model, "general.sampling.temp")).toBe(0.6);
      expect(text(model, "general.sampling.top_k")).toBe(20);
      expect(text(model, "general.sampling.penalty_repeat")).toBe(1.5);
      expect(model.metadata.has("general.sampling.top_p")).toBe(false);
      expect(text(model, "llama.context_length")).toBe(128);
      expect(text(model, "tokenizer.ggml.model")).toBe("llama");
      expect(model.metadata.has("general.file_type")).toBe(false);
      await model.close();
    }
    const model = await openModelSource(folder);
    const path = temporary.path("tiny.gguf");
    await writeModel(path, model);
    await model.close();
    const [logits] = await engineLogits(path, [1, 300, 17]);
    expect(logits).toHaveLength(vocab_size);
    expect(logits!.every(Number.isFinite)).toBe(true);
  });

  it("says by its fingerprint that a file of it changed", async () => {
    const folder = await writeFolder("changing", { "config.json": config }, randomWeights(blueprint));
    const fingerprint = async () => {
      const model = await openModelSource(folder);
      await model.close();
      return model.fingerprint;
    };
    const first = await fingerprint();
    expect(await fingerprint()).toBe(first);
    for (const file of ["tokenizer.model", "model.safetensors", "config.json"]) {
      const before = await fingerprint();
      await utimes(join(folder, file), 1, 1);
      expect(await fingerprint(), file).not.toBe(before);
    }
  });

  it("may have its text model inside another one, and tables that are computed", async () => {
    const gemma = { ...tinyConfigs.gemma3, vocab_size };
    const { blueprint: plain } = knownModel(gemma, "gemma3");
    const weights = randomWeights(plain);
    const inside = new Map(Array.from(weights, ([name, tensor]) => [`language_model.${name}`, tensor]));
    inside.set("vision_tower.vision_model.embeddings.weight", float32Tensor([1], [1]));
    inside.set("language_model.model.layers.0.self_attn.rotary_emb.inv_freq", float32Tensor([1], [1]));
    const outer = {
      architectures: ["Gemma3ForConditionalGeneration"],
      model_type: "gemma3",
      text_config: { ...gemma, architectures: undefined },
    };
    const nested = await openModelSource(await writeFolder("nested", { "config.json": outer }, inside));
    const alone = await openModelSource(await writeFolder("alone", { "config.json": gemma }, weights));
    expect(await bytesOf(nested)).toEqual(await bytesOf(alone));
    await Promise.all([nested.close(), alone.close()]);
  });

  it("may hold its matrices in 8 bits with scales, as which it is multiplied out", async () => {
    const [plain, float8]: Weights[] = [new Map(), new Map()];
    for (const [name, tensor] of randomWeights(blueprint)) {
      if (!/_proj\.weight$/.test(name)) {
        for (const weights of [plain!, float8!]) weights.set(name, tensor);
        continue;
      }
      // 0x38 is 1, its neighbours are powers of two
      const bits = tensor.bytes.filter((_, at) => at % 4 === 0).map((byte) => 0x30 + 8 * (byte % 3));
      const [rows, columns] = tensor.shape as [number, number];
      const shape = [Math.ceil(rows / 24), Math.ceil(columns / 48)];
      const scales = Array.from({ length: shape[0]! * shape[1]! }, (_, index) => (index + 1) / 256);
      float8!.set(name, { type: "F8_E4M3", shape: tensor.shape, bytes: bits });
      float8!.set(`${name}_scale_inv`, float32Tensor(shape, scales));
      const values = Float32Array.from(bits, (bit, at) => {
        const [row, column] = [Math.floor(at / columns), at % columns];
        return 2 ** ((bit - 0x38) / 8) * scales[Math.floor(row / 24) * shape[1]! + Math.floor(column / 48)]!;
      });
      plain!.set(name, float32Tensor(tensor.shape, values));
    }
    const quantization_config = { quant_method: "fp8", fmt: "e4m3", weight_block_size: [24, 48] };
    const settings = { ...config, quantization_config };
    const eight = await openModelSource(await writeFolder("fp8", { "config.json": settings }, float8!));
    const whole = await openModelSource(await writeFolder("no-fp8", { "config.json": config }, plain!));
    expect(eight.format).toBe("safetensors, FP8, LlamaForCausalLM");
    expect(await bytesOf(eight)).toEqual(await bytesOf(whole));
    await Promise.all([eight.close(), whole.close()]);
  });

  it("drops embedding rows that no token has, and leaves out an output that is the embedding", async () => {
    const gemma = { ...tinyConfigs.gemma3, vocab_size: 262_150, hidden_size: 8, num_hidden_layers: 1 };
    const { blueprint: spare } = knownModel(gemma, "gemma3");
    const shapes = new Map(spare.tensors.map(({ name, shape }) => [name, shape]));
    expect(shapes.get("token_embd.weight")).toEqual([8, 262_144]);
    expect(shapes.has("output.weight")).toBe(false);
  });
});

describe("a folder whose weights are not what its configuration says is refused", () => {
  const changed = async (name: string, change: (weights: Weights) => void, settings = config) => {
    const weights = randomWeights(blueprint);
    change(weights);
    const folder = await writeFolder(name, { "config.json": settings }, weights);
    return { folder, ...(await failure(openModelSource(folder))) };
  };
  const norm = "model.layers.1.input_layernorm.weight";

  it("a tensor is missing", async () => {
    const { folder, ...error } = await changed("missing", (weights) => weights.delete(norm));
    expect(error).toMatchObject({ code: "weights-missing", facts: { path: folder, tensor: norm } });
  });

  it("a tensor is too many", async () => {
    const { folder, ...error } = await changed("unexpected", (weights) => {
      weights.set("model.layers.0.extra.weight", float32Tensor([1], [1]));
      weights.set("model.layers.1.extra.weight", float32Tensor([1], [1]));
    });
    expect(error).toMatchObject({
      code: "weights-unexpected",
      facts: { path: folder, tensor: "model.layers.0.extra.weight", others: 1 },
    });
  });

  it("a tensor has another shape: here, fewer tokens", async () => {
    const { folder, ...error } = await changed("shape", () => {}, { ...config, vocab_size: 600 });
    const facts = {
      path: folder,
      tensor: "model.embed_tokens.weight",
      found: "560, 64",
      expected: "600, 64",
    };
    expect(error).toMatchObject({ code: "weights-shape", facts });
  });

  it("a tensor holds integers", async () => {
    const { folder, ...error } = await changed("type", (weights) => {
      weights.set(norm, { type: "U8", shape: [64], bytes: new Uint8Array(64) });
    });
    expect(error).toMatchObject({ code: "weights-type", facts: { path: folder, tensor: norm, type: "U8" } });
  });

  it("the weights are quantised", async () => {
    const quantised = { ...config, quantization_config: { quant_method: "gptq" } };
    const { folder, ...error } = await changed("quantised", () => {}, quantised);
    expect(error).toMatchObject({
      code: "weights-quantised",
      facts: { path: join(folder, "config.json"), method: "gptq" },
    });
  });

  it("the kind is unknown", async () => {
    const unknown = { ...config, model_type: "rnn9000", architectures: ["Rnn9000ForCausalLM"] };
    const { folder, ...error } = await changed("unknown", () => {}, unknown);
    expect(error).toMatchObject({ code: "source-config-unknown" });
    expect(error.message).toContain("Rnn9000ForCausalLM");
  });
});

describe("a checkpoint of Meta's", () => {
  it("becomes what the same model from Hugging Face becomes", async () => {
    const settings = {
      ...config,
      rope_scaling: {
        ...(config.rope_scaling as object),
        factor: 32,
        original_max_position_embeddings: 8192,
      },
      max_position_embeddings: 131_072,
    };
    const weights = randomWeights(blueprint);
    const theirs = await openModelSource(await writeFolder("theirs", { "config.json": settings }, weights));
    const parameters = {
      ...{ dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 2, norm_eps: 1e-5, vocab_size: -1 },
      ...{ rope_theta: 500_000, use_scaled_rope: true, multiple_of: 32 },
    };
    const folder = await writeFolder(
      "Llama-3.2",
      { "params.json": parameters },
      asMeta(weights, 4, 2),
      "consolidated.00.pth",
    );
    const ours = await openModelSource(folder);
    expect(await bytesOf(ours)).toEqual(await bytesOf(theirs));
    expect(ours.format).toMatch(/, Meta$/);
    const keys = (model: ConvertibleModel) =>
      Object.fromEntries([...model.metadata].filter(([key]) => key.startsWith("llama.")));
    expect(keys(ours)).toEqual(keys(theirs));
    expect(text(ours, "tokenizer.ggml.model")).toBe("llama");
    await Promise.all([ours.close(), theirs.close()]);
    const stated = await openModelSource(folder, {
      ...{ name: "Mine", contextLength: 4000, rmsEpsilon: 1e-6, ropeFrequencyBase: 20_000 },
    });
    await stated.close();
    expect(text(stated, "general.name")).toBe("Mine");
    expect(text(stated, "llama.context_length")).toBe(4000);
    expect(text(stated, "llama.attention.layer_norm_rms_epsilon")).toBeCloseTo(1e-6, 12);
    expect(text(stated, "llama.rope.freq_base")).toBe(20_000);
  });
});

describe("what a person says of a source", () => {
  it("is its name, whatever it is", async () => {
    const folder = await writeFolder("nameless", { "config.json": config }, randomWeights(blueprint));
    for (const path of [folder, storiesPath]) {
      const model = await openModelSource(path, { name: "Another" });
      expect(text(model, "general.name")).toBe("Another");
      await model.close();
    }
  });

  it("is refused where the source says it, or has no use for it", async () => {
    const folder = await writeFolder("stating", { "config.json": config }, randomWeights(blueprint));
    const refused = async (path: string, options: SourceOptions) => {
      const { code, facts } = await failure(openModelSource(path, options));
      expect(code).toBe("option-unused");
      return facts;
    };
    for (const path of [folder, storiesPath]) {
      expect(await refused(path, { contextLength: 1 })).toMatchObject({
        option: "--context-length",
        reason: "stated",
      });
      expect(await refused(path, { rmsEpsilon: 1 })).toMatchObject({ option: "--rms-epsilon" });
      expect(await refused(path, { ropeFrequencyBase: 1 })).toMatchObject({ option: "--rope-freq-base" });
    }
    expect(await refused(folder, { pre: "llama-bpe" })).toMatchObject({
      option: "--pre",
      reason: "tokenizer",
    });
    expect(await refused(storiesPath, { pre: "llama-bpe" })).toMatchObject({
      option: "--pre",
      reason: "stated",
    });
  });
});

describe("opening a source", () => {
  it("takes a GGUF, and a folder that has one", async () => {
    const folder = temporary.path("one");
    await mkdir(folder);
    await copyFile(storiesPath, join(folder, "stories.gguf"));
    for (const path of [storiesPath, folder]) {
      const model = await openModelSource(path);
      expect(model.tensors.length).toBeGreaterThan(40);
      await model.close();
    }
    await copyFile(storiesPath, join(folder, "other.gguf"));
    expect(await failure(openModelSource(folder))).toMatchObject({ code: "source-unconvertible" });
  });

  it("says what a folder lacks, and what is no folder", async () => {
    const holding = async (...names: string[]) => {
      const folder = await mkdtemp(temporary.path("lacking-"));
      for (const name of names) await writeFile(join(folder, name), "{}");
      return failure(openModelSource(folder));
    };
    const missing = (file: string) => ({ code: "checkpoint-file-missing", facts: { file } });
    expect(await holding("model-00001-of-00002.safetensors")).toMatchObject(missing("config.json"));
    expect(await holding("pytorch_model.bin")).toMatchObject(missing("config.json"));
    expect(await holding("consolidated.00.pth")).toMatchObject(missing("params.json"));
    expect(await holding("adapter_config.json", "adapter_model.safetensors")).toMatchObject({
      code: "source-is-adapter",
    });
    expect(await holding()).toMatchObject({ code: "source-unconvertible" });
    await mkdir(temporary.path("lone"));
    await writeFile(temporary.path("lone/weights.pt"), "PK\x03\x04");
    expect(await failure(openModelSource(temporary.path("lone/weights.pt")))).toMatchObject(
      missing("config.json"),
    );
    for (const address of ["hf:owner/model", "https://example.org/model.gguf"])
      expect(await failure(openModelSource(address))).toMatchObject({ code: "source-remote" });
  });

  it("refuses what is no model", async () => {
    expect(await failure(openModelSource(temporary.path("nothing")))).toMatchObject({
      code: "file-unreadable",
    });
    const page = await temporary.file("page.html", "<html>");
    expect(await failure(openModelSource(page))).toMatchObject({
      code: "source-format-unknown",
      facts: { path: page, looksLike: expect.stringMatching(/page/), advice: expect.stringMatching(/./) },
    });
    const text = await temporary.file("text", "something else");
    expect(await failure(openModelSource(text))).toMatchObject({
      code: "source-format-unknown",
      facts: { advice: "" },
    });
  });
});
