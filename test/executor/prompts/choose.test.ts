import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chooseFormat, type FormatFacts } from "../../../src/executor/prompts/choose.js";
import { promptText } from "../../../src/executor/prompts/prompt.js";

const own = "{{ messages[0].content }}";

describe("the prompt format", () => {
  it.each<[string, FormatFacts]>([
    ["vicuna", { fileName: "ggml-vicuna-7b-1.1-q4_2.gguf", modelName: "LLaMA" }],
    ["vicuna", { fileName: "/models/x.gguf", modelName: "lmsys_vicuna-13b-v1.5" }],
    ["vicuna", { fileName: "Wizard-Vicuna-13B-Uncensored.Q4_K_M.gguf" }],
    ["alpaca", { fileName: "gpt4-x-alpaca-13b.gguf" }],
    ["alpaca", { modelName: "Alpaca 7B native" }],
    ["koala", { fileName: "koala-13B-4bit.gguf" }],
    ["gpt4all", { fileName: "gpt4all-13b-snoozy-q4_0.gguf", architecture: "llama" }],
    ["vigogne-instruct", { fileName: "vigogne-2-7b-instruct.Q4_K_M.gguf" }],
    ["vigogne-chat", { fileName: "Vigogne-2-13B-Chat.Q5_0.gguf", chatTemplate: own }],
    ["llama2", { fileName: "llama-2-7b-chat.Q4_0.gguf", architecture: "llama" }],
    ["llama2", { modelName: "Llama2 13B Chat HF" }],
    ["mistral", { fileName: "mistral-7b-instruct-v0.2.Q4_K_M.gguf", architecture: "llama" }],
    ["mistral", { fileName: "Mixtral-8x7B-Instruct-v0.1.gguf" }],
    ["jinja", { fileName: "mistral-7b-instruct-v0.3.gguf", chatTemplate: own }],
    ["jinja", { fileName: "llama-2-7b-chat.gguf", chatTemplate: own }],
    ["jinja", { fileName: "qwen2.5-0.5b-instruct.gguf", chatTemplate: own }],
    ["raw", { fileName: "mistral-7b-instruct-v0.3.gguf" }],
    ["raw", { fileName: "Qwen2.5-7B-Base.gguf", chatTemplate: own }],
    ["raw", { fileName: "llama-2-7b.Q4_0.gguf" }],
    ["raw", { fileName: "alpacas-and-vicunas.gguf" }],
    ["raw", { fileName: "gpt4-x-vicuna-13B.gguf" }],
    ["raw", { fileName: "/home/vicuna/llama-7b.gguf" }],
    ["raw", {}],
  ])("is %s for %o", (name, facts) => {
    const format = chooseFormat(facts);
    expect(format.name).toBe(name);
    expect(format.reason).toMatch(/^[^\n]+$/);
  });

  it("says why", () => {
    expect(chooseFormat({ fileName: "koala-7b.gguf" }).reason).toContain("koala-7b.gguf");
    expect(chooseFormat({ chatTemplate: own }).reason).toContain("tokenizer.chat_template");
    expect(chooseFormat({}).reason).toContain("--template");
  });
});

describe("--template", () => {
  it("takes a format, over what the model says", () => {
    expect(chooseFormat({ template: "chatml", fileName: "koala.gguf", chatTemplate: own }).name).toBe(
      "chatml",
    );
  });

  it("takes one of the model's named templates", async () => {
    const format = chooseFormat({
      template: "tool_use",
      chatTemplates: { tool_use: "T {{ messages[0].content }}" },
    });
    expect(promptText(await format.render([{ role: "user", content: "Hi" }]))).toBe("T Hi");
    expect(format.reason).toContain("tokenizer.chat_template.tool_use");
  });

  it("takes Jinja text and Jinja files", async () => {
    const folder = mkdtempSync(join(tmpdir(), "jauge-"));
    const file = join(folder, "own.jinja");
    writeFileSync(file, "F {{ messages[0].content }}");
    try {
      for (const [template, text] of [
        ["I {{ messages[0].content }}", "I Hi"],
        [file, "F Hi"],
      ] as const) {
        const format = chooseFormat({ template });
        expect(promptText(await format.render([{ role: "user", content: "Hi" }]))).toBe(text);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses an unknown name and lists the known ones", () => {
    const choose = () => chooseFormat({ template: "alpaka", chatTemplates: { tool_use: own } });
    expect(choose).toThrow(expect.objectContaining({ code: "template-unknown" }));
    expect(choose).toThrow(
      expect.objectContaining({ fix: expect.stringMatching(/alpaca, vicuna, .*raw, tool_use/) }),
    );
  });
});
