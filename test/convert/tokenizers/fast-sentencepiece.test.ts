import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { parseSentencePieceModel } from "../../../src/convert/tokenizers/sentencepiece-model.js";
import { fixture, keysOf, numbersOf, scalarsOf, stringsOf, withEngine } from "./harness.js";

const golden: { texts: string[]; bpe: number[][] } = JSON.parse(
  await readFile(fixture("sentencepiece-ids.json"), "utf8"),
);
const { pieces } = parseSentencePieceModel(await readFile(fixture("bpe.model")), "bpe.model");

/** The merges that a fast tokenizer makes of a SentencePiece model: all ways to make a piece, by its score. */
function mergesOf(): string[] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const ways = pieces.flatMap(({ text, score, type }) => {
    const characters = type === 1 ? [...text] : [];
    return characters.slice(1).flatMap((_, index) => {
      const [left, right] = [characters.slice(0, index + 1).join(""), characters.slice(index + 1).join("")];
      return ids.has(left) && ids.has(right) ? [{ merge: `${left} ${right}`, score }] : [];
    });
  });
  return ways.toSorted((a, b) => b.score - a.score).map(({ merge }) => merge);
}

function document(merges: string[]) {
  return {
    added_tokens: ["<unk>", "<s>", "</s>", "<pad>", "<tool>"]
      .map((content, id) => ({ id, content, special: true, normalized: false }))
      .concat({ id: pieces.length, content: "<b>", special: false, normalized: false }),
    decoder: { type: "Sequence", decoders: [] },
    model: {
      type: "BPE",
      byte_fallback: true,
      unk_token: "<unk>",
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges,
    },
  };
}

it("a fast tokenizer made of a SentencePiece model gives the ids of that model", async () => {
  const keys = await keysOf(
    { "tokenizer.json": document(mergesOf()) },
    { vocabularySize: pieces.length + 2 },
  );
  expect(scalarsOf(keys)).toEqual({ "ggml.model": "llama", "ggml.pre": "default" });
  expect((await stringsOf(keys, "tokenizer.ggml.tokens")).slice(-2)).toEqual([
    "<b>",
    `[PAD${pieces.length + 1}]`,
  ]);
  const types = await numbersOf(keys, "tokenizer.ggml.token_type");
  expect([...types.slice(0, 6), ...types.slice(-2)]).toEqual([3, 3, 3, 3, 3, 6, 4, 5]);
  await withEngine(keys, async (encode) => {
    for (const [index, text] of golden.texts.entries())
      if (!text.includes("<b>")) expect(await encode(text), JSON.stringify(text)).toEqual(golden.bpe[index]);
  });
});

it("one without merges is refused", async () => {
  await expect(keysOf({ "tokenizer.json": document([]) }, { vocabularySize: 600 })).rejects.toMatchObject({
    code: "tokenizer-malformed",
    facts: { field: "model.merges" },
  });
});
