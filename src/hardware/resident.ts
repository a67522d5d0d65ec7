import { readFileSync } from "node:fs";

/**
 * RAM that a process holds now, bytes: its own pages and shared memory, and with `mappedFiles` also the pages of files
 * it maps. Undefined where the system does not tell (all but Linux).
 * Source: /proc/PID/status of the Linux kernel (Documentation/filesystems/proc.rst).
 */
export function residentBytes(pid: number, { mappedFiles }: { mappedFiles: boolean }): number | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return undefined;
  }
  const bytes = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  return bytes("RssAnon") + bytes("RssShmem") + (mappedFiles ? bytes("RssFile") : 0);
}
