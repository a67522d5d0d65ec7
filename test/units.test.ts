import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatBytes, parseBytes } from "../src/units.js";

describe("parseBytes", () => {
  it.each([
    ["11.5 GB", 11_500_000_000],
    ["11.5 GiB", 12_348_030_976],
    ["8GiB", 8 * 2 ** 30],
    ["512MiB", 512 * 2 ** 20],
    ["512 mb", 512_000_000],
    ["1,5 kB", 1500],
    ["1.5 KiB", 1536],
    ["2TB", 2e12],
    ["1tib", 2 ** 40],
    ["1000000", 1_000_000],
    ["917 B", 917],
    ["0", 0],
    ["  7 GB ", 7e9],
    ["0.3 B", 0],
    ["1.9999 kB", 1999],
  ])("reads %j", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each([
    "",
    " ",
    "GB",
    "-1 GB",
    "1 XB",
    "1 G",
    "1e9",
    "1.2.3 GB",
    "1 GB 2",
    "0x10",
    "∞",
    "9999999 TB",
    "1 ib",
  ])("takes %j for no size", (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });

  it("never mixes decimal and binary units", () => {
    for (const [decimal, binary, power] of [
      ["kB", "KiB", 1],
      ["MB", "MiB", 2],
      ["GB", "GiB", 3],
      ["TB", "TiB", 4],
    ] as const) {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 4000 }), (count) => {
          expect(parseBytes(`${count} ${decimal}`)).toBe(count * 1000 ** power);
          expect(parseBytes(`${count}${binary}`)).toBe(count * 1024 ** power);
        }),
      );
    }
  });

  it("never gives more than was written, and fails on no text", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 4000, noNaN: true }), (size) => {
        const bytes = parseBytes(`${size.toFixed(6)} GiB`)!;
        expect(Number.isInteger(bytes)).toBe(true);
        expect(bytes).toBeLessThanOrEqual(Number(size.toFixed(6)) * 2 ** 30);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const bytes = parseBytes(text);
        expect(bytes === undefined || Number.isSafeInteger(bytes)).toBe(true);
      }),
    );
  });
});

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [917, "917 B"],
    [1500, "1.5 kB"],
    [512_000_000, "512.0 MB"],
    [11_470_000_000, "11.47 GB"],
    [2 ** 30, "1.07 GB"],
    [3e12, "3.00 TB"],
    [-1500, "-1.5 kB"],
  ])("writes %d", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it("writes what parseBytes reads, near enough", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        const again = parseBytes(formatBytes(bytes))!;
        expect(Math.abs(again - bytes)).toBeLessThanOrEqual(bytes / 20);
      }),
    );
  });
});
