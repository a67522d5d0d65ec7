import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readTokenizer } from "../../../src/convert/tokenizers/read-tokenizer.js";
import { failure } from "../../engine/harness.js";
import { fixture, folderOf, stringsOf } from "./harness.js";

const bpe = await readFile(fixture("bpe.model"));
const read = async (folder: string | undefined, tokenizer: string, vocabularySize = 562) =>
  readTokenizer({
    ...(folder !== undefined && { folder }),
    tokenizer,
    config: {},
    architecture: "llama",
    vocabularySize,
  });

it("one file stands for those of the model's folder that hold a vocabulary, whatever its name", async () => {
  const elsewhere = await folderOf({ "llama.spm": bpe, "added_tokens.json": { "<not of this model>": 561 } });
  const model = await folderOf({
    "tokenizer.json": { broken: true },
    "tokenizer_config.json": { chat_template: "{{ messages }}" },
    "added_tokens.json": { "<of the model>": 560 },
  });
  const keys = await read(model, join(elsewhere, "llama.spm"));
  expect((await stringsOf(keys, "tokenizer.ggml.tokens")).slice(559)).toEqual([
    ...[expect.any(String), "<of the model>", "[PAD561]"],
  ]);
  expect(keys.get("tokenizer.chat_template")?.value).toBe("{{ messages }}");
});

it("one file alone, or another folder, is all there is", async () => {
  const files = { "tokenizer.model": bpe, "added_tokens.json": { "<added>": 560 } };
  const folder = await folderOf(files);
  const alone = await read(undefined, join(folder, "tokenizer.model"));
  expect((await stringsOf(alone, "tokenizer.ggml.tokens"))[560]).toBe("[PAD560]");
  const whole = await read(await folderOf({ "added_tokens.json": { "<other>": 561 } }), folder);
  expect((await stringsOf(whole, "tokenizer.ggml.tokens")).slice(560)).toEqual(["<added>", "[PAD561]"]);
  const document = await folderOf({ "whatever.txt": '  {"model": {"type": "WordLevel"}}' });
  expect(await failure(read(undefined, join(document, "whatever.txt")))).toMatchObject({
    code: "tokenizer-malformed",
    facts: { path: join(document, "whatever.txt"), field: "model.vocab" },
  });
  expect(await failure(read(folder, join(folder, "nothing")))).toMatchObject({ code: "file-unreadable" });
});

it("tokens that no row is for are left out, and said to be", async () => {
  const notes: unknown[] = [];
  const folder = await folderOf({
    "tokenizer.model": bpe,
    "added_tokens.json": { "<far>": 900, "<last>": 559 },
  });
  const request = { folder, config: {}, architecture: "llama", onNote: (note: unknown) => notes.push(note) };
  await readTokenizer({ ...request, vocabularySize: 558 });
  await readTokenizer({ ...request, vocabularySize: 901 });
  const [first] = (
    await stringsOf(await read(undefined, fixture("bpe.model")), "tokenizer.ggml.tokens")
  ).slice(558);
  const path = join(folder, "tokenizer.model");
  expect(notes).toEqual([{ kind: "tokens-left-out", path, tokens: 3, rows: 558, first }]);
});
