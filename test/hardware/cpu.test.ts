import { cpus } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cpuFacts } from "../../src/hardware/cpu.js";
import { parseCpuList, readCores } from "../../src/hardware/cpu-topology.js";
import { machine } from "./machine.js";

/** The kernel's list of some CPUs: runs of consecutive ones become ranges. */
function cpuList(numbers: number[]): string {
  const parts: string[] = [];
  for (let index = 0; index < numbers.length; ) {
    let last = index;
    while (numbers[last + 1] === numbers[last]! + 1) last++;
    parts.push(last === index ? `${numbers[index]}` : `${numbers[index]}-${numbers[last]}`);
    index = last + 1;
  }
  return parts.join(",");
}

describe("CPU lists", () => {
  it("come back as the CPUs they were made of", () => {
    const cpus = fc.uniqueArray(fc.integer({ min: 0, max: 5000 }), { minLength: 1 });
    fc.assert(
      fc.property(cpus, (some) => {
        const sorted = some.toSorted((a, b) => a - b);
        expect(parseCpuList(cpuList(sorted))).toEqual(sorted);
      }),
    );
  });

  it("are refused where they are none", () => {
    for (const text of ["", "a", "3-1", "1,,2", "1-", "0x3", "1-2-3"])
      expect(parseCpuList(text), text).toBeUndefined();
  });
});

/** The topology of cores, each a list of its hardware threads. */
function topology(cores: number[][], capacities: Record<number, number> = {}): Record<string, string> {
  const files: Record<string, string> = {};
  for (const core of cores) {
    for (const cpu of core) {
      const folder = `sys/devices/system/cpu/cpu${cpu}`;
      files[`${folder}/topology/thread_siblings_list`] = `${cpuList(core)}\n`;
      if (capacities[cpu] !== undefined) files[`${folder}/cpu_capacity`] = `${capacities[cpu]}\n`;
    }
  }
  return files;
}
const allowed = (list: string) => ({ "proc/self/status": `Name:\tnode\nCpus_allowed_list:\t${list}\n` });
const sixCores = topology([
  [0, 6],
  [1, 7],
  [2, 8],
  [3, 9],
  [4, 10],
  [5, 11],
]);

describe("a processor", () => {
  it("with two threads a core computes with one on each", () => {
    const root = machine({
      ...sixCores,
      ...allowed("0-11"),
      "proc/cpuinfo": "model name\t: AMD Ryzen 5 5600G\n",
    });
    expect(cpuFacts(root)).toEqual({
      description: "AMD Ryzen 5 5600G",
      logicalCores: 12,
      physicalCores: 6,
      performanceCores: 6,
      allowedCores: 12,
      threads: 6,
    });
  });

  it("gives only the cores that the process may run on", () => {
    expect(cpuFacts(machine({ ...sixCores, ...allowed("0-2,6-8") })).threads).toBe(3);
    // Both threads of one core are one core.
    expect(cpuFacts(machine({ ...sixCores, ...allowed("0,6") })).threads).toBe(1);
  });

  it("gives no more than the time that is granted, and at least one thread", () => {
    const group = (quota: string) => ({
      "proc/self/cgroup": "0::/\n",
      "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
      "sys/fs/cgroup/cpu.max": `${quota} 100000\n`,
    });
    const facts = (quota: string) => cpuFacts(machine({ ...sixCores, ...allowed("0-11"), ...group(quota) }));
    expect(facts("250000")).toMatchObject({ quotaCores: 2.5, threads: 2 });
    expect(facts("50000")).toMatchObject({ quotaCores: 0.5, threads: 1 });
    expect(facts("max").quotaCores).toBeUndefined();
  });

  it("of two kinds of cores computes on the fast ones: Intel", () => {
    const cores = topology([[0, 1], [2, 3], [4], [5], [6], [7]]);
    const root = machine({ ...cores, ...allowed("0-7"), "sys/devices/cpu_core/cpus": "0-3\n" });
    expect(cpuFacts(root)).toMatchObject({ physicalCores: 6, performanceCores: 2, threads: 2 });
    // Held on slow cores, these are what there is.
    const held = machine({ ...cores, ...allowed("4-6"), "sys/devices/cpu_core/cpus": "0-3\n" });
    expect(cpuFacts(held).threads).toBe(3);
  });

  it("of two kinds of cores computes on the fast ones: ARM", () => {
    const cores = topology([[0], [1], [2], [3], [4], [5]], {
      0: 512,
      1: 512,
      2: 1024,
      3: 1024,
      4: 980,
      5: 1024,
    });
    expect(readCores(machine(cores)).map((core) => core.isPerformance)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
    expect(cpuFacts(machine({ ...cores, ...allowed("0-5") }))).toMatchObject({
      performanceCores: 4,
      threads: 4,
    });
  });

  it("of this machine is read", () => {
    const facts = cpuFacts();
    expect(facts.description).not.toBe("");
    expect(facts.logicalCores).toBe(cpus().length);
    expect(facts.physicalCores).toBeLessThanOrEqual(facts.logicalCores);
    expect(facts.performanceCores).toBeLessThanOrEqual(facts.physicalCores);
    expect(facts.threads).toBeGreaterThanOrEqual(1);
  });
});
