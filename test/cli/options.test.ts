import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { generateOptions, loadOptions, unescaped } from "../../src/cli/library-options.js";
import {
  decimal,
  deviceList,
  integer,
  layerCount,
  logitBias,
  mirostat,
  oneOf,
  positive,
  scaledAdapters,
  seed,
  shares,
  tensorPlacements,
  type ValueParser,
} from "../../src/cli/option-values.js";
import { isJaugeError } from "../../src/errors.js";

describe("option values", () => {
  const good: [ValueParser<unknown>, string, unknown][] = [
    [integer(-1, 10), "-1", -1],
    [decimal(0, 1), "0.5", 0.5],
    [decimal(), "1e-3", 0.001],
    [positive, ".5", 0.5],
    [oneOf(["on", "off"]), "ON", "on"],
    [layerCount, "all", -1],
    [layerCount, "auto", undefined],
    [layerCount, "33", 33],
    [deviceList, "none", []],
    [deviceList, "Vulkan0, Vulkan1", ["Vulkan0", "Vulkan1"]],
    [shares, "3/1", [3, 1]],
    [
      tensorPlacements,
      "blk\\.1\\.=CPU,exps=Vulkan0",
      [
        { pattern: "blk\\.1\\.", placement: "host" },
        { pattern: "exps", placement: "Vulkan0" },
      ],
    ],
    [
      scaledAdapters,
      "C:\\a.gguf:0.5,b.gguf:2",
      [
        { path: "C:\\a.gguf", scale: 0.5 },
        { path: "b.gguf", scale: 2 },
      ],
    ],
    [logitBias, "15043-1.5", [[15043, -1.5]]],
    [logitBias, "7-inf", [[7, Number.NEGATIVE_INFINITY]]],
    [mirostat, "2", 2],
    [seed, "42", 42],
    [seed, "-1", undefined],
    [seed, "4294967295", undefined],
  ];
  it.each(good)("%o reads %s", (parse, text, expected) => {
    expect(parse(text, "--option")).toEqual(expected);
  });

  const bad: [ValueParser<unknown>, string][] = [
    [integer(0, 10), "11"],
    [integer(0, 10), "1.5"],
    [integer(0, 10), ""],
    [integer(0, 10), "0x5"],
    [decimal(0, 1), "1.1"],
    [decimal(), "NaN"],
    [decimal(), "Infinity"],
    [decimal(), "1,5"],
    [positive, "0"],
    [oneOf(["on", "off"]), "maybe"],
    [layerCount, "most"],
    [shares, "3,x"],
    [tensorPlacements, "exps"],
    [tensorPlacements, "(=CPU"],
    [scaledAdapters, "a.gguf"],
    [logitBias, "hello+1"],
    [logitBias, "5"],
    [mirostat, "3"],
    [seed, "-2"],
  ];
  it.each(bad)("%o refuses %s", (parse, text) => {
    expect(() => parse(text, "--option")).toThrow(/^--option ".*": expected /);
  });

  it("refuses the older mirostat with what to use instead", () => {
    expect(() => mirostat("1", "--mirostat")).toThrow("--mirostat 1 is not supported");
  });
});

describe("loadOptions", () => {
  it("says nothing about what was not given", () => {
    expect(loadOptions({})).toEqual({});
  });

  it("speaks the plan's language", () => {
    const given = { nGpuLayers: 5, ctxSize: 100, cacheTypeK: "q8_0", kvUnified: true, threads: -1 } as const;
    expect(loadOptions({ ...given, lora: ["a"], ropeScale: 4, batchSize: 64, mmap: false })).toEqual({
      gpuLayers: 5,
      contextLength: 100,
      kvTypeK: "q8_0",
      kvLayout: "unified",
      adapters: [{ path: "a", scale: 1 }],
      ropeFrequencyScale: 0.25,
      microBatch: 64,
      loadMode: "read",
    });
    expect(loadOptions({ device: [] })).toEqual({ gpuLayers: 0 });
    expect(loadOptions({ nCpuMoe: 2 }).tensorOverrides?.map(({ pattern }) => pattern)).toEqual([
      "blk\\.0\\.ffn_(up|down|gate|gate_up)_(ch|)exps",
      "blk\\.1\\.ffn_(up|down|gate|gate_up)_(ch|)exps",
    ]);
  });
});

describe("generateOptions", () => {
  it("speaks the sampler's language", async () => {
    const given = { temp: 0, topK: -1, predict: -2, timeLimit: 1.5, reversePrompt: ["a\\n"], seed: 3 };
    expect(await generateOptions(given)).toEqual({
      temperature: 0,
      topK: 0,
      timeLimitMs: 1500,
      stop: ["a\n"],
      seed: 3,
    });
  });

  it("clears the default sequence breakers with none", async () => {
    expect((await generateOptions({ drySequenceBreaker: ["none"] })).drySequenceBreakers).toEqual([]);
    expect((await generateOptions({ drySequenceBreaker: ["\\n"] })).drySequenceBreakers).toEqual(["\n"]);
  });

  it("reads grammars and schemas from files, and takes only one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "jauge-options-"));
    const path = join(folder, "schema.json");
    writeFileSync(path, '{"type":"object"}');
    expect((await generateOptions({ jsonSchemaFile: path })).jsonSchema).toEqual({ type: "object" });
    const code = (values: Parameters<typeof generateOptions>[0]) =>
      generateOptions(values).then(
        () => "none",
        (error) => (isJaugeError(error) ? error.code : error),
      );
    expect(await code({ grammar: "x", jsonSchemaFile: path })).toBe("options-conflict");
    expect(await code({ jsonSchema: "{" })).toBe("json-invalid");
    expect(await code({ grammarFile: join(folder, "none") })).toBe("file-unreadable");
  });
});

describe("unescaped", () => {
  it("reads backslash sequences as llama.cpp does", () => {
    expect(unescaped('a\\nb\\t\\\\n\\x41\\q\\"', {})).toBe('a\nb\t\\nA\\q"');
    expect(unescaped("a\\nb", { escape: false })).toBe("a\\nb");
  });
});
