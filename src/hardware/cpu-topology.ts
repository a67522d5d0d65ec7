import { namesIn, readNumber, readText } from "./system-files.js";

/** One core of the machine and its hardware threads. */
export interface Core {
  cpus: number[];
  /** Of the fastest kind that the machine has. */
  isPerformance: boolean;
}

/**
 * The cores that are online, from Linux's /sys. Mixed Intel processors list their fast cores as the CPUs of the PMU
 * `cpu_core`; ARM gives each CPU a `cpu_capacity`, 1024 for the fastest. None where the kernel tells nothing.
 */
export function readCores(root = ""): Core[] {
  const folder = `${root}/sys/devices/system/cpu`;
  const fastOnes = parseCpuList(readText(`${root}/sys/devices/cpu_core/cpus`)?.trim() ?? "");
  const cores = new Map<string, { cpus: number[]; capacity?: number }>();
  for (const name of namesIn(folder)) {
    const cpu = /^cpu(\d+)$/.exec(name);
    const siblings = cpu && readText(`${folder}/${name}/topology/thread_siblings_list`)?.trim();
    if (!cpu || !siblings) continue;
    const core = cores.get(siblings) ?? { cpus: [] };
    core.cpus.push(Number(cpu[1]));
    core.capacity = readNumber(`${folder}/${name}/cpu_capacity`);
    cores.set(siblings, core);
  }
  const all = [...cores.values()];
  const greatest = Math.max(...all.map((core) => core.capacity ?? 0));
  const fast = new Set(fastOnes ?? []);
  return all
    .map(({ cpus, capacity }) => ({
      cpus: cpus.toSorted((a, b) => a - b),
      isPerformance:
        fast.size > 0
          ? cpus.some((cpu) => fast.has(cpu))
          : // Fast cores of one kind differ in their highest clock; slow ones have half the capacity or less.
            capacity === undefined || capacity > 0.75 * greatest,
    }))
    .toSorted((a, b) => a.cpus[0]! - b.cpus[0]!);
}

/** CPUs of the kernel's list format: `0-3,8` is 0, 1, 2, 3 and 8. Undefined where it is no such list. */
export function parseCpuList(text: string): number[] | undefined {
  const cpus: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (!match) return undefined;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}
