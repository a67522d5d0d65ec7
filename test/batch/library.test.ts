import type OpenAI from "openai";
import { expect, it } from "vitest";
import type { ChatBody, CompletionBody, EmbeddingBody } from "../../src/batch/result.js";
import {
  type BatchResultLine,
  batch,
  defaultModelPath,
  defaultSampling,
  isJaugeError,
  load,
} from "../../src/index.js";
import { FakeModel } from "./fake-model.js";

/** Bodies as they are in the file, as the real package's types. That this compiles is a part of the test. */
const asOpenai = {
  chat: (body: ChatBody): Omit<OpenAI.Chat.ChatCompletion, "service_tier"> => body,
  completion: (body: CompletionBody): OpenAI.Completion => body,
  embedding: (
    body: EmbeddingBody,
  ): Omit<OpenAI.CreateEmbeddingResponse, "data"> & {
    data: (Omit<OpenAI.Embedding, "embedding"> & { embedding: number[] | string })[];
  } => body,
  error: (line: BatchResultLine): OpenAI.Batches.BatchError => ({
    ...{ code: line.error!.code, line: line.error!.line },
    ...{ message: line.error!.message, param: line.error!.param },
  }),
};

async function collect(results: AsyncIterable<BatchResultLine>): Promise<Map<string, BatchResultLine>> {
  const found = new Map<string, BatchResultLine>();
  for await (const result of results) {
    expect(found.has(result.custom_id)).toBe(false);
    found.set(result.custom_id, JSON.parse(JSON.stringify(result)));
  }
  return found;
}

it("answers a loop's requests in the form of OpenAI's package, within the plan's memory", async () => {
  await using model = await load(defaultModelPath, {
    ...{ backend: "cpu", threads: 1, objective: "batch", sequences: 4, ram: "600MB" },
  });
  const planned = await model.memory();
  const request = (custom_id: string, url: string, body: object) => ({
    custom_id,
    method: "POST",
    url,
    body,
  });
  async function* requests() {
    const messages = [{ role: "user", content: "Once upon a time" }];
    yield request("chat", "/v1/chat/completions", { messages, logprobs: true, top_logprobs: 2 });
    yield request("completion", "/v1/completions", { prompt: "Once upon a time", logprobs: 2 });
    yield { custom_id: "json", prompt: "x", json_schema: { enum: ["red", "blue"] } };
    yield { custom_id: "grammar", prompt: "x", grammar: 'root ::= "yes" | "no"' };
    for (const name of ["none1", "none2", "none3"])
      yield { custom_id: name, prompt: "x", grammar: `root ::= ${name} | "fail"\n` };
    yield { custom_id: "top_p", prompt: "x", top_p: 2 };
    yield { custom_id: "logit_bias", prompt: "x", logit_bias: { "9999999": 1 } };
    yield { custom_id: "long", prompt: "word ".repeat(600) };
    yield { custom_id: "stop", prompt: "Once upon a time", stop: [" was"] };
    for (let index = 0; index < 12; index++) {
      // Read at steps: nothing is ever taken beyond what the plan has.
      expect(await model.memory()).toEqual(planned);
      yield "Lily went";
    }
  }
  const results = await collect(batch(model, requests(), { maxTokens: 6, temperature: 0 }));
  expect(results.size).toBe(23);
  const bodyOf = (id: string) => results.get(id)!.response!.body;

  const chat = asOpenai.chat(bodyOf("chat") as ChatBody);
  expect(chat.choices[0]!.message.content!.length).toBeGreaterThan(5);
  expect(chat.choices[0]!.finish_reason).toBe("length");
  expect(chat.usage).toMatchObject({ completion_tokens: 6 });
  const { content } = chat.choices[0]!.logprobs!;
  expect(content!.length).toBe(6);
  const bytes = Buffer.from(content!.flatMap((token) => token.bytes!));
  expect(bytes.toString().trimStart()).toBe(chat.choices[0]!.message.content);
  for (const { logprob, top_logprobs } of content!) {
    expect(top_logprobs.length).toBe(2);
    expect(top_logprobs[0]!.logprob).toBeCloseTo(logprob, 5);
  }
  const completion = asOpenai.completion(bodyOf("completion") as CompletionBody);
  expect(completion.choices[0]!.logprobs!.tokens!.join("")).toBe(completion.choices[0]!.text);
  const textOf = (id: string) => (bodyOf(id) as ChatBody).choices[0]!.message.content;
  expect(["red", "blue"]).toContain(JSON.parse(textOf("json")));
  expect(["yes", "no"]).toContain(textOf("grammar"));
  expect(textOf("stop")).not.toContain("was");
  expect((bodyOf("stop") as ChatBody).choices[0]!.finish_reason).toBe("stop");
  for (const name of ["top_p", "logit_bias"])
    expect(asOpenai.error(results.get(name)!)).toMatchObject({
      ...{ code: "sampling-invalid", param: name, message: expect.stringContaining(`${name}: `) },
    });
  for (const name of ["none1", "none2", "none3"]) {
    const { code, message } = asOpenai.error(results.get(name)!);
    expect(code).toBe("grammar-invalid");
    // Nothing of the others, and one line.
    expect(message).toContain(`cannot be parsed: Undefined rule identifier '${name}'. Check`);
  }
  expect(asOpenai.error(results.get("long")!).code).toBe("request-too-long");
  expect(await model.memory()).toEqual(planned);
});

