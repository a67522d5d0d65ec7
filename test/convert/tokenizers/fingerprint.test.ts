import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { checkText, fingerprintOf } from "../../../src/convert/tokenizers/fingerprint.js";
import { fingerprints, preTokenizers } from "../../../src/convert/tokenizers/fingerprints.js";
import { runTokenizer } from "../../../src/convert/tokenizers/tokenizer-process.js";
import { fixture } from "./harness.js";
import { byteLevelTokenizer, trainBpe, trainingText } from "./train.js";

const { text, ...known }: { text: string } & Record<string, number[]> = JSON.parse(
  await readFile(fixture("check-text-ids.json"), "utf8"),
);

describe("the fingerprint of a tokenizer", () => {
  it("is taken from the converter's own check text", () => {
    expect(checkText).toBe(text);
  });

  it.each(Object.entries(known))("knows %s by its ids", (name, ids) => {
    expect(fingerprints[fingerprintOf(ids)]).toBe(name);
    expect(fingerprints[fingerprintOf([...ids].reverse())]).toBeUndefined();
  });

  it("names pre-tokenizers of llama.cpp's loader alone, but for those of BERT, which need none", () => {
    const names = new Set(Object.values(fingerprints));
    const unknown = [...names].filter((name) => !preTokenizers.includes(name));
    expect(unknown.sort()).toEqual(["bert-bge-large", "jina-v2-en"]);
    for (const hash of Object.keys(fingerprints)) expect(hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("comes from ids with and without what is added to every text", async () => {
    const document = byteLevelTokenizer("gpt-2", trainBpe("aaa", /a+/gu, 1));
    const id = document.added_tokens[0]!.id;
    const special = { "<|endoftext|>": { id: "<|endoftext|>", ids: [id], tokens: ["<|endoftext|>"] } };
    const single = [
      { SpecialToken: { id: "<|endoftext|>", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
    ];
    const post_processor = { type: "TemplateProcessing", single, pair: single, special_tokens: special };
    const task = {
      document: { ...document, post_processor },
      settings: {},
      checkText: "aaa!",
      texts: ["<b>"],
    };
    const { ids, bareIds, spellings } = await runTokenizer("tokenizer.json", task);
    expect(ids).toEqual([id, ...bareIds]);
    expect(bareIds).toHaveLength(3);
    expect(spellings).toEqual(["<b>"]);
  });

  it("cannot be taken from a tokenizer that does not run", async () => {
    const document = { ...byteLevelTokenizer("gpt-2", trainBpe(trainingText, /\p{L}+/gu, 1)) };
    for (const change of [{ pre_tokenizer: { type: "Nonsense" } }, { model: { type: "BPE" } }]) {
      const task = { document: { ...document, ...change }, settings: {}, checkText, texts: [] };
      await expect(runTokenizer("tokenizer.json", task)).rejects.toMatchObject({
        code: "tokenizer-unusable",
      });
    }
  });
});
