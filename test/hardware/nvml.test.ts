import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { findLibraries } from "../../src/engine/native/libraries.js";
import { openNvml } from "../../src/engine/native/nvml.js";

const GiB = 2 ** 30;
const MiB = 2 ** 20;
const hasCompiler = spawnSync("cc", ["--version"]).status === 0;

/** Compiles a library that tells of two cards: what a machine without an NVIDIA card can test is how it is read. */
function compiled(...defines: string[]): string {
  const library = join(mkdtempSync(join(tmpdir(), "jauge-nvml-")), "libnvidia-ml.so.1");
  const source = fileURLToPath(new URL("nvml-double.c", import.meta.url));
  const { status, stderr } = spawnSync("cc", ["-shared", "-fPIC", "-o", library, ...defines, source]);
  if (status !== 0) throw new Error(String(stderr));
  return library;
}

describe("NVIDIA's library", () => {
  it("is missed by nobody where there is none", () => {
    expect(openNvml([join(tmpdir(), "none.so")])).toBeUndefined();
    // A library, but another one.
    expect(openNvml([findLibraries({ backend: "cpu" }).ggmlBase])).toBeUndefined();
    if (process.platform === "linux" && !existsSync("/dev/nvidiactl")) expect(openNvml()).toBeUndefined();
  });

  it.runIf(hasCompiler)("tells of all cards that can be read", () => {
    const read = openNvml(["/none.so", compiled()])!;
    const [first, second, ...others] = read();
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      busId: "0000:c1:00.0",
      name: "NVIDIA Test 0",
      totalBytes: 12 * GiB,
      freeBytes: 11 * GiB,
      usedBytes: GiB,
      power: { joules: 5_000_000_001.5, watts: 215.5, limitWatts: 300 },
    });
    expect(second!.power).toEqual({ limitWatts: 300 });
    expect(second).toMatchObject({ busId: "0001:0a:01.0", name: "NVIDIA Test 1", processes: [] });
    // 201 processes: more than there was room for at first; those that compute and draw are listed once.
    expect(first!.processes).toHaveLength(201);
    expect(first!.processes[0]).toEqual({ pid: 201, name: "process-201", bytes: 201 * MiB });
    expect(first!.processes.find(({ pid }) => pid === 2)).toEqual({ pid: 2, name: "", bytes: 2 * MiB });
    expect(first!.processes.find(({ pid }) => pid === 3)).toEqual({ pid: 3, name: "process-3" });
    expect(read()).toHaveLength(2);
  });

  it.runIf(hasCompiler)("of an older driver tells as much as it can", () => {
    const [first] = openNvml([compiled("-DOLD")])!();
    expect(first).toMatchObject({ totalBytes: 24 * GiB, freeBytes: 20 * GiB, usedBytes: 4 * GiB });
    expect(first!.processes.map(({ pid }) => pid)).toEqual([2, 1, 3]);
    expect(first!.power).toEqual({ watts: 215.5 });
  });
});
