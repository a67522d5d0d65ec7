import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { fixture, keysOf, numbersOf, scalarsOf, stringsOf, withEngine } from "./harness.js";

const golden: { texts: string[] } & Record<string, number[][]> = JSON.parse(
  await readFile(fixture("sentencepiece-ids.json"), "utf8"),
);
const bpe = await readFile(fixture("bpe.model"));
const symbols = await readFile(fixture("bpe-symbols.model"));
const unigram = await readFile(fixture("unigram.model"));

describe("a SentencePiece model", () => {
  it.each([
    ["bpe", bpe, "llama"],
    ["bpe-symbols", symbols, "gemma3"],
    ["unigram", unigram, "t5"],
  ] as const)("gives the ids of SentencePiece itself: %s", async (name, model, architecture) => {
    const keys = await keysOf({ "tokenizer.model": model }, { architecture, vocabularySize: 600 });
    await withEngine(keys, async (encode) => {
      const found: number[][] = [];
      for (const text of golden.texts) found.push(await encode(text));
      const wrong = golden.texts.flatMap((text, index) =>
        JSON.stringify(found[index]) === JSON.stringify(golden[name]![index])
          ? []
          : [{ text, found: found[index], expected: golden[name]![index] }],
      );
      expect(wrong).toEqual([]);
    });
  });

  it("is written as llama.cpp's converter writes it, filled up to the embedding", async () => {
    const keys = await keysOf({ "tokenizer.model": bpe }, { vocabularySize: 562 });
    // Meta's checkpoints have no other file: the ids are those that the model was trained with
    expect(scalarsOf(keys)).toEqual({
      ...{ "ggml.model": "llama", "ggml.pre": "default" },
      ...{ "ggml.unknown_token_id": 0, "ggml.bos_token_id": 1, "ggml.eos_token_id": 2 },
      "ggml.padding_token_id": 3,
    });
    const tokens = await stringsOf(keys, "tokenizer.ggml.tokens");
    expect(tokens.slice(0, 7)).toEqual(["<unk>", "<s>", "</s>", "<pad>", "<tool>", "<0x00>", "<0x01>"]);
    expect(tokens.slice(560)).toEqual(["[PAD560]", "[PAD561]"]);
    const types = await numbersOf(keys, "tokenizer.ggml.token_type");
    expect(types.slice(0, 7)).toEqual([2, 3, 3, 3, 3, 6, 6]);
    expect(types.slice(258)).toEqual([6, 6, 6, ...new Array(299).fill(1), 5, 5]);
    const scores = await numbersOf(keys, "tokenizer.ggml.scores");
    expect(scores.slice(261, 264)).toEqual([-0, -1, -2]);
    expect(scores.slice(560)).toEqual([-10000, -10000]);
  });

  it("takes the tokens that other files add, and leaves out those without a row", async () => {
    const added = (content: string, special: boolean) => ({ content, special, normalized: false });
    const files = {
      "tokenizer.model": bpe,
      "added_tokens.json": { "<first>": 560, "<second>": 561, "<beyond>": 600 },
      "tokenizer_config.json": {
        add_bos_token: true,
        add_eos_token: false,
        add_prefix_space: false,
        added_tokens_decoder: {
          "561": added("<second>", true),
          "562": added("\u2581\u2581x", false),
          "563": added("<|im_end|>", false),
          "700": added("<far>", false),
        },
      },
      "config.json": {},
    };
    const config = { bos_token_id: 1, eos_token_id: [2, 563], pad_token_id: 9999, vocab_size: 564 };
    const keys = await keysOf(files, { vocabularySize: 564, config });
    const tokens = await stringsOf(keys, "tokenizer.ggml.tokens");
    expect(tokens.slice(560)).toEqual(["<first>", "<second>", "  x", "<|im_end|>"]);
    expect((await numbersOf(keys, "tokenizer.ggml.token_type")).slice(560)).toEqual([4, 3, 4, 3]);
    expect((await numbersOf(keys, "tokenizer.ggml.scores")).slice(560)).toEqual([-1000, -1000, -1000, -1000]);
    expect(scalarsOf(keys)).toEqual({
      ...{ "ggml.model": "llama", "ggml.pre": "default", "ggml.bos_token_id": 1 },
      ...{ "ggml.add_bos_token": true, "ggml.add_eos_token": false, "ggml.add_space_prefix": false },
    });
  });

  it("of Phi-3 takes added tokens from tokenizer.json, by their flag alone", async () => {
    const token = (id: number, content: string, special: boolean) => ({ id, content, special });
    const files = {
      "tokenizer.model": bpe,
      "tokenizer_config.json": { tokenizer_class: "LlamaTokenizer" },
      "tokenizer.json": { added_tokens: [token(560, "<|end|>", true), token(561, "<|step|>", false)] },
    };
    const keys = await keysOf(files, { architecture: "phi3", vocabularySize: 562 });
    expect((await stringsOf(keys, "tokenizer.ggml.tokens")).slice(560)).toEqual(["<|end|>", "<|step|>"]);
    expect((await numbersOf(keys, "tokenizer.ggml.token_type")).slice(560)).toEqual([3, 4]);
  });

  it("of a unigram model brings its normalisation along for T5, and none for others", async () => {
    const t5 = await keysOf({ "tokenizer.model": unigram }, { architecture: "t5", vocabularySize: 391 });
    expect(scalarsOf(t5)).toMatchObject({
      ...{ "ggml.model": "t5", "ggml.add_space_prefix": true, "ggml.remove_extra_whitespaces": true },
    });
    expect(t5.has("tokenizer.ggml.precompiled_charsmap")).toBe(true);
    const llama = await keysOf({ "tokenizer.model": unigram }, { vocabularySize: 391 });
    expect(scalarsOf(llama)["ggml.model"]).toBe("llama");
    expect(llama.has("tokenizer.ggml.precompiled_charsmap")).toBe(false);
  });

  it("that has no dummy prefix says so", async () => {
    for (const architecture of ["llama", "gemma2", "gemma3"]) {
      const keys = await keysOf({ "tokenizer.model": symbols }, { architecture, vocabularySize: 520 });
      expect(scalarsOf(keys)["ggml.add_space_prefix"]).toBe(false);
    }
  });

  it("that is none is refused, naming the file", async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from("\n\xff\xff\xff\xff\x7f"), bpe.subarray(0, 5000)]) {
      const error = await keysOf({ "tokenizer.model": bytes }, { vocabularySize: 600 }).catch(
        (error) => error,
      );
      expect(error).toMatchObject({ code: "tokenizer-malformed" });
      expect(error.message).toContain("tokenizer.model");
    }
  });
});
