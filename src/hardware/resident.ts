import { readFileSync } from "node:fs";

/** RAM of a process, bytes. */
export interface ResidentBytes {
  now: number;
  /** The most it ever held. */
  peak: number;
}

/**
 * RAM that a process holds and held at most: its own pages and shared memory, and with `mappedFiles` also the pages of
 * files it maps. Undefined where the system does not tell (all but Linux).
 * Source: /proc/PID/status of the Linux kernel (Documentation/filesystems/proc.rst).
 */
export function residentBytes(
  pid: number,
  { mappedFiles }: { mappedFiles: boolean },
): ResidentBytes | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return undefined;
  }
  const bytes = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
  const files = bytes("RssFile");
  const own = bytes("RssAnon") + bytes("RssShmem");
  // The system keeps one high-water mark for all of it.
  const peak = Math.max(own, bytes("VmHWM") - files);
  return mappedFiles ? { now: own + files, peak: peak + files } : { now: own, peak };
}
