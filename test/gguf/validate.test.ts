import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readModel } from "../../src/gguf/model-file.js";
import { outlineOf } from "../../src/gguf/outline.js";
import { validateModel } from "../../src/gguf/validate.js";
import { arrayType, f32, parseRaw, type RawGguf, serialiseRaw, stringType, u32 } from "./raw.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();
const stories = await readFile(storiesPath);

async function modelWith(change: (raw: RawGguf) => void) {
  const raw = parseRaw(stories);
  change(raw);
  return readModel(await temporary.file("changed.gguf", serialiseRaw(raw)));
}

/** Sets a key to the bytes of a value of this type, or adds it. */
function set(key: string, type: number, payload: Buffer | string) {
  return (raw: RawGguf) => {
    const entry = {
      key: Buffer.from(key),
      type,
      elementType: type,
      count: 1n,
      payload: Buffer.from(payload),
    };
    const at = raw.keys.findIndex((other) => other.key.toString() === key);
    if (at >= 0) raw.keys[at] = entry;
    else raw.keys.push(entry);
  };
}
const uint = (key: string, value: number) => set(key, 4, u32(value));
const float = (key: string, value: number) => set(key, 6, f32(value));
const text = (key: string, value: string) => set(key, stringType, value);
const without = (key: string) => (raw: RawGguf) => {
  raw.keys = raw.keys.filter((other) => other.key.toString() !== key);
};
const layers = (key: string, values: number[]) => (raw: RawGguf) => {
  set(key, 4, Buffer.concat(values.map(u32)))(raw);
  Object.assign(raw.keys.find((other) => other.key.toString() === key)!, {
    type: arrayType,
    count: BigInt(values.length),
  });
};
const token = (index: number, bytes: Buffer | string) => (raw: RawGguf) => {
  raw.keys.find(({ strings }) => strings)!.strings![index] = Buffer.from(bytes);
};
const both =
  (...changes: ((raw: RawGguf) => void)[]) =>
  (raw: RawGguf) => {
    for (const change of changes) change(raw);
  };

