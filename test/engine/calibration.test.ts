import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { calibrate } from "../../src/engine/engine.js";
import { rowSecondsOf } from "../../src/engine/host/calibration-matrices.js";
import { rowsSpeedOf } from "../../src/engine/host/calibration-rows.js";
import type { CalibrationTask } from "../../src/engine/protocol.js";
import type { MatrixSpeed } from "../../src/hardware/facts.js";
import { cpu, failure, hasVulkan, vulkan } from "./harness.js";

// llvmpipe compiles each shader when it is first used: minutes where its cache on disk is empty.
vi.setConfig({ testTimeout: 900_000 });

const task: CalibrationTask = {
  device: "CPU",
  threads: 1,
  types: ["Q4_0", "F16"],
  expertTypes: ["Q4_0"],
  matricesOnly: false,
  // Enough for a machine that is busy otherwise.
  secondsLimit: 30,
};

it("tells what rows cost from what bytes cost, by matrices with rows of two lengths", () => {
  const timed = (bytes: number, matrixRows: number, perByte: number, perRow: number) => ({
    ...{ bytes, matrixRows, seconds: bytes * perByte + matrixRows * perRow },
  });
  const rowSeconds = (perByte: number, perRow: number) =>
    rowSecondsOf(timed(46e6, 22_528, perByte, perRow), timed(0.6e6, 2048, perByte, perRow));
  expect(rowSeconds(1e-9, 2e-6)).toBeCloseTo(2e-6, 12);
  expect(rowSeconds(1e-9, 0)).toBeCloseTo(0, 12);
  expect(rowSecondsOf(timed(0.3e6, 1024, 1e-9, 2e-6), timed(0.6e6, 2048, 1e-9, 2e-6))).toBe(0);
  // Short rows that seem to be faster than their bytes were measured badly: no row gives time back.
  expect(rowSecondsOf(timed(46e6, 22_528, 1e-9, 0), timed(0.6e6, 2048, 0.5e-9, 0))).toBe(0);
});

it("tells what rows cost from what their elements cost, and both from what an operation does", () => {
  const cases = { short: 64, long: 128, heads: 4, tokens: 64 };
  const timed = (seconds: number, rowSeconds: number, elementSeconds: number) => {
    const of = (length: number, tokens: number) =>
      seconds + 4 * tokens * (rowSeconds + length * elementSeconds);
    return rowsSpeedOf({ one: of(64, 1), more: of(64, 64), longer: of(128, 64) }, cases);
  };
  for (const [seconds, rowSeconds, elementSeconds] of [
    [3e-6, 40e-6, 2e-8],
    [3e-6, 40e-6, 0],
    [0, 0, 2e-8],
  ] as const) {
    const found = timed(seconds, rowSeconds, elementSeconds);
    expect(found.seconds).toBeCloseTo(seconds, 12);
    expect(found.rowSeconds).toBeCloseTo(rowSeconds, 12);
    expect(found.elementSeconds).toBeCloseTo(elementSeconds, 14);
  }
  // Measured in a slower moment each: nothing gives time back.
  for (const times of [
    { one: 9, more: 1, longer: 2 },
    { one: 1, more: 9, longer: 2 },
    { one: 1, more: 2, longer: 99 },
  ])
    for (const part of Object.values(rowsSpeedOf(times, cases))) expect(part).toBeGreaterThanOrEqual(0);
});

