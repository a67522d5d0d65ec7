import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { divergenceOf, perplexityOf, quantile, type Scores } from "../../src/compare/figures.js";
import { Windows } from "../../src/compare/windows.js";

describe("perplexity", () => {
  it("is the number of equally probable tokens", () => {
    const { perplexity, perplexityError } = perplexityOf(new Float64Array(100).fill(Math.log(37)));
    expect(perplexity).toBeCloseTo(37, 10);
    expect(perplexityError).toBeCloseTo(0, 10);
  });

  it("has the standard error of a mean", () => {
    // half the tokens at ln 2 ± 0.5: variance 0.25 over 4 − 1
    const surprise = Float64Array.of(0.5, -0.5, 0.5, -0.5).map((value) => value + Math.log(2));
    expect(perplexityOf(surprise).perplexityError).toBeCloseTo(2 * Math.sqrt(0.25 / 3), 10);
  });
});

describe("quantile", () => {
  const values = fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1, maxLength: 50 });
  it("lies among the values, and rises", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (list, part) => {
        const sorted = Float64Array.from(list).sort();
        const found = quantile(sorted, part);
        expect(found).toBeGreaterThanOrEqual(sorted[0]!);
        expect(found).toBeLessThanOrEqual(sorted.at(-1)! * (1 + 1e-12));
        expect(sorted.filter((value) => value <= found * (1 + 1e-12)).length).toBeGreaterThanOrEqual(
          Math.floor(part * (sorted.length - 1)) + 1,
        );
      }),
      { numRuns: 200 },
    );
  });

  it("keeps infinity to itself", () => {
    expect(quantile(Float64Array.of(1, 2, Number.POSITIVE_INFINITY), 0.5)).toBe(2);
  });
});

describe("divergence", () => {
  it("sums up what the scores say", () => {
    const base: Scores = { surprise: Float64Array.of(1, 2, 3, 4), tokens: 8, decodeMs: 1 };
    const scores: Scores = {
      surprise: Float64Array.of(1, 2.5, 3, 3.5),
      divergence: Float64Array.of(0, 0.1, 0.3, 0.2),
      sameTop: Uint8Array.of(1, 0, 1, 1),
      ...{ tokens: 8, decodeMs: 1 },
    };
    const found = divergenceOf(scores, base);
    expect(found.mean).toBeCloseTo(0.15, 12);
    expect(found.median).toBeCloseTo(0.15, 12);
    expect(found.greatest).toBe(0.3);
    expect(found.topAgreement).toBe(0.75);
    expect(found.perplexityRatio).toBeCloseTo(1, 12);
    const changes = [Math.exp(-2.5) - Math.exp(-2), Math.exp(-3.5) - Math.exp(-4)];
    expect(found.probabilityChange).toBeCloseTo(Math.sqrt((changes[0]! ** 2 + changes[1]! ** 2) / 4), 12);
  });
});

describe("windows", () => {
  const tokens = Int32Array.from({ length: 70 }, (_, index) => index + 100);

  it("cut a text without its end, the second half of each scored", () => {
    const windows = new Windows(tokens, 16, { bos: 1, addBos: true });
    expect(windows.count).toBe(4);
    expect(windows.scoredTokens).toBe(7);
    const { tokens: second, firstScored } = windows.at(1);
    expect([...second]).toEqual([1, ...tokens.subarray(17, 32)]);
    expect(firstScored).toBe(8);
    expect(second.length - 1 - firstScored).toBe(windows.scoredTokens);
    // the text itself is as it was
    expect(tokens[16]).toBe(116);
  });

  it("begin with the text's own token where the model wants no other", () => {
    expect(new Windows(tokens, 16, { bos: 1, addBos: false }).at(0).tokens[0]).toBe(100);
    expect(new Windows(tokens, 16, { bos: -1, addBos: true }).at(0).tokens[0]).toBe(100);
  });

  it("need one whole window", () => {
    expect(() => new Windows(tokens, 71, { bos: 1, addBos: true })).toThrow(
      expect.objectContaining({ code: "text-too-short", facts: { tokens: 70, needed: 71 } }),
    );
  });
});
