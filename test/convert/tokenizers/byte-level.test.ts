import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { checkText } from "../../../src/convert/tokenizers/fingerprint.js";
import { runTokenizer } from "../../../src/convert/tokenizers/tokenizer-process.js";
import { keysOf, numbersOf, scalarsOf, stringsOf, withEngine } from "./harness.js";
import { byteLevelTokenizer, patterns, torture, trainBpe, trainingText } from "./train.js";

const words = /\s?\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+/gu;
const trained = trainBpe(trainingText, words, 200);
const size = Object.keys(trained.vocab).length;
const rows = size + 5;

/** A lone half of a surrogate pair reaches every tokenizer as the replacement character. */
const wellFormed = (text: string) => Buffer.from(text).toString();

describe("a byte-level BPE tokenizer", () => {
  it.each(Object.keys(patterns) as (keyof typeof patterns)[])(
    "gives the ids of Hugging Face's: %s",
    async (pre) => {
      const document = byteLevelTokenizer(pre, trained);
      const oracle = new Tokenizer(document, {});
      const keys = await keysOf(
        { "tokenizer.json": document },
        { architecture: "qwen2", vocabularySize: rows, pre },
      );
      await withEngine(keys, async (encode) => {
        for (const text of torture) {
          const expected = oracle.encode(wellFormed(text), { add_special_tokens: false }).ids;
          expect(await encode(text, { special: true }), JSON.stringify(text)).toEqual(expected);
        }
        const ids = await encode("a<|endoftext|>b <b>c", { special: true });
        expect(ids).toEqual(oracle.encode("a<|endoftext|>b <b>c", { add_special_tokens: false }).ids);
        expect(ids).toContain(size);
        expect(await encode("a<|endoftext|>b")).not.toContain(size);
      });
    },
  );

  it("is written as llama.cpp's converter writes it", async () => {
    const document = byteLevelTokenizer("gpt-2", trained);
    const keys = await keysOf(
      { "tokenizer.json": document },
      { architecture: "gpt2", vocabularySize: rows, pre: "gpt-2" },
    );
    expect(scalarsOf(keys)).toEqual({ "ggml.model": "gpt2", "ggml.pre": "gpt-2" });
    const tokens = await stringsOf(keys, "tokenizer.ggml.tokens");
    const types = await numbersOf(keys, "tokenizer.ggml.token_type");
    expect(tokens.slice(size)).toEqual([
      "<|endoftext|>",
      "<b>",
      `[PAD${size + 2}]`,
      `[PAD${size + 3}]`,
      `[PAD${size + 4}]`,
    ]);
    expect(types.slice(size)).toEqual([3, 4, 5, 5, 5]);
    expect(new Set(types.slice(0, size))).toEqual(new Set([1]));
    expect(await stringsOf(keys, "tokenizer.ggml.merges")).toEqual(trained.merges);
  });

  it("has the same merges as pairs, as texts and in merges.txt", async () => {
    const texts = byteLevelTokenizer("gpt-2", trained);
    const pairs = byteLevelTokenizer("gpt-2", trained);
    pairs.model.merges = trained.merges.map((merge) => merge.split(" "));
    const without = byteLevelTokenizer("gpt-2", trained);
    without.model.merges = [];
    const request = { architecture: "gpt2", vocabularySize: rows, pre: "gpt-2" };
    const mergesText = `#version: 0.2\n${trained.merges.join("\n")}\n`;
    const folders: Record<string, string | object>[] = [
      { "tokenizer.json": texts },
      { "tokenizer.json": pairs },
      { "tokenizer.json": without, "merges.txt": mergesText },
      { "vocab.json": { ...trained.vocab, "<|endoftext|>": size }, "merges.txt": mergesText },
    ];
    for (const files of folders) {
      const merges = await stringsOf(await keysOf(files, request), "tokenizer.ggml.merges");
      expect(merges).toEqual(trained.merges);
    }
  });

  it.each([
    ["GPT2Tokenizer", "gpt-2"],
    ["Qwen2Tokenizer", "qwen2"],
  ] as const)("made of vocab.json and merges.txt gives the same ids: %s", async (tokenizerClass, pre) => {
    const files = {
      "vocab.json": { ...trained.vocab, "<|endoftext|>": size },
      "merges.txt": `#version: 0.2\n${trained.merges.join("\n")}\n`,
      "tokenizer_config.json": { tokenizer_class: tokenizerClass },
    };
    const config = { bos_token_id: size, eos_token_id: size };
    const keys = await keysOf(files, { architecture: "gpt2", vocabularySize: rows, pre, config });
    expect(scalarsOf(keys)).toEqual({
      ...{ "ggml.model": "gpt2", "ggml.pre": pre },
      ...{ "ggml.bos_token_id": size, "ggml.eos_token_id": size },
    });
    const oracle = new Tokenizer(byteLevelTokenizer(pre, trained), {});
    await withEngine(keys, async (encode) => {
      for (const text of torture.filter((text) => !text.includes("<b>"))) {
        const normal = pre === "qwen2" ? wellFormed(text).normalize("NFC") : wellFormed(text);
        expect(await encode(normal)).toEqual(oracle.encode(normal, { add_special_tokens: false }).ids);
      }
    });
  });

  it("whose fingerprint nobody knows says so, and how to name its pre-tokenizer", async () => {
    const files = { "tokenizer.json": byteLevelTokenizer("gpt-2", trained) };
    const request = { architecture: "gpt2", vocabularySize: rows };
    const error = await keysOf(files, request).catch((error) => error);
    expect(error).toMatchObject({ code: "tokenizer-fingerprint-unknown" });
    expect(error.facts.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(error.fix).toContain("--pre");
    await expect(keysOf(files, { ...request, pre: "gpt-7" })).rejects.toMatchObject({
      code: "tokenizer-pre-unknown",
    });
  });

  it("with more tokens than the embedding has rows is refused", async () => {
    const files = { "tokenizer.json": byteLevelTokenizer("gpt-2", trained) };
    await expect(
      keysOf(files, { architecture: "gpt2", vocabularySize: size + 1, pre: "gpt-2" }),
    ).rejects.toMatchObject({
      code: "tokenizer-too-many-tokens",
      facts: { tokens: size + 2, rows: size + 1 },
    });
  });

  it("whose expressions never end is stopped", async () => {
    const document = byteLevelTokenizer("llama-bpe", trained);
    const Regex = "(([\\s\\S]+)+)+\\u0000";
    const split = { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false };
    const task = { document: { ...document, pre_tokenizer: split }, settings: {}, checkText, texts: [] };
    await expect(runTokenizer("tokenizer.json", task, 1500)).rejects.toMatchObject({
      code: "tokenizer-unusable",
    });
  });
});
