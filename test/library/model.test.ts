import { writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defaultModelPath, isJaugeError, type LoadOptions, load, type Model } from "../../src/index.js";
import { embeddingsOf, greedyTokens } from "../oracles/plain.js";
import { temporaryFolder } from "./temporary.js";

const options: LoadOptions = { backend: "cpu", threads: 1, sequences: 4 };
const open = (more: LoadOptions = {}) => load(defaultModelPath, { ...options, ...more });

/** The code of the error that a promise fails with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isJaugeError(error) ? error.code : `no typed error: ${error}`;
}

/** Processes that this one started and that still run (Linux). */
async function childProcesses(): Promise<number[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(ids.map((id) => readFile(`/proc/${id}/stat`, "utf8").catch(() => "")));
  return ids
    .filter((_, index) => {
      const [state, parent] = stats[index]!.slice(stats[index]!.lastIndexOf(")") + 2).split(" ");
      return state !== "Z" && Number(parent) === process.pid;
    })
    .map(Number);
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

describe("load", () => {
  it("reports progress to its end and what was loaded", async () => {
    const progress: number[] = [];
    await using model = await open({ onProgress: (fraction) => progress.push(fraction) });
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(model.outline.architecture).toBe("llama");
    expect(model.info.model.vocabularySize).toBe(512);
    expect(model.contextLength).toBe(512);
    expect((await model.memory())[0]!.weightsBytes).toBeGreaterThan(0);
  });

  it("frees everything at the end of `await using`", async () => {
    let processId: number;
    {
      await using model = await open();
      processId = model.hostProcessId!;
      expect(isAlive(processId)).toBe(true);
    }
    expect(isAlive(processId)).toBe(false);
  });

  it("is stopped by a signal, before and while it loads", async () => {
    expect(await codeOf(open({ signal: AbortSignal.abort() }))).toBe("cancelled");
    const controller = new AbortController();
    const loading = open({ signal: controller.signal, onProgress: () => controller.abort() });
    // The last progress may be reported when nothing is left to stop.
    const outcome = await loading.then(
      (model) => model.close(),
      (error: unknown) => error,
    );
    if (outcome !== undefined) expect(isJaugeError(outcome, "cancelled")).toBe(true);
  });

  it.runIf(process.platform === "linux")("leaves no process behind when it fails", async () => {
    const before = await childProcesses();
    expect(await codeOf(open({ template: "no-such-format" }))).toBe("template-unknown");
    expect(await codeOf(open({ sequences: 0 }))).toBe("plan-invalid");
    expect(await codeOf(open({ devices: ["Abacus0"] }))).toBe("device-unknown");
    expect(await codeOf(load("no/such/file.gguf"))).toBe("file-unreadable");
    expect(await codeOf(open({ signal: AbortSignal.abort() }))).toBe("cancelled");
    expect(await childProcesses()).toEqual(before);
  });
});

describe("complete", () => {
  it("continues a text as libllama does, and streams what the result holds", async () => {
    await using model = await open();
    const generation = model.complete("Once upon a time", { temperature: 0, maxTokens: 30 });
    let text = "";
    for await (const piece of generation) text += piece;
    const result = await generation.result;
    const [expected] = await greedyTokens(["Once upon a time"], 30);
    expect(result.tokens).toEqual(expected);
    expect(text).toBe(result.text);
    expect(result).toMatchObject({ format: "raw", droppedTurns: 0, finishReason: "length" });
  });

  it("gives the same text for the same seed, and others for others", async () => {
    await using model = await open();
    const ask = async (seed: number) =>
      (await model.complete("One day", { seed, temperature: 1.2, maxTokens: 30 }).result).text;
    const [one, same, other] = await Promise.all([ask(1), ask(1), ask(2)]);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
  });

  it("ends by cancel() and by a signal, also before its prompt is made", async () => {
    await using model = await open();
    const never = { ignoreEndOfGeneration: true };
    const before = model.complete("Once", never);
    before.cancel();
    expect(await before.result).toMatchObject({ finishReason: "cancelled" });
    const aborted = model.complete("Once", { ...never, signal: AbortSignal.abort() });
    expect(await aborted.result).toMatchObject({ finishReason: "cancelled", tokens: [] });
    const running = model.complete("Once", never);
    for await (const _ of running) running.cancel();
    expect(await running.result).toMatchObject({ finishReason: "cancelled" });
  });

  it("fails with typed errors, in the result and where it is iterated", async () => {
    await using model = await open();
    const cases = [
      [{ temperature: -1 }, "sampling-invalid"],
      [{ grammar: "root ::= (" }, "grammar-invalid"],
      [{ jsonSchema: { type: "string", format: "no such format" } }, "json-schema-unsupported"],
    ] as const;
    for (const [settings, code] of cases) {
      const generation = model.complete("Once", settings as object);
      expect(await codeOf(generation.result)).toBe(code);
      const iterate = async () => {
        for await (const _ of generation) expect.unreachable();
      };
      expect(await codeOf(iterate())).toBe(code);
    }
    expect(await codeOf(model.complete("a ".repeat(2000)).result)).toBe("request-too-long");
  });

  it("can be read again after its end", async () => {
    await using model = await open();
    const generation = model.complete("The cat", { maxTokens: 10 });
    const { text } = await generation.result;
    for (let reading = 0; reading < 2; reading++) {
      let read = "";
      for await (const piece of generation) read += piece;
      expect(read).toBe(text);
    }
  });
});

describe("chat", () => {
  const user = (content: string) => ({ role: "user", content }) as const;
  const assistant = (content: string) => ({ role: "assistant", content }) as const;

  it("answers many at once", async () => {
    await using model = await open();
    const names = Array.from({ length: 12 }, (_, index) => `Tim${index}`);
    const ask = (name: string) =>
      model.chat([user(`A story of ${name}`)], { temperature: 0, maxTokens: 16 }).result;
    const together = await Promise.all(names.map(ask));
    for (const [index, name] of names.slice(0, 3).entries())
      expect(together[index]!.text).toBe((await ask(name)).text);
  });

  it("uses the format it was loaded with, by name or as Jinja text, and stops at its stop strings", async () => {
    const contentOnly = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}";
    await using jinja = await open({ template: contentOnly });
    await using alpaca = await open({ template: "alpaca" });
    await using plain = await open();
    expect([jinja.format.name, alpaca.format.name, plain.format.name]).toEqual([
      expect.anything(),
      "alpaca",
      "raw",
    ]);
    const settings = { temperature: 0, maxTokens: 12 };
    const tokensOf = async (model: Model) => {
      const { result } = model.chat([user("Once upon a time")], settings);
      return (await result).stats.promptTokens;
    };
    const own = (await jinja.tokenize("<user>Once upon a time")).length;
    expect(await tokensOf(jinja)).toBe(own);
    expect(await tokensOf(alpaca)).toBeGreaterThan(await tokensOf(plain));
    expect((await alpaca.chat([user("Hi")], settings).result).format).toBe("alpaca");
  });

  it("drops the oldest turns of what does not fit, and says how many", async () => {
    await using model = await open({ contextLength: 192, template: "chatml" });
    const turns = Array.from({ length: 6 }, (_, index) => [user(`Tell ${index}`), assistant("Yes.")]).flat();
    const messages = [{ role: "system", content: "Be kind." } as const, ...turns, user("And now?")];
    const { droppedTurns, stats } = await model.chat(messages, { maxTokens: 16 }).result;
    expect(droppedTurns).toBeGreaterThan(0);
    expect(droppedTurns).toBeLessThan(6);
    expect(stats.promptTokens).toBeLessThanOrEqual(176);
    const { droppedTurns: none } = await model.chat([user("Hi")], { maxTokens: 4 }).result;
    expect(none).toBe(0);
    expect(await codeOf(model.chat([user("word ".repeat(100))]).result)).toBe("prompt-too-long");
  });

  it("writes control tokens only where the format has them, never where a person wrote them", async () => {
    await using model = await open();
    const [bos] = await model.tokenize("");
    const text = "Say <s> and </s>";
    const { stats } = await model.chat([user(text)], { maxTokens: 1 }).result;
    const asText = await model.tokenize(text, { addSpecial: false, parseSpecial: false });
    expect([...asText]).not.toContain(bos);
    expect(stats.promptTokens).toBe(asText.length + 1);
  });
});

