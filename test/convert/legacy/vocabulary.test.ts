import { describe, expect, it } from "vitest";
import { openLegacyGgml } from "../../../src/convert/legacy/open.js";
import { vocabularyMetadata } from "../../../src/convert/legacy/vocabulary.js";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { readModel } from "../../../src/gguf/model-file.js";
import { validateModel } from "../../../src/gguf/validate.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { writeAsGguf } from "./rows.js";
import { tiny, tinyModel, tinyTokens } from "./tiny.js";
import { kinds, legacyBytes } from "./writer.js";

const folder = temporaryFolder();

const textsOf = (count: number) => tinyTokens(count).map(({ text }) => text);
const replaced = (count: number, changes: Record<number, string | Buffer>) =>
  textsOf(count).map((text, id) => (changes[id] === undefined ? text : Buffer.from(changes[id]!)));
const scoresOf = (count: number) => Float32Array.from(tinyTokens(count).map(({ score }) => score));

function items(metadata: Map<string, WritableValue>, key: string): unknown[] {
  const value = metadata.get(`tokenizer.ggml.${key}`)!.value as unknown as { items: unknown[] };
  return value.items;
}

describe("the vocabulary", () => {
  it("names the first three tokens and the bytes, and writes spaces as SentencePiece does", () => {
    const metadata = vocabularyMetadata({ texts: textsOf(300), scores: scoresOf(300) }, 300);
    const tokens = items(metadata, "tokens");
    expect(tokens.slice(0, 4)).toEqual(["<unk>", "<s>", "</s>", "<0x00>"]);
    expect(tokens.slice(13, 14).concat(tokens.slice(258, 261))).toEqual([
      "<0x0A>",
      "<0xFF>",
      "▁w259",
      "▁w260",
    ]);
    expect(items(metadata, "token_type").slice(0, 5)).toEqual([2, 3, 3, 6, 6]);
    expect(items(metadata, "token_type").slice(258, 260)).toEqual([6, 1]);
    expect(items(metadata, "scores").slice(258, 262)).toEqual([0, 0, -1, -2]);
    for (const [key, id] of Object.entries({ unknown: 0, bos: 1, eos: 2 }))
      expect(metadata.get(`tokenizer.ggml.${key}_token_id`)).toEqual({ type: "uint32", value: id });
  });

  it("keeps the scores of a file that has any", () => {
    const scores = Float32Array.from({ length: 300 }, (_, id) => id / 2);
    expect(items(vocabularyMetadata({ texts: textsOf(300), scores }, 300), "scores")).toEqual([...scores]);
  });

  it.each([
    ["without scores", undefined],
    ["with nothing but zeros", new Float32Array(300)],
  ])("%s gets LLaMA's own", (_, scores) => {
    expect(items(vocabularyMetadata({ texts: textsOf(300), scores }, 300), "scores")).toEqual([
      ...scoresOf(300),
    ]);
  });

  it("ranks the tokens of a vocabulary without bytes by their numbers", () => {
    const texts = ["?", "", "", "a", "b", "ab"].map((text) => Buffer.from(text));
    const metadata = vocabularyMetadata({ texts, scores: undefined }, 6);
    expect(items(metadata, "tokens")).toEqual(["<unk>", "<s>", "</s>", "a", "b", "ab"]);
    expect(items(metadata, "scores")).toEqual([0, 0, 0, 0, -1, -2]);
  });

  it("finds the bytes that the first converter lost", () => {
    const lost = Object.fromEntries(Array.from({ length: 128 }, (_, byte) => [131 + byte, "\ufffd"]));
    const metadata = vocabularyMetadata({ texts: replaced(300, lost), scores: undefined }, 300);
    expect(items(metadata, "tokens").slice(131, 133)).toEqual(["<0x80>", "<0x81>"]);
    expect(new Set(items(metadata, "token_type").slice(3, 259))).toEqual(new Set([6]));
  });

  it("takes tokens that were added to steer a model as such, behind LLaMA's 32000 only", () => {
    const count = 32004;
    const added = {
      300: "<pad>",
      31999: "",
      32000: "[PAD]",
      32001: "<|im_end|>",
      32002: " <b>",
      32003: "no",
    };
    const metadata = vocabularyMetadata({ texts: replaced(count, added), scores: scoresOf(count) }, count);
    expect(items(metadata, "token_type")[300]).toBe(1);
    expect(items(metadata, "token_type").slice(31999)).toEqual([3, 3, 3, 1, 1]);
    expect(items(metadata, "tokens").slice(31999)).toEqual([
      "[EMPTY_31999]",
      "[PAD]",
      "<|im_end|>",
      "▁<b>",
      "no",
    ]);
    expect(metadata.get("tokenizer.ggml.padding_token_id")).toEqual({ type: "uint32", value: 300 });
  });

  it("gives no two tokens the same text", () => {
    const texts = replaced(300, { 260: "x", 261: "x", 262: "x[261]", 263: "<s>" });
    const tokens = items(vocabularyMetadata({ texts, scores: undefined }, 300), "tokens");
    expect(tokens.slice(260, 264)).toEqual(["x", "x[261]]", "x[261]", "<s>[263]"]);
    expect(new Set(tokens).size).toBe(300);
  });
});

it("a gpt4all file, which lists one token fewer than it says, gets the one its program added", async () => {
  const { file } = tinyModel("ggml", kinds.ggml![0]!);
  const short = { ...file, tokens: file.tokens.slice(0, -1) };
  const path = await folder.file("gpt4all.bin", legacyBytes(short));
  const model = await openLegacyGgml(path);
  const metadata = new Map(model.metadata);
  expect(items(metadata, "tokens").at(-1)).toBe("<pad>");
  expect(items(metadata, "token_type").at(-1)).toBe(3);
  expect(metadata.get("tokenizer.ggml.padding_token_id")).toEqual({
    type: "uint32",
    value: tiny.vocabulary - 1,
  });
  await writeAsGguf(model, folder.path("gpt4all.gguf"));
  await validateModel(await readModel(folder.path("gpt4all.gguf")));
});
