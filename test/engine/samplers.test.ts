import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.js";
import { defaultSampling, greedy, type SamplingSettings } from "../../src/engine/sampling.js";
import { type ChainLink, nativeChoices } from "../oracles/plain.js";
import {
  clear,
  compute,
  continueWith,
  cpuTolerance,
  distance,
  failure,
  openStories,
  sampler,
} from "./harness.js";

const contextLength = 512;
const count = 40;
let engine: Engine;
let prompt: Int32Array;
beforeAll(async () => {
  engine = await openStories({ contextLength, outputs: 64 });
  prompt = await engine.tokenize("Lily had a red ball. Lily had a red ball. Lily had");
});

/** All candidates, as they are: a draw from the model's own distribution. */
const plain: SamplingSettings = { ...defaultSampling, temperature: 1, topK: 0, topP: 1, minP: 0, seed: 7 };
const draw: ChainLink[] = [
  ["temp", 1],
  ["dist", 7],
];
const letters = 'root ::= ("1, " | "22" | [a-z]+ " " | "\\n" | [A-Z] [a-z]+ ". ")+';

const cases: [name: string, settings: Partial<SamplingSettings>, chain: ChainLink[]][] = [
  ["nothing but a draw", {}, draw],
  [
    "temperature",
    { temperature: 1.7 },
    [
      ["temp", 1.7],
      ["dist", 7],
    ],
  ],
  [
    "dynamic temperature",
    { temperature: 1.2, dynamicTemperatureRange: 0.7, dynamicTemperatureExponent: 1.3 },
    [
      ["temp_ext", 1.2, 0.7, 1.3],
      ["dist", 7],
    ],
  ],
  ["top-k", { topK: 5 }, [["top_k", 5], ...draw]],
  ["top-p", { topP: 0.7 }, [["top_p", 0.7, 1], ...draw]],
  ["min-p", { minP: 0.2 }, [["min_p", 0.2, 1], ...draw]],
  ["typical", { typicalP: 0.6 }, [["typical", 0.6, 1], ...draw]],
  ["top-n-sigma", { topNSigma: 1.2 }, [["top_n_sigma", 1.2], ...draw]],
  ["XTC", { xtcProbability: 0.7, xtcThreshold: 0.08 }, [["xtc", 0.7, 0.08, 1, 7], ...draw]],
  [
    "the defaults, in their order",
    { ...defaultSampling, seed: 7 },
    [
      ["top_k", 40],
      ["top_p", 0.95, 1],
      ["min_p", 0.05, 1],
      ["temp", 0.8],
      ["dist", 7],
    ],
  ],
  [
    "everything at once",
    {
      ...{ topNSigma: 3, topK: 60, typicalP: 0.95, topP: 0.97, minP: 0.01, temperature: 1.4 },
      ...{ repeatPenalty: 1.1, presencePenalty: 0.1, dryMultiplier: 0.5, xtcProbability: 0.3 },
      logitBias: [[400, 1]],
    },
    [
      ["logit_bias", [400, 1]],
      ["penalties", 64, 1.1, 0, 0.1],
      ["dry", 0.5, 1.75, 2, contextLength, ["\n", ":", '"', "*"]],
      ["top_n_sigma", 3],
      ["top_k", 60],
      ["typical", 0.95, 1],
      ["top_p", 0.97, 1],
      ["min_p", 0.01, 1],
      ["xtc", 0.3, 0.1, 1, 7],
      ["temp", 1.4],
      ["dist", 7],
    ],
  ],
  ["repeat penalty", { repeatPenalty: 1.5 }, [["penalties", 64, 1.5, 0, 0], ...draw]],
  [
    "frequency and presence penalties over few tokens",
    { penaltyLastN: 12, frequencyPenalty: 0.8, presencePenalty: 0.6 },
    [["penalties", 12, 1, 0.8, 0.6], ...draw],
  ],
  [
    "a greedy choice under a penalty that looks back on all the context",
    { temperature: 0, penaltyLastN: -1, repeatPenalty: 1.3 },
    [["penalties", contextLength, 1.3, 0, 0], ["greedy"]],
  ],
  [
    "DRY",
    { temperature: 0, dryMultiplier: 2, dryBase: 2, dryAllowedLength: 1, drySequenceBreakers: ["!"] },
    [["dry", 2, 2, 1, contextLength, ["!"]], ["greedy"]],
  ],
  [
    "DRY over few tokens",
    { dryMultiplier: 1, dryPenaltyLastN: 20 },
    [["dry", 1, 1.75, 2, 20, ["\n", ":", '"', "*"]], ...draw],
  ],
  [
    "mirostat 2",
    { mirostat: 2, mirostatTau: 3, mirostatEta: 0.2 },
    [
      ["temp", 1],
      ["mirostat_v2", 7, 3, 0.2],
    ],
  ],
  [
    "logit bias",
    {
      logitBias: [
        [262, -3],
        [300, 4],
        [403, Number.NEGATIVE_INFINITY],
      ],
    },
    [["logit_bias", [262, -3], [300, 4], [403, Number.NEGATIVE_INFINITY]], ...draw],
  ],
  [
    "a greedy choice under a bias",
    {
      temperature: 0,
      logitBias: [
        [262, -30],
        [403, 3],
        [403, 4],
      ],
    },
    [["logit_bias", [262, -30], [403, 3], [403, 4]], ["greedy"]],
  ],
  [
    "no end of generation",
    { ignoreEndOfGeneration: true, logitBias: [[2, 50]] },
    [["logit_bias", [2, 50], [2, Number.NEGATIVE_INFINITY]], ...draw],
  ],
  ["a grammar", { grammar: letters }, draw],
  ["a grammar, greedily", { temperature: 0, grammar: letters }, [["greedy"]]],
  [
    "a grammar with mirostat and penalties",
    { grammar: letters, mirostat: 2, repeatPenalty: 1.2 },
    [
      ["penalties", 64, 1.2, 0, 0],
      ["temp", 1],
      ["mirostat_v2", 7, 5, 0.1],
    ],
  ],
];