it("answers with JSON of a schema, whatever the seed", async () => {
  const schema = z.strictObject({
    name: z.enum(["Tim", "Lily", "Spot"]),
    age: z.int().min(1).max(99),
    friends: z.array(z.enum(["cat", "dog"])).max(3),
    happy: z.boolean(),
  });
  await using model = await open();
  const answers = await Promise.all(
    Array.from(
      { length: 8 },
      (_, seed) =>
        model.complete("Tim is", {
          jsonSchema: z.toJSONSchema(schema),
          temperature: 1.5,
          seed,
          maxTokens: 200,
        }).result,
    ),
  );
  for (const { text, finishReason } of answers) {
    expect(finishReason).toBe("stop");
    expect(() => schema.parse(JSON.parse(text))).not.toThrow();
  }
  expect(new Set(answers.map(({ text }) => text)).size).toBeGreaterThan(3);
});

it("tokenises and detokenises", async () => {
  await using model = await open();
  const text = "Zoé met 猫 🙂, once";
  const tokens = await model.tokenize(text, { addSpecial: false });
  expect(await model.detokenize(tokens)).toContain(text);
  expect((await model.tokenTexts([...tokens])).length).toBe(tokens.length);
  expect((await model.tokenize("</s>")).at(-1)).toBe(model.info.model.tokens.eos);
  expect((await model.tokenize("</s>", { parseSpecial: false })).at(-1)).not.toBe(
    model.info.model.tokens.eos,
  );
});

