import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { TokenizerFolder } from "../../../src/convert/tokenizers/folder.js";
import { specialTokenKeys } from "../../../src/convert/tokenizers/special-tokens.js";
import { fixture, folderOf, keysOf, scalarsOf, stringsOf } from "./harness.js";

interface Case {
  files: Record<string, string | Record<string, unknown>>;
  config: Record<string, unknown>;
  expected: {
    ids: Record<string, number>;
    add: Record<string, boolean>;
    chat: string | { name: string; template: string }[] | null;
    lowercase: boolean | null;
    strip_accents: boolean | null;
  };
}
const cases: Case[] = JSON.parse(await readFile(fixture("special-vocab.json"), "utf8"));
const bpe = await readFile(fixture("bpe.model"));

const idKeys: Record<string, string> = {
  ...{ bos: "bos", eos: "eos", eot: "eot", eom: "eom" },
  ...{ unk: "unknown", sep: "seperator", pad: "padding", mask: "mask" },
};

/** What gguf-py writes of a `SpecialVocab`. */
function written({ ids, add, chat, lowercase, strip_accents }: Case["expected"]): Record<string, unknown> {
  const keys: Record<string, unknown> = {};
  for (const [kind, id] of Object.entries(ids)) if (idKeys[kind]) keys[`ggml.${idKeys[kind]}_token_id`] = id;
  for (const kind of ["bos", "eos", "sep"]) if (kind in add) keys[`ggml.add_${kind}_token`] = add[kind];
  for (const [name, value] of Object.entries({ lowercase, strip_accents }))
    if (value !== null) keys[`ggml.normalizer.${name}`] = value;
  const templates = typeof chat === "string" ? [{ name: "default", template: chat }] : (chat ?? []);
  for (const { name, template } of templates)
    keys[name === "default" ? "chat_template" : `chat_template.${name.replace("-", "_")}`] = template;
  return keys;
}

describe("special tokens", () => {
  it("are those that gguf-py reads from the same files", async () => {
    expect(cases).toHaveLength(40);
    for (const { files, config, expected } of cases) {
      const folder = new TokenizerFolder(await folderOf(files));
      const document = files["tokenizer.json"] as Record<string, unknown> | undefined;
      const keys = await specialTokenKeys({ folder, config, document, tokenCount: 50 });
      expect(scalarsOf(keys)).toEqual(written(expected));
    }
  });

  it("of families have what their converters add", async () => {
    const files = { "tokenizer.model": bpe };
    const of = async (architecture: string, rows: number, config: object = {}) =>
      scalarsOf(
        await keysOf(files, { architecture, vocabularySize: rows, config: { vocab_size: rows, ...config } }),
      );
    expect((await of("llama", 32016))["ggml.eot_token_id"]).toBe(32010);
    expect((await of("llama", 49152))["ggml.add_bos_token"]).toBe(false);
    expect(await of("gemma", 600)).toMatchObject({
      "ggml.eot_token_id": 107,
      "ggml.add_space_prefix": false,
    });
    expect((await of("qwen2", 600, { text_config: { eos_token_id: 7 } }))["ggml.eos_token_id"]).toBe(7);
  });

  it("with an id that no token can have are refused", async () => {
    const request = { vocabularySize: 600, config: { bos_token_id: -1 } };
    await expect(keysOf({ "tokenizer.model": bpe }, request)).rejects.toMatchObject({
      code: "tokenizer-malformed",
      facts: { field: "bos_token_id" },
    });
  });
});

describe("a chat template", () => {
  const model = { "tokenizer.model": bpe };
  const of = (files: Record<string, string | object>) =>
    keysOf({ ...model, ...files }, { vocabularySize: 600 });

  it("comes from chat_template.jinja with its companions, without any configuration too", async () => {
    const keys = await of({
      "chat_template.jinja": "main",
      "additional_chat_templates/tool_use.jinja": "tools",
      "additional_chat_templates/r&d.jinja": "research",
      "additional_chat_templates/notes.txt": "none",
    });
    expect(scalarsOf(keys)).toMatchObject({
      ...{ chat_template: "main", "chat_template.tool_use": "tools", "chat_template.r_d": "research" },
    });
    expect(await stringsOf(keys, "tokenizer.chat_templates")).toEqual(["r_d", "tool_use"]);
  });

  it("comes from chat_template.json, and from the configuration before all", async () => {
    const json = { "chat_template.json": { chat_template: "json" } };
    expect(scalarsOf(await of(json)).chat_template).toBe("json");
    const config = { "tokenizer_config.json": { chat_template: "config" }, "chat_template.jinja": "jinja" };
    expect(scalarsOf(await of({ ...json, ...config })).chat_template).toBe("config");
  });

  it("that is neither a text nor named templates is refused", async () => {
    for (const chat_template of [7, [{ name: "default" }], ["text"]])
      await expect(of({ "tokenizer_config.json": { chat_template } })).rejects.toMatchObject({
        code: "tokenizer-malformed",
      });
  });
});
