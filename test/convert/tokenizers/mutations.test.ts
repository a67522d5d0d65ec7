import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTokenizer } from "../../../src/convert/tokenizers/read-tokenizer.js";
import { isJaugeError } from "../../../src/errors.js";
import { fixture, folderOf, keysOf } from "./harness.js";
import { byteLevelTokenizer, trainBpe, trainingText } from "./train.js";

/** Either keys or an error that says what to do; anything else fails the test. */
async function expectAnswer(reading: Promise<unknown>): Promise<void> {
  try {
    await reading;
  } catch (error) {
    if (!isJaugeError(error)) throw error;
  }
}

describe("a damaged tokenizer", () => {
  it.each(["bpe.model", "unigram.model"])("is an error or is read: %s", async (name) => {
    const model = await readFile(fixture(name));
    const edit = fc.record({
      at: fc.nat(model.length - 1),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 6 }),
    });
    const damage = fc.record({
      edits: fc.array(edit, { minLength: 1, maxLength: 5 }),
      cut: fc.nat(model.length),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ edits, cut }) => {
        const bytes = Buffer.from(model);
        for (const { at, bytes: change } of edits) bytes.set(change.subarray(0, model.length - at), at);
        const end = cut % 3 === 0 ? cut : model.length;
        const files = { "tokenizer.model": bytes.subarray(0, end) };
        const architecture = name === "bpe.model" ? "llama" : "t5";
        await expectAnswer(keysOf(files, { architecture, vocabularySize: 600 }));
      }),
      { numRuns: 150 },
    );
  });

  it("is an error or is read: tokenizer.json, any value anywhere", async () => {
    const document = byteLevelTokenizer("gpt-2", trainBpe(trainingText, /\p{L}+/gu, 20));
    // a BPE tokenizer with byte fallback is read in this process, where the others are run in one of their own
    const fast = {
      ...document,
      decoder: { type: "Sequence" },
      model: { ...document.model, byte_fallback: true },
    };
    const paths = [
      ["model"],
      ["model", "vocab"],
      ["model", "merges"],
      ["model", "merges", "3"],
      ["model", "vocab", "a"],
      ["added_tokens"],
      ["added_tokens", "0"],
      ["added_tokens", "0", "id"],
      ["added_tokens", "0", "content"],
      ["post_processor"],
      ["normalizer"],
      ["decoder"],
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.jsonValue(),
        fc.jsonValue(),
        async (path, value, config) => {
          const damaged = structuredClone(fast) as never;
          place(damaged, path, value);
          const files = {
            "tokenizer.json": damaged,
            "tokenizer_config.json": JSON.stringify({
              added_tokens_decoder: config,
              bos_token: value,
              chat_template: config,
            }),
          };
          await expectAnswer(keysOf(files, { vocabularySize: 400, pre: "gpt-2" }));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is an error or is read: a list of ranks", async () => {
    const line = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc
        .tuple(fc.uint8Array({ maxLength: 4 }), fc.integer())
        .map(([bytes, rank]) => `${Buffer.from(bytes).toString("base64")} ${rank}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
        const ranks = Array.from(
          { length: 256 },
          (_, byte) => `${Buffer.from([byte]).toString("base64")} ${byte}`,
        );
        const content = [...ranks, ...lines].join("\n");
        await expectAnswer(keysOf({ "tokenizer.model": content }, { vocabularySize: 600 }));
      }),
      { numRuns: 60 },
    );
  });

  it("that is far too large is refused without being read", async () => {
    const folder = await folderOf({});
    const file = await open(join(folder, "tokenizer.json"), "w");
    await file.truncate(200 * 2 ** 20);
    await file.close();
    const request = { folder, config: {}, architecture: "llama", vocabularySize: 10 };
    await expect(readTokenizer(request)).rejects.toMatchObject({ code: "tokenizer-too-large" });
  });

  it("that is not there is named", async () => {
    await expect(keysOf({}, { vocabularySize: 10 })).rejects.toMatchObject({ code: "tokenizer-missing" });
    await expect(keysOf({}, { architecture: "gemma2", vocabularySize: 10 })).rejects.toMatchObject({
      code: "tokenizer-missing",
      facts: { expected: "tokenizer.model" },
    });
    const unigram = { "tokenizer.json": { model: { type: "Unigram", vocab: {} } } };
    await expect(keysOf(unigram, { vocabularySize: 10 })).rejects.toMatchObject({
      code: "tokenizer-unsupported",
    });
    const other = {
      "vocab.json": {},
      "merges.txt": "",
      "tokenizer_config.json": { tokenizer_class: "XGLMTokenizer" },
    };
    await expect(keysOf(other, { vocabularySize: 10 })).rejects.toMatchObject({
      code: "tokenizer-unsupported",
    });
  });
});

function place(root: Record<string, never>, path: readonly string[], value: unknown): void {
  let target: Record<string, unknown> = root;
  for (const name of path.slice(0, -1)) target = target[name] as Record<string, unknown>;
  target[path.at(-1)!] = value;
}
