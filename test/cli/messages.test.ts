import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConversation, saveConversation } from "../../src/cli/conversation-file.js";
import { MessageAssembler } from "../../src/cli/message-assembler.js";
import { changeSetting, settingOf } from "../../src/cli/settings.js";
import { columns, LoadProgress, markdownTable } from "../../src/cli/terminal.js";
import { isJaugeError } from "../../src/errors.js";

describe("MessageAssembler", () => {
  const messages = (...lines: string[]) => {
    const assembler = new MessageAssembler();
    return lines.map((line) => assembler.add(line)).filter((message) => message !== undefined);
  };

  it.each([
    [
      ["one", "two"],
      ["one", "two"],
    ],
    [["one \\", "two"], ["one \ntwo"]],
    [
      ['"""', "one", "two \\", '"""', "three"],
      ["one\ntwo \\", "three"],
    ],
    [['"""one', 'two"""'], ["one\ntwo"]],
    [['"""one"""'], ["one"]],
    [['""""""'], [""]],
    [['say """ now'], ['say """ now']],
  ])("%j", (lines, expected) => {
    expect(messages(...lines)).toEqual(expected);
  });

  it("keeps pasted lines together until one is typed", () => {
    const assembler = new MessageAssembler();
    expect(assembler.add("one", true)).toBeUndefined();
    expect(assembler.isOpen).toBe(true);
    expect(assembler.add("two")).toBe("one\ntwo");
    assembler.add("three", true);
    assembler.clear();
    expect(assembler.add("four")).toBe("four");
  });
});

describe("conversation files", () => {
  const folder = mkdtempSync(join(tmpdir(), "jauge-conversation-"));

  it("come back as they were saved, and leave no other file", async () => {
    const path = join(folder, "saved.json");
    const conversation = [
      { role: "system" as const, content: "Brief." },
      { role: "user" as const, content: 'é\n"quoted"', input: "x" },
      { role: "assistant" as const, content: "" },
    ];
    await saveConversation(path, [{ role: "user", content: "first" }]);
    await saveConversation(path, conversation);
    expect(await loadConversation(path)).toEqual(conversation);
    expect(readdirSync(folder)).toEqual(["saved.json"]);
    expect(JSON.parse(readFileSync(path, "utf8")).version).toBe(1);
  });

  it.each([
    ["{", "json-invalid"],
    ["[]", "conversation-invalid"],
    ['{"version":2,"messages":[]}', "conversation-invalid"],
    ['{"version":1,"messages":[{"role":"user"}]}', "conversation-invalid"],
    ['{"version":1,"messages":[{"role":"tool","content":""}]}', "conversation-invalid"],
    ['{"version":1,"messages":[],"extra":1}', "conversation-invalid"],
  ])("refuses %s", async (text, code) => {
    const path = join(folder, "bad.json");
    writeFileSync(path, text);
    const error = await loadConversation(path).catch((thrown) => thrown);
    expect(isJaugeError(error) && error.code).toBe(code);
  });

  it("cannot be written where there is no folder", async () => {
    const error = await saveConversation(join(folder, "none", "x.json"), []).catch((thrown) => thrown);
    expect(isJaugeError(error, "file-unwritable")).toBe(true);
  });
});

describe("settings", () => {
  it("change by any name of the option, and back to the default", () => {
    const values = changeSetting({ json: true }, "temperature", "0.5");
    expect(values).toEqual({ json: true, temp: 0.5 });
    expect(settingOf(values, "temp")).toBe("0.5");
    expect(changeSetting(values, "--temp", "default")).toEqual({ json: true });
    expect(changeSetting({}, "n", "5")).toEqual({ predict: 5 });
    expect(changeSetting({}, "ignore_eos", "on")).toEqual({ ignoreEos: true });
    expect(changeSetting({}, "stop", "a, b")).toEqual({ reversePrompt: ["a, b"] });
  });

  it.each([
    ["warmth", "1", "setting-unknown"],
    ["model", "x.gguf", "setting-unknown"],
    ["temp", "hot", "option-invalid"],
    ["mirostat", "1", "option-unsupported"],
  ])("%s %s is refused", (name, text, code) => {
    let error: unknown;
    try {
      changeSetting({}, name, text);
    } catch (thrown) {
      error = thrown;
    }
    expect(isJaugeError(error) && error.code).toBe(code);
  });
});

describe("tables", () => {
  it("align their columns", () => {
    const rows = [
      ["a", "1"],
      ["long", "10"],
    ];
    expect(columns(rows, [1])).toEqual(["a      1", "long  10"]);
    expect(markdownTable(rows, [1])).toEqual(["| a    |  1 |", "|------|---:|", "| long | 10 |"]);
  });
});

describe("LoadProgress", () => {
  it("is silent for the first second, then shows a line for every tenth where there is no terminal", async () => {
    let shown = "";
    const stream = { isTTY: false, write: (text: string) => (shown += text) };
    const progress = new LoadProgress("loading x", 5e9, stream as unknown as NodeJS.WriteStream);
    progress.update(0.1);
    expect(shown).toBe("");
    await new Promise((resolve) => setTimeout(resolve, 1050));
    progress.update(0.42);
    progress.update(0.44);
    progress.update(1);
    progress.done();
    expect(shown).toMatch(/^loading x 42 % {2}(1\.\d+|2\.\d+) GB\/s {2}[12] s\n$/);
  });
});
