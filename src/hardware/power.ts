import { namesIn, readNumber, readText } from "./system-files.js";

/** What is said of a processor's power at one moment. */
export interface PowerReading {
  /** Energy taken since some moment. */
  joules?: number;
  /** What `joules` returns to 0 at; absent where it never does. */
  wrapJoules?: number;
  /** Drawn now. */
  watts?: number;
  /** The most that it may draw for long. */
  limitWatts?: number;
}

/** The power of the CPU: one reading for each package, memory and graphics within it included. */
export interface CpuPower {
  packages: PowerReading[];
  /** The counter of energy that is there, but not for this user: Linux has kept it for root since 5.10. */
  refused?: string;
}

/**
 * What the processor's own counters say (RAPL, of Intel and AMD); no packages where the system offers none.
 * Source: Linux, Documentation/power/powercap/powercap.rst.
 */
export function cpuPower(root = ""): CpuPower {
  const folder = "/sys/class/powercap";
  const found: CpuPower = { packages: [] };
  // Zones of zones have a second number, `psys` is the whole machine, and `intel-rapl-mmio` counts the packages again.
  for (const zone of namesIn(root + folder).filter((name) => /^intel-rapl:\d+$/.test(name))) {
    const path = `${folder}/${zone}`;
    if (!readText(`${root}${path}/name`)?.startsWith("package")) continue;
    const joules = micro(`${root}${path}/energy_uj`);
    if (joules === undefined) found.refused ??= `${path}/energy_uj`;
    const limitWatts = longTermLimit(root + path);
    found.packages.push({
      ...(joules !== undefined && {
        joules,
        ...given({ wrapJoules: micro(`${root}${path}/max_energy_range_uj`) }),
      }),
      ...given({ limitWatts }),
    });
  }
  return found;
}

/** A package has a limit for seconds and one for an instant, which is higher. */
function longTermLimit(zone: string): number | undefined {
  for (const constraint of [0, 1]) {
    if (readText(`${zone}/constraint_${constraint}_name`)?.trim() !== "long_term") continue;
    return micro(`${zone}/constraint_${constraint}_power_limit_uw`) || undefined;
  }
  return undefined;
}

/**
 * What the kernel's driver of the card at a PCI address says (amdgpu: power; i915 and xe: energy); undefined where
 * it says nothing. In xe, a card whose first channel is missing counts its package in the second.
 * Source: Linux, Documentation/hwmon/sysfs-interface.rst; ABI/testing/sysfs-driver-intel-xe-hwmon.
 */
export function cardPower(busId: string, root = ""): PowerReading | undefined {
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(busId)) return undefined;
  const folder = `${root}/sys/bus/pci/devices/${busId}/hwmon`;
  for (const monitor of namesIn(folder)) {
    const first = (...names: string[]) => {
      for (const name of names) {
        const value = micro(`${folder}/${monitor}/${name}`);
        if (value !== undefined) return value;
      }
      return undefined;
    };
    const reading = given({
      joules: first("energy1_input", "energy2_input"),
      watts: first("power1_average", "power1_input"),
      // 0 is a limit that is switched off.
      limitWatts: first("power1_cap", "power1_max", "power1_rated_max") || undefined,
    });
    if (Object.keys(reading).length > 0) return reading;
  }
  return undefined;
}

function micro(path: string): number | undefined {
  const value = readNumber(path);
  return value === undefined ? undefined : value / 1e6;
}

function given<T extends object>(values: { [Name in keyof T]: T[Name] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
