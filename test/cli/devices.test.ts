import { availableParallelism, totalmem } from "node:os";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { jauge } from "./harness.js";

const bytes = z.int().nonnegative();
/** A public contract. */
const contract = z.strictObject({
  devices: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        description: z.string().min(1),
        kind: z.enum(["cpu", "gpu", "integrated-gpu", "accelerator", "meta"]),
        freeBytes: bytes,
        totalBytes: bytes.positive(),
        busId: z
          .string()
          .regex(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/)
          .optional(),
        reading: z.strictObject({ totalBytes: bytes, usedBytes: bytes, freeBytes: bytes }).optional(),
        usedBy: z.array(
          z.strictObject({ pid: z.int().positive(), name: z.string(), bytes: bytes.optional() }),
        ),
        unified: z.boolean(),
        alignmentBytes: z.int().positive(),
        maxBufferBytes: z.int().positive(),
      }),
    )
    .min(1),
  host: z.strictObject({
    totalBytes: bytes.positive(),
    availableBytes: bytes.positive(),
    swapTotalBytes: bytes,
    swapFreeBytes: bytes,
    processor: z.strictObject({
      description: z.string().min(1),
      logicalCores: z.int().positive(),
      physicalCores: z.int().positive(),
      performanceCores: z.int().positive(),
      allowedCores: z.int().positive(),
      quotaCores: z.number().positive().optional(),
      threads: z.int().positive(),
    }),
    disk: z.strictObject({ path: z.string(), freeBytes: bytes.positive() }),
  }),
});
const hasVulkan = process.platform === "linux" && process.arch === "x64";
const vulkan = { env: { GGML_VK_VISIBLE_DEVICES: "0" } };

describe("jauge devices", () => {
  it("prints the contract's object with --json, and nothing else", () => {
    const { status, stdout, stderr } = jauge(["devices", "--json"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const { devices, host } = contract.parse(JSON.parse(stdout));
    expect(devices.find(({ kind }) => kind === "cpu")).toMatchObject({
      name: "CPU",
      unified: true,
      usedBy: [],
    });
    expect(host.totalBytes).toBeLessThanOrEqual(totalmem());
    expect(host.availableBytes).toBeLessThanOrEqual(host.totalBytes);
    expect(host.processor.threads).toBeLessThanOrEqual(availableParallelism());
    expect(host.disk.path).toMatch(/models$/);
  });

  it.runIf(hasVulkan)("lists llvmpipe like any other device", { retry: 3 }, () => {
    const { status, stdout } = jauge(["devices", "--backend", "vulkan", "--json"], vulkan);
    expect(status).toBe(0);
    const { devices } = contract.parse(JSON.parse(stdout));
    const [first] = devices;
    expect(first).toMatchObject({ name: "Vulkan0", kind: "gpu" });
    if (/llvmpipe/.test(first!.description)) {
      // Software in the host's memory, on no bus. Buffers end at 1 GiB, and tensors begin at multiples of 16 or more.
      expect(first).toMatchObject({ unified: true, usedBy: [] });
      expect(first!.busId).toBeUndefined();
      expect(first!.maxBufferBytes).toBeLessThanOrEqual(first!.totalBytes);
      expect(Math.log2(first!.alignmentBytes) % 1).toBe(0);
    }
  });

  it("prints columns for people", () => {
    const { stdout } = jauge(["devices"]);
    expect(stdout).toMatch(/^Devices\n {2}name +kind +total +free +description\n/);
    expect(stdout).toMatch(/\n {2}CPU +processor +[\d.]+ GB +[\d.]+ GB +\S/);
    expect(stdout).toMatch(/\n {2}RAM +[\d.]+ [GT]B available of [\d.]+ [GT]B\n/);
    expect(stdout).toMatch(
      /\d+ cores, (?:\d+ of them fast, )?\d+ hardware threads; computes with \d+ threads\n/,
    );
    expect(stdout).toMatch(/\n {2}disk +[\d.]+ [GT]B free in \S.*models\n$/);
    const french = jauge(["devices"], { env: { LC_ALL: "fr_FR.UTF-8" } }).stdout;
    expect(french).toMatch(/^Périphériques\n {2}nom +genre +total +libre +description\n/);
    expect(french).toMatch(/\n {2}RAM +[\d,]+ [GT]o disponibles sur /);
  });

  it("explains itself, and what it cannot do", () => {
    const help = jauge(["devices", "--help"]).stdout;
    for (const part of ["--json", "--backend", "--lib-dir", "jauge devices --json | jq"])
      expect(help).toContain(part);
    const { status, stdout } = jauge(["devices", "--lib-dir", "/none", "--json"]);
    expect(status).not.toBe(0);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "library-directory-unreadable",
      facts: { directory: "/none" },
    });
  });
});
