import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";

/**
 * Threads for matrix work: physical cores this process may use. Two threads of one core share its
 * arithmetic units, so the second only adds contention. Affinity and cgroup limits bound the count.
 */
export function defaultThreads(): number {
  const allowed = Math.max(1, Math.min(availableParallelism(), cgroupCores()));
  const physical = physicalCores();
  return Math.max(1, Math.min(allowed, physical));
}

/** Physical cores of the machine; logical ones where the system does not tell them apart. */
function physicalCores(): number {
  if (process.platform !== "linux") return Math.max(1, cpus().length);
  try {
    const cores = new Set<string>();
    let socket = "0";
    for (const line of readFileSync("/proc/cpuinfo", "utf8").split("\n")) {
      const [key, value] = line.split(":").map((part) => part.trim());
      if (key === "physical id") socket = value ?? "0";
      if (key === "core id") cores.add(`${socket}/${value}`);
    }
    return cores.size || cpus().length;
  } catch {
    return cpus().length;
  }
}

/** CPU time granted by cgroup v2, in whole cores, at least 1; no limit where there is none. */
function cgroupCores(): number {
  try {
    const [quota, period] = readFileSync("/sys/fs/cgroup/cpu.max", "utf8").trim().split(/\s+/);
    if (quota === undefined || quota === "max") return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor(Number(quota) / Number(period)));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