describe("validateModel", () => {
  it("accepts the embedded model", async () => {
    await expect(validateModel(await readModel(storiesPath))).resolves.toBeUndefined();
  });

  it("refuses an architecture llama.cpp does not know, and parts of models", async () => {
    const unknown = await modelWith(text("general.architecture", "transformer9000"));
    await expect(validateModel(unknown)).rejects.toMatchObject({ code: "gguf-architecture-unknown" });
    for (const part of [text("general.architecture", "clip"), text("general.type", "adapter")])
      await expect(validateModel(await modelWith(part))).rejects.toMatchObject({ code: "gguf-invalid" });
  });

  it.each<[string, (raw: RawGguf) => void]>([
    ["llama.block_count", uint("llama.block_count", 0)],
    ["llama.block_count", uint("llama.block_count", 513)],
    ["llama.block_count", without("llama.block_count")],
    ["llama.context_length", uint("llama.context_length", 0)],
    ["llama.context_length", uint("llama.context_length", 0xffffffff)],
    ["llama.embedding_length", uint("llama.embedding_length", 0)],
    ["llama.embedding_length", uint("llama.embedding_length", 65)],
    ["llama.attention.head_count", uint("llama.attention.head_count", 0)],
    ["llama.attention.head_count", without("llama.attention.head_count")],
    ["llama.attention.head_count", uint("llama.attention.head_count_kv", 3)],
    ["llama.attention.head_count", layers("llama.attention.head_count", [8, 8, 8, 8, 7])],
    ["llama.attention.value_length", uint("llama.attention.value_length", 16)],
    ["llama.rope.dimension_count", uint("llama.rope.dimension_count", 9)],
    ["llama.rope.dimension_count", uint("llama.rope.dimension_count", 4)],
    ["llama.rope.freq_base", float("llama.rope.freq_base", -1)],
    ["llama.rope.freq_base", float("llama.rope.freq_base", Number.NaN)],
    ["llama.rope.scaling.type", text("llama.rope.scaling.type", "spiral")],
    ["layer_norm_rms_epsilon", float("llama.attention.layer_norm_rms_epsilon", -1)],
    ["llama.expert_count", uint("llama.expert_count", 1025)],
    ["llama.expert_used_count", uint("llama.expert_count", 8)],
    ["llama.expert_used_count", both(uint("llama.expert_count", 8), uint("llama.expert_used_count", 9))],
    [
      "llama.expert_count",
      both(
        uint("llama.expert_count", 8),
        uint("llama.expert_used_count", 2),
        uint("llama.expert_group_count", 3),
      ),
    ],
    ["llama.nextn_predict_layers", uint("llama.nextn_predict_layers", 5)],
    ["llama.pooling_type", uint("llama.pooling_type", 9)],
    [
      "sliding_window_pattern",
      both(
        uint("llama.attention.sliding_window", 16),
        layers("llama.attention.sliding_window_pattern", [0, 0, 0, 0, 0]),
      ),
    ],
    ["llama.attention.kv_lora_rank", uint("llama.attention.key_length_mla", 16)],
    [
      "blk.2.ffn_norm.weight",
      (raw) => {
        raw.tensors.find(({ name }) => `${name}` === "blk.2.ffn_norm.weight")!.type = 26;
      },
    ],
    ["tokenizer.ggml.model", text("tokenizer.ggml.model", "none")],
    ["tokenizer.ggml.model", text("tokenizer.ggml.model", "constructor")],
    ["tokenizer.ggml.tokens", token(300, Buffer.from("▁"))],
    ["tokenizer.ggml.tokens", both(token(300, "same\0one"), token(301, "same\0two"))],
    ["tokenizer.ggml.tokens", token(10, "no byte")],
    ["tokenizer.ggml.tokens", token(400, Buffer.alloc(20_000, "x"))],
    ["tokenizer.ggml.tokens", text("tokenizer.ggml.model", "rwkv")],
  ])("refuses %s where llama.cpp would not survive it (%#)", async (field, change) => {
    const error = await validateModel(await modelWith(change)).then(
      () => undefined,
      (error) => error,
    );
    expect(error?.code).toMatch(/^gguf-(invalid|malformed)$/);
    expect(error.message).toContain(field);
  });

  it("accepts what files in the wild have and llama.cpp takes", async () => {
    for (const change of [
      uint("tokenizer.ggml.padding_token_id", 32_000),
      uint("tokenizer.ggml.padding_token_id", 0xffffffff),
      layers("llama.attention.head_count", [8, 8, 8, 8, 8]),
      float("llama.rope.scaling.factor", 0),
      token(300, ""),
      uint("general.file_type", 1024),
    ])
      await expect(validateModel(await modelWith(change))).resolves.toBeUndefined();
  });
});

describe("outlineOf", () => {
  it("tells what the embedded model is", async () => {
    const outline = outlineOf(await readModel(storiesPath));
    expect(outline).toMatchObject({
      architecture: "llama",
      name: "stories260K",
      parameters: 260_032,
      fileType: "F32",
      contextLength: 512,
      hiddenSize: 64,
      layers: 5,
      headSizeK: 8,
      headSizeV: 8,
      vocabularySize: 512,
      tokenizer: "llama",
      bosTokenId: 1,
      eosTokenId: 2,
    });
    expect([outline.heads, outline.kvHeads]).toEqual([Array(5).fill(8), Array(5).fill(4)]);
    const { embedding, output, layers, other, total } = outline.bytes;
    expect(embedding + output + other + layers.reduce((a, b) => a + b, 0)).toBe(total);
  });

  it("reads heads of each layer, templates and pooling", async () => {
    const model = await modelWith(
      both(
        layers("llama.attention.head_count_kv", [4, 2, 4, 2, 4]),
        text("tokenizer.chat_template", "{{ x }}"),
        text("tokenizer.chat_template.tool_use", "{{ y }}"),
        uint("llama.pooling_type", 3),
      ),
    );
    expect(outlineOf(model)).toMatchObject({
      kvHeads: [4, 2, 4, 2, 4],
      chatTemplate: "{{ x }}",
      chatTemplates: { tool_use: "{{ y }}" },
      pooling: "last",
    });
  });
});
