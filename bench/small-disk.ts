import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether this process may mount a small disk to fill. */
export function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const place = mkdtempSync(join(tmpdir(), "jauge-mount-"));
  try {
    mount(place, "64k");
    unmount(place);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

export function mount(place: string, size: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", place], { stdio: "ignore" });
}

export function remount(place: string, size: string): void {
  execFileSync("mount", ["-o", `remount,size=${size}`, place], { stdio: "ignore" });
}

export function unmount(place: string): void {
  execFileSync("umount", ["-l", place], { stdio: "ignore" });
}
