import { availableParallelism, cpus } from "node:os";
import { cgroupCores } from "./cgroup.js";
import { parseCpuList, readCores } from "./cpu-topology.js";
import { sysctl } from "./memory.js";
import { readText } from "./system-files.js";

/** The processor as this process may use it. */
export interface CpuFacts {
  /** The processor's name. */
  description: string;
  /** Hardware threads of the machine. */
  logicalCores: number;
  /** Cores of the machine: two hardware threads of one core share its arithmetic units. */
  physicalCores: number;
  /** The fast cores where the machine has cores of several kinds; all of them where it does not. */
  performanceCores: number;
  /** Hardware threads that this process may run on (its affinity). */
  allowedCores: number;
  /** CPU time that its cgroups grant, in cores; absent without a quota. */
  quotaCores?: number;
  /** Threads that jauge computes with, see `defaultThreads`. */
  threads: number;
}

/**
 * Threads for matrix work: physical cores this process may use. Two threads of one core share its
 * arithmetic units, so the second only adds contention; slower cores of a mixed processor would be waited for at the
 * end of every operation. Affinity and cgroup limits bound the count.
 */
export function defaultThreads(): number {
  return cpuFacts().threads;
}

/** Reads what the system says about its processor. */
export function cpuFacts(root = ""): CpuFacts {
  const logical = cpus();
  const description = logical[0]?.model.trim() || processorName(root) || process.arch;
  const cores = process.platform === "linux" || root !== "" ? readCores(root) : [];
  if (cores.length === 0) return withoutTopology(description, logical.length);
  const allowed = allowedCpus(root) ?? new Set(cores.flatMap((core) => core.cpus));
  const usable = cores.filter((core) => core.cpus.some((cpu) => allowed.has(cpu)));
  const fast = usable.filter((core) => core.isPerformance);
  const allowedCores = [...allowed].length;
  return {
    description: root === "" ? description : (processorName(root) ?? description),
    logicalCores: cores.reduce((sum, core) => sum + core.cpus.length, 0),
    physicalCores: cores.length,
    performanceCores: cores.filter((core) => core.isPerformance).length,
    allowedCores,
    // A process that is held on slow cores has only these.
    ...bounded(
      fast.length > 0 ? fast.length : usable.length,
      root === "" ? availableParallelism() : allowedCores,
      root,
    ),
  };
}

function withoutTopology(description: string, logicalCores: number): CpuFacts {
  const physical = Number(sysctlCount("hw.physicalcpu")) || logicalCores;
  const performance = Number(sysctlCount("hw.perflevel0.physicalcpu")) || physical;
  return {
    description,
    logicalCores,
    physicalCores: physical,
    performanceCores: performance,
    allowedCores: availableParallelism(),
    ...bounded(performance, availableParallelism(), ""),
  };
}

function bounded(cores: number, allowed: number, root: string): Pick<CpuFacts, "quotaCores" | "threads"> {
  const quotaCores = cgroupCores(root);
  const quota = quotaCores === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(quotaCores));
  return {
    ...(quotaCores === undefined ? {} : { quotaCores }),
    threads: Math.max(1, Math.min(cores, allowed, quota)),
  };
}

/** `Cpus_allowed_list: 0-3,8` of /proc/self/status. */
function allowedCpus(root: string): Set<number> | undefined {
  const match = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readText(`${root}/proc/self/status`) ?? "");
  const list = match && parseCpuList(match[1]!);
  return list ? new Set(list) : undefined;
}

/** x86 calls it `model name`; many ARM boards only have `Model` or `Hardware`. */
function processorName(root: string): string | undefined {
  const text = readText(`${root}/proc/cpuinfo`) ?? "";
  return /^(?:model name|Model|Hardware)\s*:\s*(.+)$/m.exec(text)?.[1]?.trim();
}

function sysctlCount(name: string): string | undefined {
  return process.platform === "darwin" ? sysctl(name) : undefined;
}
