import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Choice, cheapestMixture } from "../../src/quantize/target.js";

const choice = fc.record({ bytes: fc.integer({ min: 0, max: 40 }), loss: fc.integer({ min: 0, max: 50 }) });
const tensors = fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });

/** The least loss of all mixtures within the budget; infinite where there is none. */
function exhaustive(list: readonly (readonly Choice[])[], budget: number): number {
  const [first, ...others] = list;
  if (!first) return 0;
  return Math.min(
    ...first.map(({ bytes, loss }) =>
      bytes > budget ? Number.POSITIVE_INFINITY : loss + exhaustive(others, budget - bytes),
    ),
  );
}

describe("the cheapest mixture", () => {
  it("is within the budget, and no other loses less", () => {
    fc.assert(
      fc.property(tensors, fc.integer({ min: 0, max: 200 }), (list, budget) => {
        const found = cheapestMixture(list, budget);
        const best = exhaustive(list, budget);
        if (!found) {
          expect(best).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        expect(found.bytes).toBeLessThanOrEqual(budget);
        expect(found.loss).toBe(best);
        const picked = found.chosen.map((index, tensor) => list[tensor]![index]!);
        expect(picked.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(found.bytes);
        expect(picked.reduce((sum, { loss }) => sum + loss, 0)).toBe(found.loss);
      }),
      { numRuns: 500 },
    );
  });

  it("is the same each time", () => {
    fc.assert(
      fc.property(tensors, fc.nat(200), (list, budget) => {
        expect(cheapestMixture(list, budget)).toEqual(cheapestMixture(structuredClone(list), budget));
      }),
      { numRuns: 50 },
    );
  });

  // Shapes of a 7 B model with sizes that have no common divisor but 1: bytes are rounded to steps.
  const types = [2.06, 2.56, 3.44, 4.25, 4.5, 5.5, 6.56, 8.5];
  const large = Array.from({ length: 225 }, (_, tensor) => {
    const weights = 4096 * (tensor % 7 < 4 ? 4096 : 11_008) + tensor;
    return types.map((bits) => ({
      bytes: Math.round((bits * weights) / 8),
      loss: (1 + (tensor % 5)) * 4 ** -bits * (1 + (bits === 4.25 ? 0.3 : 0)),
    }));
  });
  const least = large.reduce((sum, [smallest]) => sum + smallest!.bytes, 0);

  it("of a large model leaves less than a 200th unused, and more bytes never lose more", () => {
    let before = Number.POSITIVE_INFINITY;
    for (let part = 1; part <= 2; part += 0.25) {
      const budget = Math.floor(least * part);
      const found = cheapestMixture(large, budget)!;
      expect(found.bytes).toBeLessThanOrEqual(budget);
      expect(found.bytes).toBeGreaterThan(0.995 * budget);
      expect(found.loss).toBeLessThanOrEqual(before);
      before = found.loss;
    }
  });

  it("of a large model is near the bound of any mixture", () => {
    const budget = Math.floor(least * 1.5);
    const found = cheapestMixture(large, budget)!;
    // The Lagrangian bound: for any price of a byte, no mixture loses less than this.
    const bound = (price: number) =>
      large.reduce((sum, list) => sum + Math.min(...list.map(({ bytes, loss }) => loss + price * bytes)), 0) -
      price * budget;
    const bounds = Array.from({ length: 200 }, (_, index) => bound(10 ** (-16 + index / 20)));
    expect(found.loss).toBeGreaterThanOrEqual(Math.max(...bounds) * (1 - 1e-9));
    expect(found.loss).toBeLessThan(Math.max(...bounds) * 1.02);
  });

  it("does not exist below the smallest choices", () => {
    expect(cheapestMixture(large, least - 1)).toBeUndefined();
    expect(cheapestMixture(large, least)!.bytes).toBe(least);
    expect(() => cheapestMixture([[]], 10)).toThrow(RangeError);
  });
});
