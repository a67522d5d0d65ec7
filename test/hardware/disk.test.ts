import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { diskFreeBytes, measureDiskRead } from "../../src/hardware/disk.js";

const folder = mkdtempSync(join(tmpdir(), "jauge-disk-"));
const MiB = 2 ** 20;

function file(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(bytes, 1));
  return path;
}

describe("a disk", () => {
  it("has some bytes free, and fewer than it has", async () => {
    const free = await diskFreeBytes(folder);
    expect(Number.isInteger(free)).toBe(true);
    expect(free).toBeGreaterThan(0);
    await expect(diskFreeBytes(join(folder, "none"))).rejects.toThrow(/ENOENT/);
  });

  it("is read to the file's last whole block where time allows", async () => {
    const read = await measureDiskRead(file("model", 42 * MiB), 60_000);
    expect(read?.bytes).toBe(40 * MiB);
    expect(read?.bytesPerSecond).toBeGreaterThan(MiB);
  });

  it("is read no longer than asked", async () => {
    const path = file("large", 256 * MiB);
    const start = performance.now();
    const read = await measureDiskRead(path, 20);
    // Blocks under way are waited for.
    expect(performance.now() - start).toBeLessThan(2000);
    expect(read!.bytes).toBeLessThanOrEqual(256 * MiB);
    expect(read!.bytes).toBeGreaterThan(0);
  });

  it("cannot be told by a small file, or by none", async () => {
    expect(await measureDiskRead(file("small", MiB))).toBeUndefined();
    await expect(measureDiskRead(join(folder, "none"))).rejects.toThrow(/ENOENT/);
  });
});
