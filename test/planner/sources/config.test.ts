import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configArchitectures } from "../../../src/convert/architectures/known.js";
import { exampleConfigs } from "../../../src/planner/sources/examples.js";
import { sourceFromConfig } from "../../../src/planner/sources/from-config.js";
import { openSource } from "../../../src/planner/sources/open.js";
import { requantised } from "../../../src/planner/sources/requantised.js";
import type { MixName } from "../../../src/quantize/mixes.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import { publicConfigs } from "./public-configs.js";

const temporary = temporaryFolder();
const llama70 = exampleConfigs["llama-2-70b"];

describe("the size of a model from its configuration", () => {
  // Sizes of the files that others published, in bytes: TheBloke/Llama-2-70B-GGUF as its page gives them in GB.
  it.each([
    ["Q4_K_M", 41.42e9],
    ["Q3_K_M", 33.19e9],
    ["Q5_K_M", 48.75e9],
    ["Q8_0", 73.29e9],
  ] as [MixName, number][])("is that of the published file: Llama-2-70B, %s", (mix, published) => {
    const { bytes, parameters } = sourceFromConfig(llama70, { mix, name: "Llama-2-70B" }).outline;
    expect(Math.abs(bytes.total / published - 1)).toBeLessThan(0.005);
    expect(parameters).toBe(68_976_648_192);
  });

  it("of Llama-2-70B at Q2_K is today's: published files of 2023 have 29.28 GB, more bits in most tensors", () => {
    const { total } = sourceFromConfig(llama70, { mix: "Q2_K" }).outline.bytes;
    // what llama_model_quantize of v0.5.0 makes of it; test/quantize holds every tensor's type to it
    expect(Math.abs(total / 25.46e9 - 1)).toBeLessThan(0.005);
  });

  it("is that of the published file: gpt-oss-120b, with its experts as they come", () => {
    const source = sourceFromConfig(exampleConfigs["gpt-oss-120b"], { name: "gpt-oss-120b" });
    expect(source.outline.fileType).toBe("MXFP4_MOE");
    expect(source.outline.parameters).toBe(116_829_156_672);
    // ggml-org/gpt-oss-120b-GGUF
    expect(Math.abs(source.outline.bytes.total / 63.39e9 - 1)).toBeLessThan(0.005);
    expect(source.outline).toMatchObject({ slidingWindow: 128, experts: 128, expertsUsed: 4, layers: 36 });
  });

  // Parameters as the models' pages count them: safetensors' totals.
  it.each([
    ["llama-3.2-1b", 1_235_814_432],
    ["mistral-7b-v0.3", 7_248_023_552],
    ["mixtral-8x7b", 46_702_792_704],
    ["qwen2.5-0.5b", 494_032_768],
    ["qwen1.5-moe-a2.7b", 14_315_784_192],
    ["qwen3-0.6b", 596_049_920],
    ["qwen3-30b-a3b", 30_532_122_624],
    ["gemma-2-2b", 2_614_341_888],
    ["olmo-2-7b", 7_298_617_344],
    ["gpt2", 124_439_808],
    ["falcon-7b", 7_217_189_760],
    ["stablelm-2-1.6b", 1_644_515_328],
  ])("has the weights that the model has: %s", (name, parameters) => {
    expect(sourceFromConfig(publicConfigs[name], { mix: "F16" }).outline.parameters).toBe(parameters);
  });
});

describe("a configuration", () => {
  it("says its kind by type or by class", () => {
    const { model_type: _, ...untyped } = publicConfigs["qwen1.5-moe-a2.7b"]!;
    expect(sourceFromConfig(untyped).outline.architecture).toBe("qwen2moe");
    expect(sourceFromConfig({ ...llama70, architectures: undefined }).outline.architecture).toBe("llama");
  });

  it("of an unknown kind is refused with the known ones", () => {
    const config = { ...llama70, model_type: "rnn9000", architectures: ["Rnn9000ForCausalLM"] };
    expect(() => sourceFromConfig(config, { name: "x" })).toThrow(
      expect.objectContaining({
        code: "source-config-unknown",
        facts: { path: "x", architecture: "Rnn9000ForCausalLM", known: configArchitectures },
      }),
    );
    const classifier = { ...llama70, architectures: ["LlamaForSequenceClassification"] };
    expect(() => sourceFromConfig(classifier)).toThrow(
      expect.objectContaining({ code: "source-config-unknown" }),
    );
    expect(() => sourceFromConfig({ model_type: "constructor" })).toThrow(
      expect.objectContaining({ code: "source-config-unknown" }),
    );
  });

  it.each([
    [{ hidden_size: undefined }, "hidden_size"],
    [{ hidden_size: "8192" }, "hidden_size"],
    [{ hidden_size: 2 ** 40 }, "hidden_size"],
    [{ hidden_size: 8193 }, "hidden_size"],
    [{ num_hidden_layers: 0 }, "num_hidden_layers"],
    [{ num_hidden_layers: 1e6 }, "num_hidden_layers"],
    [{ num_hidden_layers: 1.5 }, "num_hidden_layers"],
    [{ vocab_size: -1 }, "vocab_size"],
    [{ num_key_value_heads: 7 }, "llama.attention.head_count"],
    [{ rms_norm_eps: "small" }, "rms_norm_eps"],
    [{ rms_norm_eps: 7 }, "llama.attention.layer_norm_rms_epsilon"],
    [{ rope_scaling: [] }, "rope_scaling"],
    [{ tie_word_embeddings: "no" }, "tie_word_embeddings"],
    [{ num_local_experts: 8 }, "num_experts_per_tok"],
    [{ num_local_experts: 4096, num_experts_per_tok: 2 }, "num_local_experts"],
  ])("that is wrong is refused by field: %j", (change, field) => {
    expect(() => sourceFromConfig({ ...llama70, ...change }, { name: "x" })).toThrow(
      expect.objectContaining({
        code: "source-config-invalid",
        facts: expect.objectContaining({ path: "x", field }),
      }),
    );
  });

  it.each([
    ["qwen3-30b-a3b", { mlp_only_layers: [0] }, "mlp_only_layers"],
    ["qwen3-30b-a3b", { decoder_sparse_step: 2 }, "decoder_sparse_step"],
    ["falcon-7b", { alibi: true }, "alibi"],
    ["falcon-7b", { bias: true }, "bias"],
  ])("that llama.cpp has no graph for is refused: %s %j", (name, change, field) => {
    expect(() => sourceFromConfig({ ...publicConfigs[name], ...change })).toThrow(
      expect.objectContaining({ code: "source-config-invalid", facts: expect.objectContaining({ field }) }),
    );
  });

  it.each([[null], [[]], ["text"], [7]])("that is no object is refused: %j", (config) => {
    expect(() => sourceFromConfig(config)).toThrow(
      expect.objectContaining({ code: "source-config-invalid" }),
    );
  });
});