describe("each setting chooses as the native chain does", () => {
  it.each(cases)("%s", async (_, changes, chain) => {
    const settings = { ...plain, ...changes };
    const found = await sampled(settings);
    expect(found.tokens).toHaveLength(count);
    const { grammar } = settings;
    const asks = { chain, history: prompt, logits: found.logits };
    expect(found.tokens).toEqual(await nativeChoices(grammar ? { ...asks, grammar } : asks));
  });
});

describe("seeds", () => {
  it("the same gives the same text, another gives another", async () => {
    const settings = { ...plain, seed: 1234 };
    const first = await sampled(settings);
    expect((await sampled(settings)).tokens).toEqual(first.tokens);
    expect((await sampled({ ...settings, seed: 1235 })).tokens).not.toEqual(first.tokens);
  });

  it.each([0, 0xffff_fffe])("%i is a seed like any other", async (seed) => {
    const settings = { ...plain, seed };
    const first = await sampled(settings);
    expect((await sampled(settings)).tokens).toEqual(first.tokens);
  });
});

describe("what a sampler has seen", () => {
  it.each([
    ["penalties", { repeatPenalty: 1.6, penaltyLastN: -1 }],
    ["DRY", { dryMultiplier: 5, dryAllowedLength: 1 }],
  ])("%s: the prompt counts", async (_, changes) => {
    const settings = { ...greedy, ...changes };
    const seen = await sampled(settings);
    const unseen = await sampled(settings, new Int32Array(0));
    expect(seen.tokens).not.toEqual(unseen.tokens);
  });
});

describe("grammars", () => {
  it("hold the text, and end it", async () => {
    const grammar = 'root ::= "The " ("cat" | "dog") " sat."';
    const { tokens } = await sampled({ ...plain, grammar }, prompt, 20);
    const end = tokens.indexOf(engine.info.model.tokens.eos);
    const text = await engine.detokenize(Int32Array.from(tokens.slice(0, end)));
    expect(text.trim()).toMatch(/^The (cat|dog) sat\.$/);
    expect(tokens.slice(end).every((token) => token === engine.info.model.tokens.eos)).toBe(true);
  });

  it("are refused where they are no grammar; the host lives on", async () => {
    for (const grammar of ["root ::= (", "start ::= [a-z]", "root ::= missing", "root ::= root", "\0"]) {
      expect(await failure(sampler(engine, { ...greedy, grammar })), grammar).toMatchObject({
        code: "grammar-invalid",
      });
    }
    expect((await sampled(plain)).tokens).toHaveLength(count);
  });
});

describe("raw logits", () => {
  it("are the model's own, whatever a sampler does to its candidates", async () => {
    await clear(engine);
    const [pure] = (await continueWith(engine, prompt, 1)).logits;
    for (const changes of [{ temperature: 0, logitBias: [[300, 9]] as [number, number][] }, { topK: 2 }]) {
      const { logits } = await sampled({ ...plain, ...changes }, prompt, 1);
      expect(distance(logits[0]!, pure!)).toBe(0);
    }
  });
});