it("embeds in the form of OpenAI's package", async () => {
  const requests = [{ custom_id: "a", input: ["x", "yy"] }];
  const results = await collect(batch(new FakeModel(), requests));
  const body = asOpenai.embedding(results.get("a")!.response!.body as EmbeddingBody);
  expect(body.data.map(({ embedding }) => embedding)).toEqual([
    [1, 0.5],
    [2, 0.5],
  ]);
});

it("reads no faster than results are taken, and stops when they are not", async () => {
  let read = 0;
  let isClosed = false;
  async function* endless() {
    try {
      for (;;) {
        read++;
        yield "x";
      }
    } finally {
      isClosed = true;
    }
  }
  let taken = 0;
  for await (const _ of batch(new FakeModel(), endless(), { lookAhead: 16 })) {
    await new Promise((resolve) => setImmediate(resolve));
    expect(read - taken).toBeLessThan(16 + 32 + 8 + 256 + 2);
    if (++taken === 400) break;
  }
  await expect.poll(() => isClosed).toBe(true);
});

it("keeps the order where it is asked to, fills templates, and is stopped by a signal", async () => {
  const model = new FakeModel();
  const objects = Array.from({ length: 30 }, (_, index) => ({ custom_id: `${index}`, name: `n${index}` }));
  const ids = [];
  for await (const { custom_id } of batch(model, objects, { ordered: true, template: "Hello {name}" }))
    ids.push(custom_id);
  expect(ids).toEqual(objects.map(({ custom_id }) => custom_id));
  expect(model.submitted.toSorted()).toEqual(objects.map(({ name }) => `Hello ${name}`).toSorted());

  const controller = new AbortController();
  const stopped = (async () => {
    for await (const _ of batch(new FakeModel(), objects, {
      signal: controller.signal,
      raw: true,
      template: "{name}",
    }))
      controller.abort();
  })();
  const error = await stopped.catch((thrown: unknown) => thrown);
  expect(isJaugeError(error, "cancelled")).toBe(true);
});

it.each<[object | null, unknown, string, string]>([
  [{ maxTokens: -3 }, [], "batch-options-invalid", "maxTokens"],
  [{ maxTokens: 2.5 }, [], "batch-options-invalid", "maxTokens"],
  [{ max_tokens: 3 }, [], "batch-options-invalid", "max_tokens"],
  [{ constructor: 3 }, [], "batch-options-invalid", "constructor"],
  [{ stop: "END" }, [], "batch-options-invalid", "stop"],
  [{ logitBias: [1] }, [], "batch-options-invalid", "logitBias.0"],
  [{ temperature: -1 }, [], "sampling-invalid", "temperature"],
  [{ topP: "high" }, [], "sampling-invalid", "topP"],
  [{}, "abc", "batch-options-invalid", "requests"],
  [{}, 5, "batch-options-invalid", "requests"],
  [{}, undefined, "batch-options-invalid", "requests"],
])("refuses options and requests that are none: %j, %j", async (options, requests, code, field) => {
  const results = batch(new FakeModel(), requests as [], options as object);
  const error = await collect(results).catch((thrown: unknown) => thrown);
  expect(isJaugeError(error) && [error.code, (error.facts as { field: string }).field]).toEqual([
    code,
    field,
  ]);
});

it("takes every option that there is, and those that are undefined", async () => {
  const options = { ...defaultSampling, logitBias: [[3, Number.NEGATIVE_INFINITY]] as [number, number][] };
  const more = { jsonSchema: {}, grammar: undefined, seed: 3, signal: new AbortController().signal };
  expect((await collect(batch(new FakeModel(), ["x"], { ...options, ...more } as object))).size).toBe(1);
});

it("throws once where the model is closed", async () => {
  const model = await load(defaultModelPath, { backend: "cpu", threads: 1, contextLength: 256 });
  await model.close();
  const error = await collect(batch(model, ["a", "b"])).catch((thrown: unknown) => thrown);
  expect(isJaugeError(error, "host-closed")).toBe(true);
});
