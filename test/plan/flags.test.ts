import { Command } from "@commander-js/extra-typings";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { translateArguments } from "../../src/cli/arguments.js";
import { loadOptions } from "../../src/cli/library-options.js";
import { addOptions, spellingsOf } from "../../src/cli/option-spec.js";
import { type ModelValues, modelOptions } from "../../src/cli/options.js";
import { optionMessages } from "../../src/messages/cli-options.js";
import { llamaCppFlags } from "../../src/plan/flags.js";
import { kvTypes, type Plan, simplePlan } from "../../src/plan/plan.js";
import { gptOssOn64, llama3bOnCpu, llama70bOn64, llama70bOnTwoCards } from "../fixtures/plans/plans.js";

const plan = (changes: Partial<Plan> = {}) => simplePlan({ modelPath: "model.gguf", threads: 4, ...changes });
const card = { devices: ["CUDA0"] };

/** The words that a POSIX shell makes of a line: what we quote, read by other rules than ours. */
function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const match of line.matchAll(/(?:'[^']*'|\\.|[^\s'\\])+/g)) {
    words.push(
      match[0].replace(/'([^']*)'|\\(.)/g, (_, inside: string | undefined, one: string) => inside ?? one),
    );
  }
  return words;
}

/** What our own command line makes of these options. */
function readBack(line: string): { load: Partial<Plan>; ignored: string[] } {
  const translated = translateArguments(shellWords(line), spellingsOf([modelOptions]));
  const command = new Command("run").exitOverride();
  addOptions(command, "", modelOptions, optionMessages.en.model);
  command.parse(translated.arguments, { from: "user" });
  const { speculation: _, ...load } = loadOptions(command.opts() as ModelValues);
  return { load, ignored: translated.ignored };
}

