import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import type { HardwareFacts } from "../../src/hardware/facts.js";
import {
  deriveMatrix,
  publishedSpeed,
  referenceModels,
  rowCounts,
  secondsAt,
} from "../../src/hardware/profiles/derive.js";
import { cudaRatios } from "../../src/hardware/profiles/type-ratios.js";
import { knownDevice, profileNames, profiles, readHardwareFile } from "../../src/hardware/profiles.js";

const folder = mkdtempSync(join(tmpdir(), "jauge-hardware-"));
let files = 0;
function written(content: unknown): string {
  const path = join(folder, `${files++}.json`);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("profiles", () => {
  it("are those that the documentation names", () => {
    expect(profileNames()).toEqual([
      "rtx-3060-12gb",
      "rtx-3060-12gb-32gb",
      "rtx-4080-16gb",
      "rtx-4090-24gb",
      "rx-7900-xtx-24gb",
      "m1-max-32gb",
      "m2-ultra-64gb",
      "m3-max-48gb",
      "ryzen-5600g-16gb",
      "ryzen-5600g-32gb",
    ]);
  });

  it.each(profileNames())("%s is a valid file, with the source of its figures", async (name) => {
    const { facts, sources } = profiles[name]!;
    expect(await readHardwareFile(name.toUpperCase())).toEqual(facts);
    expect(await readHardwareFile(written({ ...facts, sources }))).toEqual(facts);
    expect(sources.length).toBeGreaterThan(0);
    for (const { url } of sources) expect(new URL(url).protocol).toBe("https:");
  });

  it.each(profileNames())("%s is within what its memory can give", (name) => {
    const { host, devices } = profiles[name]!.facts;
    for (const { speed } of [host, ...devices]) {
      for (const [type, { rows, bytesPerSecond }] of Object.entries(speed.matrix)) {
        expect(rows).toEqual(rowCounts);
        // One row reads all the weights: no faster than memory is.
        expect(bytesPerSecond[0], type).toBeLessThanOrEqual(speed.memoryBytesPerSecond);
        for (let index = 1; index < rows.length; index++) {
          // More rows take longer, and less for each.
          expect(bytesPerSecond[index]!, type).toBeLessThanOrEqual(bytesPerSecond[index - 1]!);
          const [before, now] = [index - 1, index].map((at) => rows[at]! * bytesPerSecond[at]!);
          expect(now!, `${type} at ${rows[index]}`).toBeGreaterThanOrEqual(before! * 0.999);
        }
      }
    }
  });

  it("says what was published", () => {
    // RTX 3060: DeepSeek R1 14B Q4_K_M at 29.77 tokens/s; RX 7900 XTX: LLaMA 3 8B Q4_K_M at 105.81 and 3,226.54.
    const tokensPerSecond = (name: string, model: keyof typeof referenceModels, rows: number) => {
      const { speed } = profiles[name]!.facts.devices[0]!;
      const { weightBytes, layers } = referenceModels[model];
      const bytesPerSecond = speed.matrix.Q4_K!.bytesPerSecond[rowCounts.indexOf(rows)]!;
      return rows / (weightBytes / bytesPerSecond + layers * 30 * speed.nodeSeconds);
    };
    expect(tokensPerSecond("rtx-3060-12gb", "qwen14bQ4KM", 1)).toBeCloseTo(29.77, 1);
    expect(tokensPerSecond("rx-7900-xtx-24gb", "llama8bQ4KM", 1)).toBeCloseTo(105.81, 1);
    expect(tokensPerSecond("rx-7900-xtx-24gb", "llama8bQ4KM", 512)).toBeCloseTo(3226.54, 0);
    expect(tokensPerSecond("rtx-4090-24gb", "llama8bQ4KS", 128)).toBeCloseTo(8518.75, 0);
    expect(tokensPerSecond("m2-ultra-64gb", "llama8bQ4KM", 1)).toBeCloseTo(78.81, 1);
  });
});

describe("the line between published points", () => {
  it("meets an RTX 4090's own points", () => {
    // llama.cpp pull request 24127: llama 8B IQ4_NL, as many bytes as the 4.33 GiB of Q4_0.
    const model = { weightBytes: 4.33 * 2 ** 30 - (128_256 * 4096 * 18) / 32, layers: 32 };
    const seconds = (rows: number, tokensPerSecond: number) =>
      1 / publishedSpeed({ ...model, rows, tokensPerSecond }, 0.5e-6);
    const line = { one: 1 / 847e9, full: seconds(512, 12_321.54), fullRows: 512 };
    for (const [rows, tokensPerSecond, tolerance] of [
      [32, 3546.11, 0.15],
      [64, 6546.54, 0.05],
      [128, 8675.21, 0.05],
      [256, 11_082.94, 0.05],
    ] as const) {
      const deviation = secondsAt(line, rows) / seconds(rows, tokensPerSecond) - 1;
      expect(Math.abs(deviation), `${rows} rows`).toBeLessThan(tolerance);
    }
  });

  it("meets both ends and never falls", () => {
    const rate = fc.double({ min: 1e8, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(rate, fc.double({ min: 1, max: 500, noNaN: true }), (speed, slower) => {
        const line = { one: 1 / speed, full: slower / speed, fullRows: 512 };
        expect(secondsAt(line, 1)).toBe(line.one);
        expect(secondsAt(line, 512) / line.full).toBeCloseTo(1, 9);
        let before = 0;
        for (const rows of [1, 2, 8, 32, 100, 512, 513, 2048]) {
          expect(secondsAt(line, rows)).toBeGreaterThanOrEqual(before * (1 - 1e-12));
          before = secondsAt(line, rows);
        }
      }),
    );
  });

  it("compares types by bytes at one row and by elements at many", () => {
    const model = referenceModels.llama8bQ4KM;
    const matrix = deriveMatrix(
      [
        { ...model, rows: 1, tokensPerSecond: 100 },
        { ...model, rows: 512, tokensPerSecond: 5000 },
      ],
      0,
      cudaRatios,
    );
    const ratio = (type: string, at: number) =>
      matrix[type]!.bytesPerSecond[at]! / matrix.Q4_K!.bytesPerSecond[at]!;
    expect(ratio("F16", 0)).toBeCloseTo(1.05, 6);
    expect(ratio("F16", 4)).toBeCloseTo((0.76 * 16) / 4.5, 2);
    expect(ratio("Q2_K", 5)).toBeCloseTo((0.74 * 2.625) / 4.5, 2);
  });
});

describe("a hardware file", () => {
  const facts = profiles["rtx-3060-12gb"]!.facts;
  const changed = (change: (facts: HardwareFacts) => void) => {
    const copy = structuredClone(facts);
    change(copy);
    return written(copy);
  };

  it.each<[string, () => string, string]>([
    ["no object", () => written("[]"), "JSON"],
    [
      "a field that is missing",
      () =>
        changed((f) => {
          delete (f.host as Partial<typeof f.host>).threads;
        }),
      "host.threads",
    ],
    ["a field that there is not", () => written({ ...facts, colour: 1 }), "JSON"],
    [
      "negative bytes",
      () =>
        changed((f) => {
          f.devices[0]!.totalBytes = -1;
        }),
      "devices.0.totalBytes",
    ],
    [
      "a fraction of a byte",
      () =>
        changed((f) => {
          f.host.totalBytes += 0.5;
        }),
      "host.totalBytes",
    ],
    [
      "more free than there is",
      () =>
        changed((f) => {
          f.devices[0]!.freeBytes *= 2;
        }),
      "devices.0.freeBytes",
    ],
    [
      "more available than there is",
      () =>
        changed((f) => {
          f.host.availableBytes *= 2;
        }),
      "host.availableBytes",
    ],
    [
      "no types",
      () =>
        changed((f) => {
          f.host.speed.matrix = {};
        }),
      "host.speed.matrix",
    ],
    [
      "points without a speed",
      () =>
        changed((f) => {
          f.host.speed.matrix.Q4_K!.bytesPerSecond.pop();
        }),
      "host.speed.matrix.Q4_K.bytesPerSecond",
    ],
    [
      "rows in disorder",
      () =>
        changed((f) => {
          f.host.speed.matrix.Q4_K!.rows = [1, 8, 8, 128, 512, 2048];
        }),
      "host.speed.matrix.Q4_K.rows",
    ],
    [
      "a speed of 0",
      () =>
        changed((f) => {
          f.devices[0]!.link.toHost.pinnedBytesPerSecond = 0;
        }),
      "devices.0.link.toHost.pinnedBytesPerSecond",
    ],
    [
      "two devices of one name",
      () =>
        changed((f) => {
          f.devices.push(f.devices[0]!);
        }),
      "devices",
    ],
  ])("with %s is refused", async (_, path, field) => {
    const file = path();
    const error = await readHardwareFile(file).catch((thrown) => thrown);
    expect(isJaugeError(error, "hardware-file-invalid"), String(error)).toBe(true);
    expect(error.facts).toMatchObject({ path: file, field });
    expect(error.facts.problem).not.toBe("");
  });

  it("without JSON is refused, and where it breaks is said", async () => {
    const file = written("{");
    await expect(readHardwareFile(file)).rejects.toMatchObject({
      code: "json-invalid",
      facts: { source: file, problem: "it breaks at line 1, column 2" },
    });
  });

  it("that is a folder cannot be read", async () => {
    await expect(readHardwareFile(folder)).rejects.toMatchObject({
      code: "file-unreadable",
      facts: { path: folder },
    });
  });

  it("that is neither a file nor a profile is refused with their names", async () => {
    const error = await readHardwareFile("rtx-9090").catch((thrown) => thrown);
    expect(isJaugeError(error, "profile-unknown")).toBe(true);
    expect(error.facts).toEqual({ name: "rtx-9090", known: profileNames() });
    for (const name of ["toString", "__proto__"])
      expect(isJaugeError(await readHardwareFile(name).catch((thrown) => thrown), "profile-unknown")).toBe(
        true,
      );
  });
});

it.each([
  ["NVIDIA GeForce RTX 4080", "NVIDIA GeForce RTX 4080"],
  ["AMD Radeon RX 7900 XTX (RADV NAVI31)", "AMD Radeon RX 7900 XTX"],
  ["Apple M2 Ultra", "Apple M2 Ultra"],
  ["NVIDIA GeForce RTX 4080 SUPER", undefined],
  ["NVIDIA GeForce RTX 3060 Ti", undefined],
  ["NVIDIA GeForce RTX 3060 Laptop GPU", undefined],
  ["AMD Radeon RX 7900 XT", undefined],
  ["llvmpipe (LLVM 15.0.6, 256 bits)", undefined],
])("%s is known as %s", (description, known) => {
  expect(knownDevice(description)?.description).toBe(known);
});

describe("docs/HARDWARE.md", () => {
  const text = readFileSync(fileURLToPath(new URL("../../docs/HARDWARE.md", import.meta.url)), "utf8");

  it("shows a file that is valid", async () => {
    const [, example] = /```json\n([\s\S]+?)```/.exec(text)!;
    const facts = await readHardwareFile(written(example!));
    expect(facts.devices[0]!.name).toBe("CUDA0");
  });

  it("names every profile", () => {
    for (const name of profileNames()) expect(text).toContain(`\`${name}\``);
  });
});