describe("verification of guesses", () => {
  it.each([
    ["greedy", greedy],
    ["seeded sampling with penalties", { ...plain, repeatPenalty: 1.2 }],
    ["mirostat", { ...plain, mirostat: 2 as const }],
    ["a grammar", { ...plain, grammar: letters }],
  ])("changes nothing: %s", async (_, settings) => {
    const expected = await sampled(settings);
    for (const wrongAt of [0, 1, 3, Number.POSITIVE_INFINITY]) {
      await clear(engine);
      const id = await sampler(engine, settings, prompt);
      const first = await compute(engine, { tokens: prompt, sampler: id });
      const tokens = [...first.chosen[0]!];
      let row: Float32Array | undefined;
      while (tokens.length < count) {
        const position = prompt.length + tokens.length - 1;
        const guesses = expected.tokens.slice(tokens.length, tokens.length + 4);
        if (wrongAt < guesses.length) guesses[wrongAt] = guesses[wrongAt] === 300 ? 301 : 300;
        const run = Int32Array.of(tokens.at(-1)!, ...guesses);
        const result = await compute(engine, {
          ...{ position, tokens: run, outputs: run.length, sampler: id, logits: true },
        });
        const right = Math.min(wrongAt, guesses.length);
        expect(result.chosen[0]).toHaveLength(right + 1);
        row = result.logits![0]![right];
        tokens.push(...result.chosen[0]!);
        if (tokens.length <= count)
          expect(distance(row!, expected.logits[tokens.length - 1]!)).toBeLessThan(cpuTolerance);
      }
      expect(tokens.slice(0, count)).toEqual(expected.tokens);
      // What the cache holds is the text and no guess: the next token comes as if nothing had been guessed.
      const text = Int32Array.of(...prompt, ...tokens.slice(0, -1));
      const after = await compute(engine, {
        position: text.length,
        tokens: Int32Array.of(tokens.at(-1)!),
        logits: true,
      });
      await clear(engine);
      const straight = await continueWith(engine, Int32Array.of(...text, tokens.at(-1)!), 1);
      expect(distance(after.logits![0]![0]!, straight.logits[0]!)).toBeLessThan(cpuTolerance);
    }
  });
});

describe("replay", () => {
  it.each([
    ["a draw", plain],
    ["greedy", greedy],
    ["the defaults with penalties", { ...defaultSampling, seed: 3, repeatPenalty: 1.2 }],
    ["XTC", { ...plain, xtcProbability: 0.7, xtcThreshold: 0.08 }],
    ["DRY", { ...plain, dryMultiplier: 1 }],
    ["mirostat 2", { ...plain, mirostat: 2 as const }],
    ["a grammar", { ...plain, grammar: letters }],
    ["a grammar, greedily", { ...greedy, grammar: letters }],
  ])("brings a sampler to where it was: %s", async (_, settings) => {
    const whole = await sampled(settings);
    for (const known of [1, 17, 30]) {
      await clear(engine);
      const id = await sampler(engine, settings, prompt);
      const tokens = Int32Array.of(...prompt, ...whole.tokens.slice(0, known - 1));
      const result = await compute(engine, {
        ...{ tokens, outputs: known, mode: "replay", next: whole.tokens[known - 1]!, sampler: id },
      });
      expect([...result.chosen[0]!]).toEqual(whole.tokens.slice(0, known));
      const rest = await continueWith(engine, Int32Array.of(whole.tokens[known - 1]!), count - known, {
        position: tokens.length,
        sampler: id,
      });
      expect(rest.tokens).toEqual(whole.tokens.slice(known));
    }
  });

  it("goes on by itself where the token after the last is not known", async () => {
    const whole = await sampled(plain);
    await clear(engine);
    const id = await sampler(engine, plain, prompt);
    const tokens = Int32Array.of(...prompt, ...whole.tokens.slice(0, 9));
    const result = await compute(engine, { tokens, outputs: 10, mode: "replay", sampler: id });
    expect([...result.chosen[0]!]).toEqual(whole.tokens.slice(0, 10));
  });
});

/** The prompt's continuation with a sampler of these settings. */
async function sampled(settings: SamplingSettings, history: Int32Array = prompt, length = count) {
  await clear(engine);
  const id = await sampler(engine, settings, history);
  return continueWith(engine, prompt, length, { sampler: id });
}
