import { describe, expect, it } from "vitest";
import { checkOutput } from "../../src/convert/check-output.js";
import { outputFiles } from "../../src/convert/output-files.js";
import { openGgufModel } from "../../src/convert/readers/gguf-model.js";
import type { WritableValue } from "../../src/gguf/encode.js";
import { failure } from "../engine/harness.js";
import { storiesPath } from "../gguf/temporary.js";

const model = await openGgufModel(storiesPath);
await model.close();
const types = model.tensors.map(({ type }) => type);

function check(changes: [string, WritableValue][], division: Parameters<typeof outputFiles>[4]) {
  const metadata = new Map([...model.metadata, ...changes]);
  return checkOutput("SOURCE", outputFiles("/nowhere/out.gguf", model, types, metadata, division));
}
const whole = { kind: "whole", order: "layers" } as const;
const divided = { kind: "limited", tensors: 20 } as const;

describe("what would be written", () => {
  it("is read as a reader of the finished files would, without writing any", async () => {
    await expect(check([], whole)).resolves.toBeUndefined();
    await expect(check([], divided)).resolves.toBeUndefined();
  });

  it.each([
    ["tokenizer.ggml.tokens", { type: "array", value: { elementType: "string", items: ["a", "b"] } }],
    ["tokenizer.ggml.bos_token_id", { type: "uint32", value: 70_000 }],
    ["llama.attention.head_count", { type: "uint32", value: 0 }],
  ] as const)("is refused where llama.cpp could not run it: %s", async (field, value) => {
    const more: [string, WritableValue][] =
      field === "tokenizer.ggml.bos_token_id"
        ? [
            ["tokenizer.ggml.model", { type: "string", value: "rwkv" }],
            ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
          ]
        : [];
    for (const division of [whole, divided])
      expect(await failure(check([[field, value as WritableValue], ...more], division))).toMatchObject({
        code: "source-unrunnable",
        facts: { path: "SOURCE", field },
      });
  });

  it("is refused where its architecture is unknown", async () => {
    const other: [string, WritableValue] = ["general.architecture", { type: "string", value: "perceptron" }];
    expect(await failure(check([other], whole))).toMatchObject({
      code: "gguf-architecture-unknown",
      facts: { path: "SOURCE", architecture: "perceptron" },
    });
  });
});
