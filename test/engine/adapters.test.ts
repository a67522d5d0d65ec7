import { beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../src/engine/engine.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { greedyTokens, logitsOf, storiesPath, tokensOf } from "../oracles/plain.js";
import { prompts } from "../oracles/prompts.js";
import { continueWith, distance, failure, openStories, storiesPlan } from "./harness.js";
import { type AdapterSettings, writeAdapter } from "./models.js";

const temporary = temporaryFolder();
const count = 12;
let prompt: Int32Array;
let base: Float32Array;
beforeAll(async () => {
  await writeAdapter(temporary.path("one.gguf"));
  await writeAdapter(temporary.path("two.gguf"), { seed: 2 });
  prompt = (await tokensOf([prompts[5]!]))[0]!;
  base = (await logitsOf([prompt]))[0]!;
});

async function adapted(...adapters: [name: string, scale: number][]) {
  const placed = adapters.map(([name, scale]) => ({ path: temporary.path(name), scale }));
  const engine = await openStories({ adapters: placed });
  const { tokens, logits } = await continueWith(engine, prompt, count);
  return { tokens, logits: logits[0]!, placed };
}

describe("LoRA adapters", () => {
  it("change nothing at scale 0", async () => {
    expect(distance((await adapted(["one.gguf", 0])).logits, base)).toBe(0);
  });

  it.each([
    [[["one.gguf", 1]]],
    [[["one.gguf", 0.3]]],
    [
      [
        ["one.gguf", 0.5],
        ["two.gguf", -0.25],
      ],
    ],
  ] as [[string, number][]][])("give what libllama gives with them: %j", async (adapters) => {
    const found = await adapted(...adapters);
    const settings = { adapters: found.placed };
    expect(distance(found.logits, base)).toBeGreaterThan(1);
    expect(distance(found.logits, (await logitsOf([prompt], settings))[0]!)).toBe(0);
    expect(found.tokens).toEqual((await greedyTokens([prompt], count, settings))[0]);
  });

  it.each<[string, AdapterSettings]>([
    ["of another architecture", { architecture: "falcon" }],
    ["of another size", { hidden: 32 }],
    ["with a number for a type", { changes: { "general.type": { type: "uint32", value: 1 } } }],
    ["with a text for alpha", { changes: { "adapter.lora.alpha": { type: "string", value: "8" } } }],
    ["of another kind", { changes: { "adapter.type": { type: "string", value: "control" } } }],
  ])("%s are refused", async (_, settings) => {
    const path = temporary.path("wrong.gguf");
    await writeAdapter(path, settings);
    expect(await failure(Engine.open(storiesPlan({ adapters: [{ path, scale: 1 }] })))).toMatchObject({
      code: "adapter-load-failed",
      facts: { path },
    });
  });

  it("that are none are refused: a model, a text, nothing", async () => {
    const text = await temporary.file("text.gguf", "not an adapter");
    for (const path of [storiesPath, text, temporary.path("missing.gguf")]) {
      expect(await failure(Engine.open(storiesPlan({ adapters: [{ path, scale: 1 }] })))).toMatchObject({
        code: "adapter-load-failed",
        facts: { path },
      });
    }
  });
});
