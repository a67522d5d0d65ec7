import { describe, expect, it } from "vitest";
import { byteCharacters } from "../../../src/convert/tokenizers/byte-characters.js";
import { keysOf, numbersOf, scalarsOf, stringsOf, withEngine } from "./harness.js";
import { patterns, torture, trainBpe, trainingText } from "./train.js";

const pattern = new RegExp(
  patterns["llama-bpe"].replace(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]",
  ),
  "gu",
);

/** Tokens by rank, one character for each byte: bytes first, then what merging makes. */
const tokens = (() => {
  const byteOf = new Map(byteCharacters.map((text, byte) => [text, String.fromCharCode(byte)]));
  const trained = trainBpe(trainingText, pattern, 300);
  const texts = Object.keys(trained.vocab).sort((a, b) => trained.vocab[a]! - trained.vocab[b]!);
  return texts.map((text) => [...text].map((character) => byteOf.get(character)).join(""));
})();
const ranks = new Map(tokens.map((token, rank) => [token, rank]));
const file = tokens
  .map((token, rank) => `${Buffer.from(token, "latin1").toString("base64")} ${rank}\n`)
  .join("");
const rows = tokens.length + 256;

/** How tiktoken encodes: of all neighbours, those whose union has the lowest rank are joined, the leftmost first. */
function encodeByRank(text: string): number[] {
  return [...Buffer.from(text).toString().matchAll(pattern)].flatMap(([word]) => {
    const whole = Buffer.from(word).toString("latin1");
    if (ranks.has(whole)) return [ranks.get(whole)!];
    const parts = [...whole];
    for (;;) {
      let [at, lowest] = [-1, Number.POSITIVE_INFINITY];
      for (let index = 0; index + 1 < parts.length; index++) {
        const rank = ranks.get(parts[index]! + parts[index + 1]!);
        if (rank !== undefined && rank < lowest) [at, lowest] = [index, rank];
      }
      if (at < 0) return parts.map((part) => ranks.get(part)!);
      parts.splice(at, 2, parts[at]! + parts[at + 1]!);
    }
  });
}

describe("Meta's tokenizer of Llama 3", () => {
  it("gives the ids of an encoder that knows ranks alone", async () => {
    const keys = await keysOf({ "tokenizer.model": file }, { vocabularySize: rows });
    await withEngine(keys, async (encode) => {
      for (const text of torture)
        expect(await encode(text), JSON.stringify(text)).toEqual(encodeByRank(text));
      const start = tokens.length;
      const chat = "<|start_header_id|>user<|end_header_id|>\n\nHé<|eot_id|>";
      expect(await encode(chat, { special: true, added: true })).toEqual([
        ...[start, start + 6, ...encodeByRank("user"), start + 7],
        ...[...encodeByRank("\n\nHé"), start + 9],
      ]);
      expect(await encode("<|eot_id|>")).toEqual(encodeByRank("<|eot_id|>"));
    });
  });

  it("has 256 special tokens, named by version", async () => {
    const old = await keysOf({ "tokenizer.model": file, "params.json": {} }, { vocabularySize: rows });
    expect(scalarsOf(old)).toEqual({
      ...{ "ggml.model": "gpt2", "ggml.pre": "llama-bpe", "ggml.add_bos_token": true },
      ...{ "ggml.bos_token_id": tokens.length, "ggml.eos_token_id": tokens.length + 1 },
    });
    const names = (await stringsOf(old, "tokenizer.ggml.tokens")).slice(tokens.length);
    expect(names).toHaveLength(256);
    expect(names[9]).toBe("<|eot_id|>");
    expect(names.at(-1)).toBe("<|reserved_special_token_250|>");
    const types = await numbersOf(old, "tokenizer.ggml.token_type");
    expect(new Set(types.slice(tokens.length))).toEqual(new Set([3]));

    const params = { use_scaled_rope: true };
    const scaled = await keysOf({ "tokenizer.model": file, "params.json": params }, { vocabularySize: rows });
    const newer = (await stringsOf(scaled, "tokenizer.ggml.tokens")).slice(tokens.length);
    expect(newer.slice(2, 12)).toEqual([
      ...["<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>"],
      ...["<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"],
      ...["<|eot_id|>", "<|python_tag|>", "<|reserved_special_token_3|>"],
    ]);
    expect(newer.at(-1)).toBe("<|reserved_special_token_247|>");
  });

  it.each([
    ["a rank that is missing", file.replace(" 300\n", " 301\n"), "line 301"],
    ["a line that is no rank", file.replace(" 300\n", " x\n"), "line 301"],
    [
      "a byte that is missing",
      file
        .split("\n")
        .slice(1)
        .map((line, rank) => line.replace(/ \d+/, ` ${rank}`))
        .join("\n"),
      "byte 0",
    ],
    [
      "a token that nothing makes",
      `${file}${Buffer.from("zqxzqx").toString("base64")} ${tokens.length}\n`,
      `rank ${tokens.length}`,
    ],
  ])("is refused with %s", async (_, content, where) => {
    const error = await keysOf({ "tokenizer.model": content }, { vocabularySize: rows + 9 }).catch(
      (error) => error,
    );
    expect(error).toMatchObject({ code: "tokenizer-malformed" });
    expect(error.message).toContain(where);
  });

  it("needs a row for each token", async () => {
    await expect(keysOf({ "tokenizer.model": file }, { vocabularySize: rows - 1 })).rejects.toMatchObject({
      code: "tokenizer-too-many-tokens",
    });
  });
});
