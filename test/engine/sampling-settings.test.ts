import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkSampling } from "../../src/engine/check-sampling.js";
import { defaultSampling, greedy, isPlainGreedy, type SamplingSettings } from "../../src/engine/sampling.js";
import { isJaugeError } from "../../src/errors.js";

/** The field that settings are refused for; undefined where they are accepted. */
function refused(changes: Partial<Record<keyof SamplingSettings, unknown>>): string | undefined {
  try {
    checkSampling({ ...defaultSampling, ...changes } as SamplingSettings, 512);
    return undefined;
  } catch (error) {
    if (!isJaugeError(error, "sampling-invalid")) throw error;
    return error.facts.field;
  }
}

const numbers = (Object.keys(defaultSampling) as (keyof SamplingSettings)[]).filter(
  (field) => typeof defaultSampling[field] === "number",
);

describe("sampling settings", () => {
  it("at their defaults are accepted", () => {
    expect(refused({})).toBeUndefined();
    expect(refused(greedy)).toBeUndefined();
  });

  it.each(numbers)("%s: is a number, and the error names it where it is none", (field) => {
    const wrong = fc.constantFrom<unknown>(Number.NaN, "1", null, undefined, {}, -1e9, 1e12);
    fc.assert(
      fc.property(wrong, (value) => {
        expect(refused({ [field]: value })).toBe(field);
      }),
    );
  });

  it.each(["topK", "penaltyLastN", "dryAllowedLength", "dryPenaltyLastN", "seed"] as const)(
    "%s is whole",
    (field) => {
      expect(refused({ [field]: 1.5 })).toBe(field);
      expect(refused({ [field]: 12 })).toBeUndefined();
    },
  );

  it("have seeds that libllama does not take for a random one", () => {
    expect(refused({ seed: 0 })).toBeUndefined();
    expect(refused({ seed: 0xffff_fffe })).toBeUndefined();
    expect(refused({ seed: 0xffff_ffff })).toBe("seed");
    expect(refused({ seed: -1 })).toBe("seed");
  });

  it("bias tokens of the vocabulary only", () => {
    expect(refused({ logitBias: [[511, Number.NEGATIVE_INFINITY]] })).toBeUndefined();
    for (const token of [-1, 512, 1.5]) expect(refused({ logitBias: [[token, 1]] })).toBe("logitBias");
    expect(refused({ logitBias: [[1, Number.NaN]] })).toBe("logitBias");
  });

  it("are plain greedy only where nothing but the greatest logit counts", () => {
    expect(isPlainGreedy(greedy)).toBe(true);
    expect(isPlainGreedy({ ...greedy, topK: 3, topP: 0.1, seed: 4, dynamicTemperatureRange: 1 })).toBe(true);
    expect(isPlainGreedy({ ...greedy, penaltyLastN: 0, repeatPenalty: 2 })).toBe(true);
    const others: Partial<SamplingSettings>[] = [
      { temperature: 0.1 },
      { repeatPenalty: 1.1 },
      { frequencyPenalty: 0.1 },
      { presencePenalty: -0.1 },
      { dryMultiplier: 1 },
      { mirostat: 2 },
      { logitBias: [[1, 1]] },
      { ignoreEndOfGeneration: true },
      { grammar: "root ::= [a-z]" },
    ];
    for (const changes of others) expect(isPlainGreedy({ ...greedy, ...changes })).toBe(false);
  });
});
