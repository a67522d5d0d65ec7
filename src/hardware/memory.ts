import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/**
 * Host memory that a new process can take without swapping, in bytes: the system's own estimate
 * (`MemAvailable`, which counts reclaimable page cache), within this cgroup's limit.
 */
export function availableHostBytes(): number {
  return Math.min(systemAvailableBytes(), cgroupAvailableBytes());
}

function systemAvailableBytes(): number {
  if (process.platform !== "linux") return freemem();
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return match ? Number(match[1]) * 1024 : freemem();
  } catch {
    return freemem();
  }
}

function cgroupAvailableBytes(): number {
  try {
    const limit = readFileSync("/sys/fs/cgroup/memory.max", "utf8").trim();
    if (limit === "max") return Number.POSITIVE_INFINITY;
    const used = Number(readFileSync("/sys/fs/cgroup/memory.current", "utf8"));
    const reclaimable = /^inactive_file (\d+)/m.exec(readFileSync("/sys/fs/cgroup/memory.stat", "utf8"));
    return Number(limit) - used + Number(reclaimable?.[1] ?? 0);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
