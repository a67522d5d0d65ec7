import { beforeAll, describe, expect, it } from "vitest";
import type { KvType } from "../../src/plan/plan.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { greedyTokens, logitsOf } from "../oracles/plain.js";
import { continueWith, distance, openStories } from "./harness.js";
import { writeRandomModel } from "./models.js";

const temporary = temporaryFolder();
const prompt = Int32Array.of(1, ...Array.from({ length: 40 }, (_, index) => 270 + ((index * 37) % 200)));
const count = 12;
/** Heads of 32: a whole block of every quantised type. */
let modelPath: string;
beforeAll(async () => {
  modelPath = temporary.path("random.gguf");
  await writeRandomModel(modelPath);
});

describe("a KV cache", () => {
  // The numbers of `enum ggml_type`, ggml.h.
  it.each<[KvType, number, KvType, number]>([
    ["f32", 0, "f32", 0],
    ["bf16", 30, "bf16", 30],
    ["q8_0", 8, "q8_0", 8],
    ["q5_1", 7, "q4_0", 2],
    ["iq4_nl", 20, "q5_0", 6],
    ["q4_1", 3, "f16", 1],
  ])(
    "of %s (%i) keys and %s (%i) values gives what libllama gives with one",
    async (kvTypeK, type_k, kvTypeV, type_v) => {
      const settings = { modelPath, context: { type_k, type_v, flash_attn_type: 1 } };
      const engine = await openStories({ modelPath, kvTypeK, kvTypeV, flashAttention: "on" });
      const found = await continueWith(engine, prompt, count);
      expect(distance(found.logits[0]!, (await logitsOf([prompt], settings))[0]!)).toBe(0);
      expect(found.tokens).toEqual((await greedyTokens([prompt], count, settings))[0]);
      await engine.close();
    },
  );
});