it("embeds texts as libllama does, at length 1 unless told otherwise, beside generations", async () => {
  await using model = await open();
  const texts = ["The cat sat on the mat.", "A dog ran."];
  const running = model.complete("Once upon a time", { temperature: 0, maxTokens: 40 });
  const [vectors, raw, expected] = await Promise.all([
    model.embed(texts),
    model.embed(texts, { normalize: false }),
    embeddingsOf(texts, "mean"),
  ]);
  expected.forEach((vector, index) => {
    const length = Math.hypot(...vector);
    for (const [place, value] of vector.entries()) {
      expect(raw[index]![place]).toBeCloseTo(value, 3);
      expect(vectors[index]![place]).toBeCloseTo(value / length, 3);
    }
  });
  expect(await model.embed([])).toEqual([]);
  expect((await running.result).tokens.length).toBe(40);
});

it("answers nothing where it was loaded for embeddings", async () => {
  await using model = await open({ embeddings: { pooling: "last" } });
  expect(await codeOf(model.complete("Once upon a time").result)).toBe("embeddings-only");
  const [vector] = await model.embed(["A dog ran."], { normalize: false });
  const [expected] = await embeddingsOf(["A dog ran."], "last");
  expected!.forEach((value, place) => {
    expect(vector![place]).toBeCloseTo(value, 2);
  });
});

it("outlives its host", async () => {
  await using model = await open();
  const ask = async () => (await model.complete("Once", { temperature: 0, maxTokens: 20 }).result).text;
  const expected = await ask();
  process.kill(model.hostProcessId!, "SIGKILL");
  expect(await ask()).toBe(expected);
  const generation = model.complete("Once", { temperature: 0, maxTokens: 20 });
  for await (const _ of generation) {
    process.kill(model.hostProcessId!, "SIGKILL");
    break;
  }
  expect((await generation.result).text).toBe(expected);
});

it("ends what runs when it is closed, and takes no more", async () => {
  const model = await open();
  const running = model.complete("Once", { ignoreEndOfGeneration: true });
  for await (const _ of running) break;
  await model.close();
  expect((await running.result).finishReason).toBe("cancelled");
  expect(await codeOf(model.complete("Once").result)).toBe("host-closed");
  await model.close();
});

it("reads a template from a file", async () => {
  using folder = temporaryFolder();
  const path = `${folder.path}/template.jinja`;
  writeFileSync(path, "{% for message in messages %}{{ message.content }}!{% endfor %}");
  await using model = await open({ template: path });
  const { result } = model.chat([{ role: "user", content: "Once" }], { maxTokens: 1 });
  expect((await result).stats.promptTokens).toBe((await model.tokenize("Once!")).length);
});
