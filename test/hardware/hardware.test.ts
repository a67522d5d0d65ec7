import { availableParallelism, cpus, totalmem } from "node:os";
import { describe, expect, it } from "vitest";
import { defaultThreads } from "../../src/hardware/cpu.js";
import { availableHostBytes } from "../../src/hardware/memory.js";

describe("this machine", () => {
  it("has threads to compute with: at least one, no more than it may use", () => {
    const threads = defaultThreads();
    expect(Number.isInteger(threads)).toBe(true);
    expect(threads).toBeGreaterThanOrEqual(1);
    expect(threads).toBeLessThanOrEqual(availableParallelism());
    expect(threads).toBeLessThanOrEqual(cpus().length);
  });

  it("has memory to give: some, and no more than there is", () => {
    const bytes = availableHostBytes();
    expect(Number.isInteger(bytes)).toBe(true);
    expect(bytes).toBeGreaterThan(2 ** 20);
    expect(bytes).toBeLessThanOrEqual(totalmem());
  });
});
