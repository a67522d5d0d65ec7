import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cgroupCores, cgroupMemory } from "../../src/hardware/cgroup.js";
import { hostMemory, parseMeminfo, parseSwapUsage } from "../../src/hardware/memory.js";
import { machine } from "./machine.js";

const meminfo = `MemTotal:       65748052 kB
MemFree:         1024000 kB
MemAvailable:   50000000 kB
SwapTotal:       8388604 kB
SwapFree:        8000000 kB
`;
const total = 65_748_052 * 1024;
const available = 50_000_000 * 1024;
const GiB = 2 ** 30;

const v2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const v1 = `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
`;

describe("a machine without limits", () => {
  it("has what /proc/meminfo says", () => {
    const root = machine({
      "proc/meminfo": meminfo,
      "proc/self/cgroup": "0::/\n",
      "proc/self/mountinfo": v2,
    });
    expect(hostMemory(root)).toEqual({
      totalBytes: total,
      availableBytes: available,
      swapTotalBytes: 8_388_604 * 1024,
      swapFreeBytes: 8_000_000 * 1024,
    });
    expect(cgroupCores(root)).toBeUndefined();
  });

  it("has its free memory where the kernel is too old for MemAvailable", () => {
    expect(parseMeminfo("MemTotal: 100 kB\nMemFree: 40 kB\n")).toMatchObject({
      totalBytes: 102_400,
      availableBytes: 40_960,
      swapTotalBytes: 0,
    });
  });
});

describe("limits of cgroups", () => {
  const group = "sys/fs/cgroup/user.slice/app.slice/run.scope";
  const nested = {
    "proc/meminfo": meminfo,
    "proc/self/cgroup": "0::/user.slice/app.slice/run.scope\n",
    "proc/self/mountinfo": v2,
    [`${group}/memory.max`]: "max\n",
    [`${group}/memory.current`]: `${3 * GiB}\n`,
    [`${group}/cpu.max`]: "max 100000\n",
    "sys/fs/cgroup/user.slice/app.slice/memory.max": `${8 * GiB}\n`,
    "sys/fs/cgroup/user.slice/app.slice/memory.current": `${5 * GiB}\n`,
    "sys/fs/cgroup/user.slice/app.slice/memory.stat": `anon 1\ninactive_file ${GiB}\nactive_file 7\n`,
    "sys/fs/cgroup/user.slice/app.slice/cpu.max": "350000 100000\n",
    "sys/fs/cgroup/user.slice/memory.max": `${16 * GiB}\n`,
    "sys/fs/cgroup/user.slice/memory.current": `${9 * GiB}\n`,
    "sys/fs/cgroup/user.slice/cpu.max": "600000 100000\n",
  };

  it("are those of the tightest ancestor (version 2), which can drop its page cache", () => {
    const root = machine(nested);
    expect(cgroupMemory(root)).toEqual({ limitBytes: 8 * GiB, availableBytes: 4 * GiB });
    expect(hostMemory(root)).toMatchObject({ totalBytes: 8 * GiB, availableBytes: 4 * GiB });
    expect(cgroupCores(root)).toBe(3.5);
  });

  it("are where memory is throttled, too", () => {
    const root = machine({ ...nested, "sys/fs/cgroup/user.slice/memory.high": `${10 * GiB}\n` });
    expect(cgroupMemory(root)).toEqual({ limitBytes: 8 * GiB, availableBytes: GiB });
  });

  it("leave nothing where more is used than allowed, never less", () => {
    const root = machine({ ...nested, "sys/fs/cgroup/user.slice/app.slice/memory.current": `${12 * GiB}` });
    expect(cgroupMemory(root).availableBytes).toBe(0);
  });

  it("are read from version 1, whose greatest number is no limit", () => {
    const folder = "sys/fs/cgroup/memory/docker/abc";
    const files = {
      "proc/meminfo": meminfo,
      "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n",
      "proc/self/mountinfo": v1,
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      [`${folder}/memory.limit_in_bytes`]: `${4 * GiB}\n`,
      [`${folder}/memory.usage_in_bytes`]: `${2 * GiB}\n`,
      [`${folder}/memory.stat`]: `inactive_file 5\ntotal_inactive_file ${GiB}\n`,
      "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "150000\n",
      "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    };
    expect(cgroupMemory(machine(files))).toEqual({ limitBytes: 4 * GiB, availableBytes: 3 * GiB });
    expect(cgroupCores(machine(files))).toBe(1.5);
    const free = { ...files, [`${folder}/memory.limit_in_bytes`]: "9223372036854771712\n" };
    expect(hostMemory(machine(free))).toMatchObject({ totalBytes: total, availableBytes: available });
  });

  it("are found where a container sees its own group as the root", () => {
    const root = machine({
      "proc/self/cgroup": "5:memory:/docker/abc\n",
      "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": `${4 * GiB}\n`,
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "0\n",
    });
    expect(cgroupMemory(root).limitBytes).toBe(4 * GiB);
  });

  it("never leave more than any one of them allows", () => {
    const level = fc.record({
      limit: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
      used: fc.integer({ min: 0, max: 2 ** 40 }),
      droppable: fc.integer({ min: 0, max: 2 ** 30 }),
    });
    fc.assert(
      fc.property(fc.array(level, { minLength: 1, maxLength: 5 }), (levels) => {
        const names = levels.map((_, index) => `g${index}`);
        const files: Record<string, string> = {
          "proc/self/cgroup": `0::/${names.join("/")}\n`,
          "proc/self/mountinfo": v2,
        };
        levels.forEach(({ limit, used, droppable }, index) => {
          const folder = `sys/fs/cgroup/${names.slice(0, index + 1).join("/")}`;
          files[`${folder}/memory.max`] = `${limit ?? "max"}\n`;
          files[`${folder}/memory.current`] = `${used}\n`;
          files[`${folder}/memory.stat`] = `inactive_file ${droppable}\n`;
        });
        const { limitBytes, availableBytes } = cgroupMemory(machine(files));
        const limited = levels.filter(({ limit }) => limit !== null);
        expect(limitBytes).toBe(Math.min(Number.POSITIVE_INFINITY, ...limited.map(({ limit }) => limit!)));
        expect(availableBytes).toBe(
          Math.min(
            Number.POSITIVE_INFINITY,
            ...limited.map(({ limit, used, droppable }) => Math.max(0, limit! - used + droppable)),
          ),
        );
      }),
      { numRuns: 50 },
    );
  });
});

it("macOS's swap is read from its own words", () => {
  expect(parseSwapUsage("total = 2048.00M  used = 1024.50M  free = 1023.50M  (encrypted)")).toEqual({
    swapTotalBytes: 2048 * 2 ** 20,
    swapFreeBytes: 1023.5 * 2 ** 20,
  });
  expect(parseSwapUsage("")).toEqual({ swapTotalBytes: 0, swapFreeBytes: 0 });
});