describe("a plan as llama.cpp's options", () => {
  it("says what llama.cpp would choose by itself, and nothing that is its default", () => {
    expect(llamaCppFlags(plan(), { devices: [] })).toBe("-c 4096 -np 1 -t 4");
    expect(llamaCppFlags(plan(), card)).toBe("-ngl all -fit off -c 4096 -np 1 -t 4");
    expect(llamaCppFlags(plan({ gpuLayers: 0 }), card)).toBe("-ngl 0 -fit off -c 4096 -np 1 -t 4");
    expect(llamaCppFlags(plan({ devices: [] }), card)).toBe("--device none -c 4096 -np 1 -t 4");
  });

  it.each<[Partial<Plan>, string]>([
    [{ sequences: 4 }, "-c 16384 -np 4"],
    [{ sequences: 4, kvLayout: "unified" }, "-c 16384 -np 4 -kvu"],
    [{ sequences: 4, kvLayout: "unified", kvCells: 5000 }, "-c 5000 -np 4 -kvu"],
    [{ kvTypeK: "q8_0", kvTypeV: "q4_0" }, "-ctk q8_0 -ctv q4_0"],
    [{ flashAttention: "off" }, "-fa off"],
    [{ kvOffload: false }, "-nkvo"],
    [{ microBatch: 1024 }, "-ub 1024"],
    [{ microBatch: 4096 }, "-b 4096 -ub 4096"],
    [{ threadsBatch: 8 }, "-t 4 -tb 8"],
    [{ loadMode: "read" }, "-lm none"],
    [{ loadMode: "mmap" }, "-lm mmap"],
    [{ loadMode: "mlock" }, "-lm mmap+mlock"],
    [{ loadMode: "direct" }, "-lm dio"],
    [{ streamWeights: false }, "--no-op-offload"],
    [{ hostMemory: "repacked" }, "--no-host"],
    [{ ropeFrequencyBase: 1e6, ropeFrequencyScale: 0.25 }, "--rope-freq-base 1000000 --rope-freq-scale 0.25"],
    [{ embeddings: { pooling: "mean" } }, "--embeddings --pooling mean"],
    [{ adapters: [{ path: "a.gguf", scale: 1 }] }, "--lora a.gguf"],
    [{ adapters: [{ path: "it's b.gguf", scale: 1 }] }, "--lora 'it'\\''s b.gguf'"],
    [
      {
        adapters: [
          { path: "a.gguf", scale: 1 },
          { path: "b.gguf", scale: 0.5 },
        ],
      },
      "--lora-scaled a.gguf:1 --lora-scaled b.gguf:0.5",
    ],
    [{ tensorOverrides: [{ pattern: "^blk\\.(1|2)\\.", placement: "host" }] }, "-ot '^blk\\.(1|2)\\.=CPU'"],
    [{ tensorOverrides: [{ pattern: "exps", placement: "CUDA0" }] }, "-ot exps=CUDA0"],
  ])("%j is %s", (changes, expected) => {
    expect(` ${llamaCppFlags(plan(changes), card)} `).toContain(` ${expected} `);
  });

  it("names devices and their shares where it matters", () => {
    const two = { devices: ["CUDA0", "CUDA1"] };
    expect(llamaCppFlags(plan({ devices: ["CUDA0", "CUDA1"] }), two)).not.toContain("--device");
    expect(llamaCppFlags(plan({ devices: ["CUDA1"], tensorSplit: [1] }), two)).toMatch(
      /^--device CUDA1 -ngl all -fit/,
    );
    expect(llamaCppFlags(plan({ tensorSplit: [22, 41] }), two)).toContain("-ts 22,41");
    expect(llamaCppFlags(plan(), { ...card, slidingWindow: true })).toContain("--swa-full");
  });

  it("keeps what a pattern matches where llama.cpp would split it", () => {
    const flags = (pattern: string) => {
      const line = llamaCppFlags(plan({ tensorOverrides: [{ pattern, placement: "host" }] }), card);
      return shellWords(line)
        [shellWords(line).indexOf("-ot") + 1]!.split(",")
        .map((item) => item.split("="));
    };
    expect(flags("^blk\\.\\d{1,2}\\.x$").map(([pattern]) => pattern)).toEqual([
      "^blk\\.\\d{1}\\.x$",
      "^blk\\.\\d{2}\\.x$",
    ]);
    expect(flags("a{1,}b{0,}c")).toEqual([["a+b*c", "CPU"]]);
    const patterns = fc.constantFrom(
      "blk\\.\\d{1,3}\\.f",
      "a{0,2}b,{2,3}",
      "[,=]x",
      "x{2,}y",
      "k\\.(1|2){1,2}=",
    );
    const names = fc.string({ unit: fc.constantFrom(..."abxyfk.,=12"), maxLength: 9 });
    fc.assert(
      fc.property(
        patterns,
        fc.oneof(
          names,
          names.map((name) => `blk.12.${name}`),
        ),
        (pattern, name) => {
          const items = flags(pattern);
          expect(items.every((item) => item.length === 2)).toBe(true);
          expect(items.some(([part]) => new RegExp(part!).test(name))).toBe(new RegExp(pattern).test(name));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("is read back by our own command line as the same plan", () => {
    const anyPlan = fc
      .tuple(
        fc.record({
          gpuLayers: fc.integer({ min: -1, max: 200 }),
          contextLength: fc.integer({ min: 1, max: 65_536 }),
          sequences: fc.integer({ min: 1, max: 256 }),
          microBatch: fc.integer({ min: 1, max: 8192 }),
          kvLayout: fc.constantFrom("separate" as const, "unified" as const),
          kvTypeK: fc.constantFrom(...kvTypes),
          kvTypeV: fc.constantFrom(...kvTypes),
          kvOffload: fc.boolean(),
          flashAttention: fc.constantFrom("auto" as const, "on" as const, "off" as const),
          threads: fc.integer({ min: 1, max: 128 }),
          threadsBatch: fc.integer({ min: 1, max: 128 }),
          loadMode: fc.constantFrom(...(["auto", "mmap", "mlock", "direct", "read"] as const)),
          tensorOverrides: fc.array(
            fc.record({
              pattern: fc.constantFrom("^blk\\.(1|12)\\.ffn_up$", "exps", "it's (a|b) $HOME"),
              placement: fc.constantFrom("host", "CUDA0", "CUDA1"),
            }),
          ),
          adapters: fc.array(
            fc.record({ path: fc.constantFrom("a.gguf", "my b.gguf"), scale: fc.constantFrom(1, 0.5) }),
          ),
        }),
        fc.record(
          {
            devices: fc.constantFrom<string[]>(["CUDA0"], ["CUDA1", "CUDA0"]),
            tensorSplit: fc.constant<number[]>([3, 1.5]),
            ropeFrequencyBase: fc.constantFrom(10_000, 1e21),
            ropeFrequencyScale: fc.constantFrom(0.25, 1e-7),
          },
          { requiredKeys: [] },
        ),
      )
      .map(([required, optional]) => plan({ ...required, ...optional }));
    fc.assert(
      fc.property(anyPlan, (written) => {
        const { load, ignored } = readBack(llamaCppFlags(written, { devices: ["CUDA0", "CUDA1"] }));
        expect(ignored).toEqual(["-fit"]);
        // A context is all sequences' in llama.cpp and one sequence's here.
        const contextLength = written.sequences * written.contextLength;
        const { modelPath: _, threads, tensorSplit, ...rest } = written;
        const oneDevice = written.devices?.length === 1;
        expect({ ...simplePlan({ modelPath: "", threads }), ...load, modelPath: undefined }).toEqual({
          ...rest,
          ...(tensorSplit && !oneDevice && { tensorSplit }),
          threads,
          contextLength,
          modelPath: undefined,
        });
      }),
      { numRuns: 300 },
    );
  });

  it("gives the plans of the examples their options", () => {
    for (const example of [llama70bOn64(), gptOssOn64(), llama3bOnCpu(), llama70bOnTwoCards()]) {
      const devices = example.devices.map(({ name }) => name);
      expect(llamaCppFlags(example.engine, { devices })).toBe(example.llamaCppFlags);
    }
  });
});
