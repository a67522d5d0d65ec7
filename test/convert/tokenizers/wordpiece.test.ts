import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { keysOf, numbersOf, scalarsOf, stringsOf, withEngine } from "./harness.js";
import { torture, trainingText } from "./train.js";

const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/** All letters and marks as beginnings and as continuations, and the most frequent pieces of words. */
function trainWordPiece(text: string): string[] {
  const words = text
    .toLowerCase()
    .normalize("NFD")
    .replaceAll(/\p{Mn}/gu, "")
    .match(/\p{L}+|\p{N}|[^\s\p{L}\p{N}]/gu)!;
  const counts = new Map<string, number>();
  for (const word of words)
    for (let start = 0; start < word.length; start++)
      for (let end = start + 1; end <= Math.min(word.length, start + 5); end++) {
        const piece = `${start > 0 ? "##" : ""}${word.slice(start, end)}`;
        counts.set(piece, (counts.get(piece) ?? 0) + 1);
      }
  const single = [...counts.keys()].filter((piece) => [...piece.replace("##", "")].length === 1);
  const frequent = [...counts].filter(([, count]) => count > 5).map(([piece]) => piece);
  return [...new Set([...special, ...single, ...frequent])];
}

const pieces = trainWordPiece(trainingText);
const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
const template = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
const single = [template("[CLS]"), sequence("A"), template("[SEP]")];

function document(lowercase: boolean) {
  return {
    added_tokens: special.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: "BertNormalizer",
      ...{ clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase },
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      ...{ single, pair: [...single, sequence("B"), template("[SEP]")] },
      special_tokens: Object.fromEntries(
        ["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }]),
      ),
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      ...{ unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab },
    },
  };
}
const config = {
  cls_token: "[CLS]",
  sep_token: "[SEP]",
  unk_token: "[UNK]",
  pad_token: "[PAD]",
  mask_token: "[MASK]",
};
const request = { architecture: "bert", vocabularySize: pieces.length + 3, pre: "jina-v2-en" };

describe("a WordPiece tokenizer", () => {
  it("gives the ids of Hugging Face's", async () => {
    const files = { "tokenizer.json": document(true), "tokenizer_config.json": config };
    const keys = await keysOf(files, request);
    const oracle = new Tokenizer(document(true), {});
    await withEngine(keys, async (encode) => {
      const wrong: unknown[] = [];
      // llama.cpp marks beginnings of words by U+2581, so it cannot tell one from that character in a text
      for (const text of torture.filter((text) => !text.includes("\u2581"))) {
        const found = await encode(text, { added: true, special: true });
        const expected = oracle.encode(Buffer.from(text).toString()).ids;
        if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push({ text, found, expected });
      }
      expect(wrong).toEqual([]);
    });
  });

  it("marks beginnings of words, as llama.cpp's converter does", async () => {
    const files = { "tokenizer.json": document(false), "tokenizer_config.json": config };
    const keys = await keysOf(files, { ...request, config: { type_vocab_size: 2 } });
    expect(scalarsOf(keys)).toEqual({
      ...{ "ggml.model": "bert", "ggml.pre": "jina-v2-en", "ggml.token_type_count": 2 },
      ...{ "ggml.bos_token_id": 2, "ggml.eos_token_id": 3, "ggml.unknown_token_id": 1 },
      ...{ "ggml.seperator_token_id": 3, "ggml.padding_token_id": 0, "ggml.mask_token_id": 4 },
      ...{ "ggml.add_bos_token": true, "ggml.add_eos_token": true, "ggml.add_sep_token": false },
      "ggml.normalizer.lowercase": false,
    });
    const tokens = await stringsOf(keys, "tokenizer.ggml.tokens");
    expect(tokens.slice(0, 5)).toEqual(special);
    for (const [id, piece] of pieces.entries())
      if (id >= 5) expect(tokens[id]).toBe(piece.startsWith("##") ? piece.slice(2) : `\u2581${piece}`);
    expect(tokens.at(-1)).toBe(`\u2581[PAD${pieces.length + 2}]`);
    expect((await numbersOf(keys, "tokenizer.ggml.token_type")).at(-1)).toBe(5);
  });

  it("is the same from vocab.txt", async () => {
    const settings = { "tokenizer_config.json": { ...config, do_lower_case: true } };
    const json = await keysOf({ "tokenizer.json": document(true), ...settings }, request);
    const text = await keysOf({ "vocab.txt": `${pieces.join("\n")}\n`, ...settings }, request);
    expect(scalarsOf(text)).toEqual(scalarsOf(json));
    for (const key of ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type"] as const)
      expect(
        text.get(key)?.type === "array" &&
          (await (key.endsWith("tokens") ? stringsOf : numbersOf)(text, key)),
      ).toEqual(await (key.endsWith("tokens") ? stringsOf : numbersOf)(json, key));
  });

  it("without a token that BERT needs, or with one twice, is refused", async () => {
    for (const lines of [pieces.filter((piece) => piece !== "[SEP]"), [...pieces, pieces[9]!]])
      await expect(keysOf({ "vocab.txt": lines.join("\n") }, request)).rejects.toMatchObject({
        code: "tokenizer-malformed",
      });
  });
});
