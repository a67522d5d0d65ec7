import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Line, linesOf } from "../../src/batch/input/lines.js";
import { readObject } from "../../src/batch/input/read-object.js";
import { openSource, type SourceOptions } from "../../src/batch/input/source.js";
import { Template } from "../../src/batch/input/template.js";
import type { BatchItem } from "../../src/batch/request.js";
import { isJaugeError, JaugeError } from "../../src/errors.js";
import { temporaryFolder } from "../cli/harness.js";

async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const end = start + (sizes[index % sizes.length] ?? bytes.length);
    // A buffer that is used again, as streams may do.
    const chunk = Buffer.from(bytes.subarray(start, end));
    yield chunk;
    chunk.fill(0x21);
    start = end;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe("lines", () => {
  const pieces = fc.array(fc.constantFrom("\n", "\r\n", "a", "é😀", " ", "{}", "\uFEFF", "long enough"));
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

  it("are those of the text, wherever the chunks end", async () => {
    await fc.assert(
      fc.asyncProperty(pieces, sizes, async (parts, chunkSizes) => {
        const text = parts.join("");
        const expected = text
          .split("\n")
          .map((line, index) => ({
            number: index + 1,
            text: (index === 0 ? line.replace(/^\uFEFF/, "") : line).replace(/\r$/, ""),
          }))
          .filter((line) => line.text.trim() !== "");
        expect(await all(linesOf(chunked(Buffer.from(text), chunkSizes), 1000))).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it("keep nothing of one that is too long, and go on after it", async () => {
    const text = Buffer.from(`${"x".repeat(11)}\n0123456789\n${"y".repeat(5000)}`);
    for (const size of [1, 7, 10_000]) {
      const lines = await all(linesOf(chunked(text, [size]), 10));
      expect(lines).toEqual<Line[]>([
        { number: 1, text: "", problem: "too-long" },
        { number: 2, text: "0123456789" },
        { number: 3, text: "", problem: "too-long" },
      ]);
    }
  });

  it("say where they are not UTF-8", async () => {
    const lines = await all(linesOf(chunked(Buffer.from([0x61, 10, 0xff, 0xfe, 10, 0x62]), [2]), 10));
    expect(lines.map(({ problem }) => problem)).toEqual([undefined, "not-utf8", undefined]);
  });
});

describe("templates", () => {
  it("fill in fields, and leave braces alone that are doubled", () => {
    const template = new Template("{{a}} {text}, {n} {text}");
    expect(template.fields).toEqual(["text", "n"]);
    expect(template.fill({ text: "{n}", n: 3 })).toBe("{a} {n}, 3 {n}");
  });

  it.each(["no field", "{", "a }", "{}", "{a{b}}"])("refuse %j", (text) => {
    expect(() => new Template(text)).toThrow(JaugeError);
  });

  it("give back any text around a field", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (before, after, value) => {
        const escaped = (text: string) => text.replaceAll("{", "{{").replaceAll("}", "}}");
        const template = new Template(`${escaped(before)}{x}${escaped(after)}`);
        expect(template.fill({ x: value })).toBe(before + value + after);
      }),
    );
  });

  it("miss fields that only every object has", () => {
    expect(() => new Template("{constructor}").fill({ text: "x" })).toThrow(JaugeError);
  });
});

/** The code and the field of what is wrong with an object. */
function wrongWith(object: unknown): string {
  const { request } = readObject(object, 1);
  if (!(request instanceof JaugeError)) return "nothing";
  return [request.code, (request.facts as { field?: string }).field].filter(Boolean).join(" ");
}

const chat = { messages: [{ role: "user", content: "Hello" }] };
const openai = (body: object, url = "/v1/chat/completions") => ({
  ...{ custom_id: "a", method: "POST", url, body },
});

describe("objects", () => {
  it("are OpenAI's, with all that can be honoured", () => {
    const { customId, request } = readObject(
      openai({
        ...{ model: "any", user: "me", n: 1, stream: false, tools: [], temperature: 0.5, top_p: null },
        ...{ max_completion_tokens: 7, seed: -1, stop: "END", logprobs: true, top_logprobs: 2 },
        ...{ logit_bias: { "5": -100 }, response_format: { type: "json_object" } },
        messages: [
          {
            role: "developer",
            content: [
              { type: "text", text: "Be " },
              { type: "text", text: "brief" },
            ],
          },
          { role: "user", content: "Hello" },
        ],
      }),
      1,
    );
    expect(customId).toBe("a");
    expect(request).toEqual({
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hello" },
      ],
      options: {
        ...{ priority: "batch", temperature: 0.5, maxTokens: 7, seed: 0xffff_fffe, stop: ["END"] },
        ...{ logprobs: 2, logitBias: [[5, -100]], jsonSchema: { type: "object" } },
      },
    });
  });

  it("are completions of text and tokens, and embeddings of several", () => {
    const completion = (prompt: unknown) => readObject(openai({ prompt }, "/v1/completions"), 1).request;
    expect(completion("x")).toMatchObject({ kind: "completion", prompt: "x" });
    expect(completion(["x"])).toMatchObject({ prompt: "x" });
    expect(completion([1, 2])).toMatchObject({ prompt: Int32Array.of(1, 2) });
    expect(readObject(openai({ input: ["x", "y"] }, "/v1/embeddings"), 1).request).toEqual({
      ...{ kind: "embedding", input: ["x", "y"], encoding: "float" },
    });
  });

  it("may be simpler: a prompt is a message, unless it is to be continued", () => {
    expect(readObject({ prompt: "x", max_tokens: 3 }, 1, { system: "s" }).request).toMatchObject({
      ...{ kind: "chat", options: { maxTokens: 3 } },
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "x" },
      ],
    });
    expect(readObject({ prompt: "x" }, 1, { raw: true }).request).toMatchObject({ kind: "completion" });
    expect(readObject({ ...chat, custom_id: "b" }, 7)).toMatchObject({ customId: "b" });
    expect(readObject(chat, 7).customId).toBe("line-7");
  });

  it.each<[unknown, string]>([
    ["text", "line-invalid line"],
    [[], "line-invalid line"],
    [{}, "line-invalid line"],
    [{ ...chat, custom_id: 3 }, "line-invalid custom_id"],
    [{ ...chat, custom_id: "" }, "line-invalid custom_id"],
    [{ ...chat, custom_id: "x".repeat(2000) }, "line-invalid custom_id"],
    [{ ...openai(chat), method: "GET" }, "line-invalid method"],
    [openai(chat, "/v1/images"), "line-invalid url"],
    [openai(chat, "constructor"), "line-invalid url"],
    [{ ...openai(chat), body: 3 }, "line-invalid body"],
    [{ ...openai(chat), extra: 3 }, "line-unsupported extra"],
    [openai({ ...chat, tools: [{}] }), "line-unsupported tools"],
    [openai({ ...chat, functions: [{}] }), "line-unsupported functions"],
    [openai({ ...chat, tool_choice: "required" }), "line-unsupported tool_choice"],
    [openai({ ...chat, n: 0 }), "line-invalid n"],
    [openai({ ...chat, n: 129 }), "line-invalid n"],
    [openai({ input: "text", n: 2 }, "/v1/embeddings"), "line-unsupported n"],
    [openai({ ...chat, stream: true }), "line-unsupported stream"],
    [openai({ ...chat, modalities: ["audio"] }), "line-unsupported modalities"],
    [openai({ ...chat, temprature: 1 }), "line-unsupported temprature"],
    [openai({ ...chat, max_tokens: 0 }), "line-invalid max_tokens"],
    [openai({ ...chat, max_tokens: 1.5 }), "line-invalid max_tokens"],
    [openai({ ...chat, max_tokens: 1, max_completion_tokens: 2 }), "line-invalid max_tokens"],
    [openai({ ...chat, temperature: "hot" }), "line-invalid temperature"],
    [openai({ ...chat, top_logprobs: 2 }), "line-invalid top_logprobs"],
    [openai({ ...chat, stop: [1] }), "line-invalid stop.0"],
    [openai({ ...chat, grammar: "x", json_schema: {} }), "line-invalid json_schema"],
    [openai({ ...chat, response_format: { type: "yaml" } }), "line-invalid response_format.type"],
    [openai({ messages: [] }), "line-invalid messages"],
    [openai({ messages: [{ role: "tool", content: "x" }] }), "line-invalid messages.0.role"],
    [
      openai({ messages: [{ role: "user", content: [{ type: "image_url" }] }] }),
      "line-invalid messages.0.content.0.type",
    ],
    [openai({ messages: [{ role: "user", content: "x", tool_calls: [] }] }), "line-invalid messages.0"],
    [openai({ prompt: ["a", "b"] }, "/v1/completions"), "line-invalid prompt"],
    [openai({ prompt: "a", suffix: "b" }, "/v1/completions"), "line-unsupported suffix"],
    [openai({ prompt: "a", echo: true }, "/v1/completions"), "line-unsupported echo"],
    [openai({ prompt: "a", best_of: 3 }, "/v1/completions"), "line-unsupported best_of"],
    [openai({ input: "a", dimensions: 5 }, "/v1/embeddings"), "line-unsupported dimensions"],
    [openai({ input: [] }, "/v1/embeddings"), "line-invalid input"],
    [JSON.parse('{"prompt":"x","__proto__":{"n":2}}'), "line-unsupported __proto__"],
  ])("that are wrong say where: %j", (object, expected) => {
    expect(wrongWith(object)).toBe(expected);
  });

  it.each<[unknown, string]>([
    [{ prompt: null }, "The line has no prompt, messages, input or body"],
    [{ messages: null }, "messages: is missing"],
    [{ prompt: 3 }, "prompt: is neither a text nor a list of texts or tokens"],
    [{ prompt: "x", custom_id: "" }, "custom_id: is empty"],
    [{ prompt: "x", stop: 3 }, "stop: is neither a text nor a list of texts"],
    [{ prompt: "x", temperature: "hot" }, "temperature: expected number, received string"],
    [{ prompt: "x", logit_bias: { the: 1 } }, "logit_bias.the: is no token's number"],
    [
      { prompt: "x", response_format: { type: "xml" } },
      "response_format.type: is none of text, json_object, json_schema",
    ],
    [
      { prompt: "x", response_format: "json" },
      "response_format: is not an object whose type is one of text, json_object, json_schema",
    ],
  ])("that are wrong say what is allowed, once: %j", (object, expected) => {
    const { request } = readObject(object, 1);
    expect(request instanceof JaugeError && request.message).toBe(expected);
  });

  it("never throw, whatever they are", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (value, other) => {
        for (const object of [
          value,
          { prompt: value },
          { messages: [value], temperature: other },
          openai({ messages: value, stop: other }),
          { custom_id: value, input: other },
        ]) {
          const { request, customId } = readObject(object, 1);
          expect(typeof customId).toBe("string");
          if (request instanceof Error) expect(isJaugeError(request)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("files", () => {
  const folder = temporaryFolder();
  async function items(name: string, content: string | Buffer, options: SourceOptions = {}) {
    const path = join(folder, name);
    writeFileSync(path, content);
    return await all((await openSource(path, options)).items());
  }
  const prompts = (found: BatchItem[]) =>
    found.map(({ customId, request }) => [
      customId,
      request instanceof JaugeError
        ? request.code
        : request.kind === "chat"
          ? request.messages.at(-1)!.content
          : request.kind,
    ]);

  it("of text are a prompt a line", async () => {
    expect(prompts(await items("a.txt", "one\n\ntwo\r\n"))).toEqual([
      ["line-1", "one"],
      ["line-3", "two"],
    ]);
    const template = new Template("Say {text}!");
    expect(prompts(await items("b.txt", "one", { template }))).toEqual([["line-1", "Say one!"]]);
  });

  it("of JSON are told by their name or their first character", async () => {
    const expected = [
      ["line-1", "x"],
      ["line-2", "line-not-json"],
    ];
    const text = '{"prompt":"x"}\nnonsense\n';
    expect(prompts(await items("a.jsonl", text))).toEqual(expected);
    expect(prompts(await items("a.data", `\uFEFF${text}`))).toEqual(expected);
    const template = new Template("{a}-{b}");
    const fields = '{"a":"x","b":2,"custom_id":"i"}\n{"a":"x"}';
    expect(prompts(await items("b.jsonl", fields, { template }))).toEqual([
      ["i", "x-2"],
      ["line-2", "line-invalid"],
    ]);
  });

  it("of commas have quotes, of tabs have none", async () => {
    const template = new Template("Traduis : {text}");
    const csv = 'custom_id,text\nA,"one, ""two""\nthree"\n,four\nB,five,six\nC\n';
    expect(prompts(await items("a.csv", csv, { template }))).toEqual([
      ["A", 'Traduis : one, "two"\nthree'],
      ["line-2", "Traduis : four"],
      ["B", "line-invalid"],
      ["line-4", "line-invalid"],
    ]);
    expect(prompts(await items("a.tsv", 'prompt\tx\nsay "hello\ty\n'))).toEqual([["line-1", 'say "hello']]);
  });

  it("of commas say which row cannot be read", async () => {
    const found = prompts(await items("b.csv", 'prompt\nfine\n"open\nand on\n'));
    expect(found).toEqual([
      ["line-1", "fine"],
      ["line-2", "line-invalid"],
    ]);
  });

  it.each([
    ['prompt\nfine\n"open\nand on\n', "never closed", 3],
    ['prompt\n"two\nlines"\n\n\n"open\nand on\nand on\n', "never closed", 6],
    ['prompt\nfine\na "stray" quote\nlost\n', "stands where none may", 3],
  ])("of commas name the line from which on they cannot be read: %j", async (content, problem, line) => {
    const path = join(folder, "open.csv");
    writeFileSync(path, content);
    const source = await openSource(path, {});
    const found = await all(source.items());
    expect(found.length).toBe(2);
    const { request } = found[1]!;
    expect(request instanceof JaugeError && request.message).toMatch(
      new RegExp(`line ${line}\\b.*${problem}`),
    );
    expect(source.table.unreadFrom).toBe(line);
  });

  it("of commas set nothing: columns that look so are told", async () => {
    const path = join(folder, "settings.csv");
    writeFileSync(path, "prompt,max_tokens,subject,temperature\nx,3,y,0\n");
    const source = await openSource(path, {});
    await all(source.items());
    expect(source.table).toEqual({ ignoredColumns: ["max_tokens", "temperature"] });
  });

  it.each([
    ["c.csv", "a,b\n1,2\n", "batch-columns-unknown"],
    ["e.csv", "prompt,a,prompt\n1,2,3\n", "batch-columns-repeated"],
    ["f.csv", "custom_id,prompt,custom_id\n1,2,3\n", "batch-columns-repeated"],
    ["d.csv", "", "batch-table-empty"],
  ])("without the columns that are asked for are refused: %s", async (name, content, code) => {
    const error = await items(name, content).catch((thrown: unknown) => thrown);
    expect(isJaugeError(error) && error.code).toBe(code);
  });

  it("that are not there are refused", async () => {
    for (const path of [join(folder, "none"), folder]) {
      const error = await openSource(path, {}).catch((thrown: unknown) => thrown);
      expect(isJaugeError(error, "file-unreadable")).toBe(true);
    }
  });
});
