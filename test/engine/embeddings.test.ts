import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { embeddingsOf, greedyTokens, tokensOf } from "../oracles/plain.js";
import { prompts } from "../oracles/prompts.js";
import { clear, continueWith, distance, failure, openStories } from "./harness.js";
import { writeAdapter } from "./models.js";

/** Embeddings of this model span −6 to 6; batches of other shapes round otherwise. */
const tolerance = 0.01;

const temporary = temporaryFolder();
let engine: Engine;
let texts: Int32Array[];
beforeAll(async () => {
  engine = await openStories({ contextLength: 300 });
  texts = await tokensOf(prompts);
});

describe("embeddings", () => {
  it.each(["mean", "last", "cls", "none"] as const)("pooled by %s are those of libllama", async (pooling) => {
    const expected = await embeddingsOf(prompts, pooling);
    const found = await engine.embed(texts, pooling);
    expect(found).toHaveLength(prompts.length);
    found.forEach((vector, index) => {
      expect(vector).toHaveLength(engine.info.model.embeddingSize);
      expect(distance(vector, expected[index]!), prompts[index]).toBeLessThan(tolerance);
    });
  });

  it("of more texts than fit at once come in order", async () => {
    const many = Array.from({ length: 40 }, (_, index) => texts[index % texts.length]!);
    const found = await engine.embed(many, "mean");
    const once = await engine.embed(texts, "mean");
    found.forEach((vector, index) => {
      expect(distance(vector, once[index % texts.length]!)).toBeLessThan(tolerance);
    });
  });

  it("of no text are none", async () => {
    expect(await engine.embed([], "mean")).toEqual([]);
  });

  it("of a text as long as the context are computed, of a longer one refused", async () => {
    const text = (length: number) => Int32Array.from({ length }, (_, index) => 300 + (index % 200));
    expect(await engine.embed([text(300)], "mean")).toHaveLength(1);
    expect(await failure(engine.embed([text(10), text(301)], "mean"))).toMatchObject({
      code: "text-too-long",
      facts: { tokens: 301, limit: 300 },
    });
  });

  it("are refused where the model has no such pooling; the host lives on", async () => {
    const refused = await failure(engine.embed(texts, "rank"));
    expect(refused.code).toBe("embeddings-unsupported");
    expect(await engine.embed(texts, "mean")).toHaveLength(texts.length);
  });

  it("are refused for a text without tokens", async () => {
    expect(await failure(engine.embed([texts[0]!, new Int32Array(0)], "none"))).toMatchObject({
      code: "embeddings-unsupported",
    });
  });

  it("see the LoRA adapters", async () => {
    const path = temporary.path("adapter.gguf");
    await writeAdapter(path);
    const adapters = [{ path, scale: 1 }];
    const adapted = await openStories({ adapters });
    const [found] = await adapted.embed([texts[5]!], "mean");
    const [expected] = await embeddingsOf([texts[5]!], "mean", { adapters });
    expect(distance(found!, expected!)).toBeLessThan(tolerance);
    expect(distance(found!, (await engine.embed([texts[5]!], "mean"))[0]!)).toBeGreaterThan(0.1);
  });

  it("leave the conversation's own KV cache alone", async () => {
    await clear(engine);
    const [expected] = await greedyTokens([texts[5]!], 12);
    const first = await continueWith(engine, texts[5]!, 6);
    await engine.embed(texts, "last");
    const rest = await continueWith(engine, Int32Array.of(first.tokens[5]!), 6, {
      position: texts[5]!.length + 5,
    });
    expect([...first.tokens, ...rest.tokens]).toEqual(expected);
  });
});
