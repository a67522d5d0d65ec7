import { describe, expect, it } from "vitest";
import { translateArguments } from "../../src/cli/arguments.js";
import { type OptionTable, spellingsOf } from "../../src/cli/option-spec.js";
import {
  answerOptions,
  modelOptions,
  outputOptions,
  promptOptions,
  reportOptions,
  samplingOptions,
} from "../../src/cli/options.js";

const tables: OptionTable[] = [
  promptOptions,
  answerOptions,
  reportOptions,
  outputOptions,
  modelOptions,
  samplingOptions,
];
const known = spellingsOf(tables);
const translate = (line: string) => translateArguments(line.split(" "), known);

describe("translateArguments", () => {
  it.each([
    ["-ngl 5", "--n-gpu-layers=5"],
    ["--gpu-layers all", "--n-gpu-layers=all"],
    ["--ctx_size 128", "--ctx-size=128"],
    ["--ctx_size=128", "--ctx-size=128"],
    ["-c 128 -ctk q8_0 -ctv q8_0", "--ctx-size=128 --cache-type-k=q8_0 --cache-type-v=q8_0"],
    ["--temperature 0.5 -s -1", "--temp=0.5 --seed=-1"],
    ["-fa", "--flash-attn=on"],
    ["-fa model.gguf", "--flash-attn=on model.gguf"],
    ["-fa off model.gguf", "--flash-attn=off model.gguf"],
    ["-nkvo -no-cnv", "--no-kv-offload --no-conversation"],
    ["-p -ngl", "--prompt=-ngl"],
    ["--stop a --stop b", "--reverse-prompt=a --reverse-prompt=b"],
    ["--lora-scaled a.gguf 0.5 x", "--lora-scaled=a.gguf:0.5 x"],
    ["--lora-scaled a.gguf:0.5 1", "--lora-scaled=a.gguf:0.5 1"],
    ["--chat-template chatml", "--template=chatml"],
    ["-- -ngl 5", "-- -ngl 5"],
    ["--no-such-option 5", "--no-such-option 5"],
    ["-n", "--predict"],
  ])("%s", (given, expected) => {
    expect(translate(given).arguments.join(" ")).toBe(expected);
  });

  it("leaves out what means nothing here, with its value, and says so", () => {
    expect(translate("--color -i --no-warmup model.gguf --color auto --prio 2 hi")).toEqual({
      arguments: ["model.gguf", "hi"],
      ignored: ["--color", "-i", "--no-warmup", "--color", "--prio"],
    });
  });

  it("knows every option by a name that commander keeps it under", () => {
    for (const [name, spec] of tables.flatMap((table) => Object.entries(table))) {
      const long = spec.flags.split(/[ ,]+/).findLast((part) => part.startsWith("--"))!;
      const camelCase = long
        .replace(/^--(no-)?/, "")
        .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      expect(camelCase).toBe(name);
    }
  });

  it("gives no spelling to two options", () => {
    const all = tables
      .flatMap((table) => Object.values(table))
      .flatMap((spec) => [spec, spec.negative ?? []].flat());
    const names = all.flatMap((spec) => [
      ...spec.flags.split(/[ ,]+/).filter((part) => part.startsWith("-")),
      ...spec.aliases,
    ]);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});
