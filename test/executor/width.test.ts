import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WidthController } from "../../src/executor/width.js";

/** Runs so many full steps; `msOf` is the machine. Returns the width at each step. */
function simulated(most: number, steps: number, msOf: (width: number, step: number) => number): number[] {
  const controller = new WidthController(most);
  return Array.from({ length: steps }, (_, step) => {
    const { width } = controller;
    controller.observe(width, msOf(width, step));
    return width;
  });
}

const rateOf = (width: number, msOf: (width: number) => number) => width / msOf(width);

describe("the width of a job", () => {
  test("stays as planned where every sequence more is worth it, but for short trials", () => {
    const widths = simulated(32, 20_000, (width) => 100 + width);
    const narrower = widths.filter((width) => width < 32).length;
    expect(widths.at(-1)).toBe(32);
    expect(narrower / widths.length).toBeLessThan(0.02);
  });

  test("comes near the fastest width where the planned one is past it", () => {
    // Past 20 sequences the cache no longer holds their states.
    const msOf = (width: number) => 50 + width + 0.4 * Math.max(0, width - 20) ** 2;
    const widths = simulated(64, 20_000, msOf);
    const best = Math.max(...Array.from({ length: 64 }, (_, index) => rateOf(index + 1, msOf)));
    expect(rateOf(widths.at(-1)!, msOf)).toBeGreaterThan(0.9 * best);
  });

  test("widens again when the reason for being narrow is gone", () => {
    const crowded = (width: number) => 50 + width + 0.4 * Math.max(0, width - 20) ** 2;
    const widths = simulated(64, 60_000, (width, step) => (step < 4000 ? crowded(width) : 50 + width));
    expect(widths[3999]).toBeLessThan(48);
    expect(widths.at(-1)).toBeGreaterThan(56);
  });

  test("is never more than planned, whatever the machine does", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 256 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1000 })),
        (most, noise) => {
          const widths = simulated(most, 2000, () => noise.next().value);
          expect(Math.max(...widths)).toBeLessThanOrEqual(most);
          expect(Math.min(...widths)).toBeGreaterThanOrEqual(1);
        },
      ),
      { numRuns: 30 },
    );
  });
});