describe("opening by name", () => {
  it("takes a configuration, its folder, a GGUF and its folder", async () => {
    const folder = temporary.path("llama");
    await mkdir(folder);
    const path = join(folder, "config.json");
    await writeFile(path, `\uFEFF${JSON.stringify(llama70)}`);
    for (const name of [path, folder]) {
      const source = await openSource(name);
      expect(source).toMatchObject({ source: name, outline: { layers: 80, fileType: "Q4_K_M" } });
      expect(source.path).toBeUndefined();
    }
    expect((await openSource(path, { mix: "Q2_K" })).outline.fileType).toBe("Q2_K");
    await writeFile(path, "[");
    await expect(openSource(path)).rejects.toMatchObject({ code: "source-config-invalid" });

    const models = temporary.path("models");
    await mkdir(models);
    await expect(openSource(models)).rejects.toMatchObject({ code: "source-config-invalid" });
    await writeFile(join(models, "a.gguf"), await readFile(storiesPath));
    await writeFile(join(models, "config.json"), "{}");
    await writeFile(join(models, "mmproj-a.gguf"), "not looked at");
    expect((await openSource(models)).path).toBe(join(models, "a.gguf"));
    await writeFile(join(models, "b.gguf"), "");
    await expect(openSource(models)).rejects.toThrow(/a\.gguf, b\.gguf/);
  });

  it("says what is wrong with what it is given", async () => {
    const failing = async (name: string, options = {}) =>
      (await openSource(name, options).catch((error) => error)).code;
    expect(await failing(temporary.path("none.gguf"))).toBe("file-unreadable");
    expect(await failing(await temporary.file("page.gguf", "<html>"))).toBe("not-a-gguf");
    expect(await failing(await temporary.file("broken.json", '{ "model_type": '))).toBe(
      "source-config-invalid",
    );
    expect(await failing("hf:nobody")).toBe("source-unrecognised");
    expect(await failing("ftp://example.org/x.gguf")).toBe("source-unrecognised");
    expect(await failing(storiesPath, { mix: "Q4_K_XXL" })).toBe("source-mix-unknown");
  });

  it("makes another mix of a GGUF where one is asked for", async () => {
    const source = await openSource(storiesPath, { mix: "Q8_0" });
    expect(source.path).toBeUndefined();
    expect(source.outline.fileType).toBe("Q8_0");
    expect(source.outline.bytes.total).toBeLessThan((await openSource(storiesPath)).outline.bytes.total / 3);
    const types = new Map(source.tensors.map(({ name, type }) => [name, type]));
    expect(types.get("output_norm.weight")).toBe("F32");
    expect(types.get("blk.0.attn_q.weight")).toBe("Q8_0");
  });
});

describe("a fingerprint", () => {
  it("changes with the shape, the types and the hyperparameters, and with nothing else", () => {
    const of = (change: object, mix: MixName = "Q4_K_M", name = "x") =>
      sourceFromConfig({ ...llama70, ...change }, { mix, name }).fingerprint;
    expect(of({})).toBe(of({ torch_dtype: "float16" }));
    expect(of({})).toMatch(/^[0-9a-f]{64}$/);
    const others = [
      of({ vocab_size: 32_016 }),
      of({ max_position_embeddings: 8192 }),
      of({ rope_theta: 1e6 }),
      of({}, "Q4_K_S"),
      of({ num_hidden_layers: 79 }),
    ];
    expect(new Set([of({}), ...others]).size).toBe(6);
    const f16 = sourceFromConfig(llama70, { mix: "F16" });
    expect(requantised(f16, "Q4_K_M").fingerprint).toBe(
      requantised(requantised(f16, "Q8_0"), "Q4_K_M").fingerprint,
    );
  });
});
