import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { type ConversionRequest, planConversion } from "../../../src/convert/conversion.js";
import { openModelSource } from "../../../src/convert/open.js";
import { parseSentencePieceModel } from "../../../src/convert/tokenizers/sentencepiece-model.js";
import { failure } from "../../engine/harness.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { storiesPath } from "../../oracles/plain.js";
import { fixture, stringsOf } from "../tokenizers/harness.js";
import { tiny, tinyModel } from "./tiny.js";
import { kinds, legacyBytes } from "./writer.js";

const folder = temporaryFolder();
const tokenizer = fixture("bpe.model");

/** A tiny model that lists the first tokens of a tokenizer as a program did that lost all bytes. */
async function legacyFile(name: string, model: string): Promise<string> {
  const { pieces } = parseSentencePieceModel(await readFile(fixture(model)), model);
  const { file } = tinyModel("ggml", kinds.ggml![0]!);
  const tokens = pieces.slice(0, tiny.vocabulary).map(({ text, type }) => ({
    text: Buffer.from(type === 6 ? "" : text.replaceAll("\u2581", " ")),
    score: 0,
  }));
  return folder.file(name, legacyBytes({ ...file, tokens }));
}

it("the original tokenizer takes the place of the texts in the file", async () => {
  const path = await legacyFile("ours.bin", "bpe.model");
  const model = await openModelSource(path, { tokenizer });
  await model.close();
  const keys = model.metadata as Parameters<typeof stringsOf>[0];
  const { pieces } = parseSentencePieceModel(await readFile(tokenizer), tokenizer);
  const expected = pieces.slice(0, tiny.vocabulary).map(({ text }) => text);
  expect(await stringsOf(keys, "tokenizer.ggml.tokens")).toEqual(expected);
  // the texts alone would have given the padding token's by its looks, and no byte
  expect(keys.get("tokenizer.ggml.padding_token_id")?.value).toBe(3);
  expect(model.notes).toEqual([expect.objectContaining({ kind: "tokens-left-out", tokens: 260, rows: 300 })]);
});

it("one of another model is refused, and one for a GGUF", async () => {
  const theirs = await legacyFile("theirs.bin", "bpe-symbols.model");
  expect(await failure(openModelSource(theirs, { tokenizer }))).toMatchObject({
    code: "tokenizer-other-model",
    facts: { path: tokenizer, model: theirs },
  });
  const model = await openModelSource(storiesPath, { tokenizer });
  await model.close();
  const request: ConversionRequest = {
    ...{ source: storiesPath, threads: 1, sourceOptions: { tokenizer } },
    wishes: { type: "auto" },
    division: { kind: "whole", order: "source" },
  };
  expect(await failure((async () => planConversion(model, request))())).toMatchObject({
    code: "tokenizer-inside",
    facts: { path: storiesPath },
  });
});