describe("the calibration of the CPU", () => {
  it("gives finite speeds for every type asked for, and what else a model needs", async () => {
    const fractions: number[] = [];
    const found = await calibrate(task, { ...cpu, onProgress: (fraction) => fractions.push(fraction) });
    expect(Object.keys(found.matrix)).toEqual(["Q4_0", "F16"]);
    expect(Object.keys(found.experts)).toEqual(["Q4_0"]);
    for (const speed of [...Object.values(found.matrix), ...Object.values(found.experts)]) expectSane(speed);
    expectPositive(found.operations!.nodeSeconds);
    // A head of a query takes its time, whatever of it its elements take.
    const { norm, rope } = found.operations!;
    expectPositive(norm!.rowSeconds + 2048 * norm!.elementSeconds);
    expectPositive(rope!.rowSeconds + 128 * rope!.elementSeconds);
    expectPositive(found.operations!.attention!.oneRowPerSecond);
    expectPositive(found.operations!.attention!.batchPerSecond);
    expect(found.operations!.link).toBeUndefined();
    expectPositive(found.hostRuntimeBytes);
    expectPositive(found.cpuSeconds);
    expect(fractions.length).toBeGreaterThan(2);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  it("measures repacked weights where the CPU has kernels for them, and only there", async () => {
    const found = await calibrate({ ...task, types: ["Q4_0", "F32"], matricesOnly: true }, cpu);
    // Every x86 processor with AVX2 and every ARM one with dot products repacks Q4_0; none does F32.
    expect(Object.keys(found.repacked!)).toEqual(["Q4_0"]);
    expectSane(found.repacked!.Q4_0!);
    // Between a tile of 32 rows and two, where the number of sequences is decided.
    expect(found.repacked!.Q4_0!.rows).toEqual([1, 8, 32, 48, 64, 128, 512]);
    expect(found.operations).toBeUndefined();
  });

  it("keeps to one point of the first type where there is no time, and says what it left out", async () => {
    const found = await calibrate({ ...task, matricesOnly: true, secondsLimit: 0 }, cpu);
    expect(Object.keys(found.matrix)).toEqual(["Q4_0"]);
    expect(found.matrix.Q4_0!.rows).toEqual([1]);
    expect(found.experts).toEqual({});
    expect(found.skipped.types).toContain("F16");
    expect(new Set(found.skipped.expertTypes)).toEqual(new Set(["Q4_0"]));
  });

  it("refuses a device that is not there", async () => {
    expect(await failure(calibrate({ ...task, device: "Vulkan9" }, cpu))).toMatchObject({
      code: "device-unknown",
    });
  });

  it("ends when it is told to", async () => {
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    expect(await failure(calibrate(task, { ...cpu, onProgress, signal: stop.signal }))).toMatchObject({
      code: "cancelled",
    });
  });
});

describe.runIf(hasVulkan)("the calibration of a Vulkan device", () => {
  it("gives its speeds and those of the way to it", async () => {
    const found = await calibrate({ ...task, device: "Vulkan0", types: ["F32"], expertTypes: [] }, vulkan);
    expectSane(found.matrix.F32!);
    expect(found.repacked).toBeUndefined();
    const link = found.operations!.link!;
    for (const speed of [link.toDevice, link.toHost]) {
      expectPositive(speed.pageableBytesPerSecond);
      expectPositive(speed.pinnedBytesPerSecond);
    }
    expectPositive(link.crossingSeconds);
    expect(found.deviceBytes).toBeGreaterThanOrEqual(0);
  });
});

describe("the workbench", () => {
  it("computes the products that it measures: F32 and repacked Q4_0 against JavaScript", async () => {
    const child = fileURLToPath(new URL("./calibration-child.mjs", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [child], { maxBuffer: 2 ** 26 });
    const { f32, q4 } = JSON.parse(stdout) as Record<"f32" | "q4", Product>;
    expectProduct(f32, 1e-5);
    // The CPU's kernels round the input to 8 bits in each block of 32.
    expectProduct(q4, 0.02);
  });
});

/** What the child computed, and what it was computed from. */
interface Product {
  /** Rows of equal length. */
  weights: number[][];
  input: number[][];
  /** For each row of the input, one value for each row of the weights. */
  result: number[][];
}

/** Compares with a plain sum of products; differences are measured against the size of the row's terms. */
function expectProduct({ weights, input, result }: Product, tolerance: number): void {
  expect(result.length).toBe(input.length);
  input.forEach((row, index) => {
    expect(result[index]!.length).toBe(weights.length);
    weights.forEach((weight, column) => {
      const terms = weight.map((value, at) => value * row[at]!);
      const sum = terms.reduce((total, term) => total + term, 0);
      const size = Math.sqrt(terms.reduce((total, term) => total + term * term, 0));
      expect(size).toBeGreaterThan(0);
      expect(Math.abs(result[index]![column]! - sum) / size).toBeLessThan(tolerance);
    });
  });
}

/** Finite, with growing rows. A multiplication by more rows takes longer, so the weights pass more slowly. */
function expectSane({ rows, bytesPerSecond }: MatrixSpeed): void {
  expect(rows[0]).toBe(1);
  expect(rows).toEqual([...rows].sort((a, b) => a - b));
  expect(bytesPerSecond).toHaveLength(rows.length);
  for (const speed of bytesPerSecond) expectPositive(speed);
  // By a factor of 128 or more in arithmetic; no disturbance hides it.
  if (rows.at(-1)! >= 128) expect(bytesPerSecond.at(-1)!).toBeLessThan(bytesPerSecond[0]!);
}

function expectPositive(value: number): void {
  expect(value).toBeGreaterThan(0);
  expect(value).toBeLessThan(Number.POSITIVE_INFINITY);
}
