import { execFileSync } from "node:child_process";
import { freemem, totalmem } from "node:os";
import { cgroupMemory } from "./cgroup.js";
import { readText } from "./system-files.js";

/** The machine's memory as this process may use it. All in bytes. */
export interface HostMemory {
  /** RAM of the machine, or this process's limit where that is less. */
  totalBytes: number;
  /** What new allocations can take now without swapping, within all limits of this process. */
  availableBytes: number;
  swapTotalBytes: number;
  swapFreeBytes: number;
}

/** Reads the machine's memory, afresh at every call. */
export function hostMemory(root = ""): HostMemory {
  const system =
    process.platform === "linux" || root !== ""
      ? parseMeminfo(readText(`${root}/proc/meminfo`) ?? "")
      : process.platform === "darwin"
        ? macMemory()
        : otherMemory();
  const cgroup = cgroupMemory(root);
  const totalBytes = Math.min(system.totalBytes, cgroup.limitBytes);
  return {
    ...system,
    totalBytes,
    availableBytes: Math.min(totalBytes, system.availableBytes, cgroup.availableBytes),
  };
}

/**
 * Host memory that a new process can take without swapping, in bytes: the system's own estimate
 * (`MemAvailable`, which counts reclaimable page cache), within the limits of this process's cgroups.
 */
export function availableHostBytes(): number {
  return hostMemory().availableBytes;
}

/** Linux's /proc/meminfo: lines `MemAvailable:   22554 kB`. Kernels before 3.14 have no MemAvailable. */
export function parseMeminfo(text: string): HostMemory {
  const bytes = (key: string) => {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text);
    return match ? Number(match[1]) * 1024 : undefined;
  };
  return {
    totalBytes: bytes("MemTotal") ?? totalmem(),
    availableBytes: bytes("MemAvailable") ?? bytes("MemFree") ?? freemem(),
    swapTotalBytes: bytes("SwapTotal") ?? 0,
    swapFreeBytes: bytes("SwapFree") ?? 0,
  };
}

/**
 * macOS counts as free only what it uses for nothing at all. What it could give is the share that `memory_pressure`
 * prints, the kernel's `kern.memorystatus_level` in percent.
 */
function macMemory(): HostMemory {
  const level = Number(sysctl("kern.memorystatus_level"));
  const share = level > 0 && level <= 100 ? level / 100 : undefined;
  return {
    totalBytes: totalmem(),
    availableBytes: share === undefined ? freemem() : Math.floor(totalmem() * share),
    ...parseSwapUsage(sysctl("vm.swapusage") ?? ""),
  };
}

/** `total = 2048.00M  used = 1024.50M  free = 1023.50M  (encrypted)`. */
export function parseSwapUsage(text: string): { swapTotalBytes: number; swapFreeBytes: number } {
  const bytes = (key: string) => {
    const match = new RegExp(`${key} = ([\\d.]+)([KMGT])`).exec(text);
    return match ? Math.round(Number(match[1]) * 1024 ** ("KMGT".indexOf(match[2]!) + 1)) : 0;
  };
  return { swapTotalBytes: bytes("total"), swapFreeBytes: bytes("free") };
}

/** Windows: what its task manager calls available. Its page file is not told to Node. */
function otherMemory(): HostMemory {
  return { totalBytes: totalmem(), availableBytes: freemem(), swapTotalBytes: 0, swapFreeBytes: 0 };
}

/** A value of macOS's kernel state; undefined where there is none of this name. */
export function sysctl(name: string): string | undefined {
  try {
    return execFileSync("/usr/sbin/sysctl", ["-n", name], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return undefined;
  }
}
