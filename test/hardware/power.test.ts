import fc from "fast-check";
import { expect, test } from "vitest";
import { EnergyMeter } from "../../src/hardware/energy.js";
import { cardPower, cpuPower } from "../../src/hardware/power.js";
import { machine } from "./machine.js";

const zones = "sys/class/powercap";

function zone(name: string, files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [`${zones}/${name}/${file}`, text]));
}

const sockets = {
  ...zone("intel-rapl:0", {
    name: "package-0\n",
    energy_uj: "12500000\n",
    max_energy_range_uj: "262143328850\n",
    constraint_0_name: "long_term\n",
    constraint_0_power_limit_uw: "125000000\n",
    constraint_1_name: "short_term\n",
    constraint_1_power_limit_uw: "241000000\n",
  }),
  // Its cores, which its own energy has in it; the whole machine; and the same package by another door.
  ...zone("intel-rapl:0:0", { name: "core\n", energy_uj: "9000000\n" }),
  ...zone("intel-rapl:1", { name: "psys\n", energy_uj: "99000000\n" }),
  ...zone("intel-rapl-mmio:0", { name: "package-0\n", energy_uj: "12500000\n" }),
  ...zone("intel-rapl:2", {
    name: "package-1\n",
    energy_uj: "7000000\n",
    max_energy_range_uj: "262143328850\n",
    constraint_0_name: "short_term\n",
    constraint_0_power_limit_uw: "241000000\n",
    constraint_1_name: "long_term\n",
    constraint_1_power_limit_uw: "0\n",
  }),
};

test("a processor's packages are counted, nothing twice", () => {
  const { packages, refused } = cpuPower(machine(sockets));
  expect(refused).toBeUndefined();
  expect(packages.toSorted((a, b) => b.joules! - a.joules!)).toEqual([
    { joules: 12.5, wrapJoules: 262_143.32885, limitWatts: 125 },
    { joules: 7, wrapJoules: 262_143.32885 },
  ]);
});

test("a counter that is for root only is told, and the limit is read all the same", () => {
  const { [`${zones}/intel-rapl:0/energy_uj`]: _, ...others } = sockets;
  const { packages, refused } = cpuPower(machine(others));
  expect(refused).toBe("/sys/class/powercap/intel-rapl:0/energy_uj");
  expect(packages).toContainEqual({ limitWatts: 125 });
});

test("a machine without counters says nothing", () => {
  expect(cpuPower(machine({}))).toEqual({ packages: [] });
});

const amd = "0000:03:00.0";
const hwmon = (busId: string, files: Record<string, string>) =>
  machine(
    Object.fromEntries(
      Object.entries(files).map(([file, text]) => [
        `sys/bus/pci/devices/${busId}/hwmon/hwmon4/${file}`,
        text,
      ]),
    ),
  );

test("cards are read as their kernel driver shows them", () => {
  const older = hwmon(amd, { name: "amdgpu\n", power1_average: "213000000\n", power1_cap: "303000000\n" });
  expect(cardPower(amd, older)).toEqual({ watts: 213, limitWatts: 303 });
  const newer = hwmon(amd, { name: "amdgpu\n", power1_input: "34000000\n", power1_cap: "0\n" });
  expect(cardPower(amd, newer)).toEqual({ watts: 34 });
  const intel = hwmon(amd, { name: "xe\n", energy2_input: "4500000\n", power1_rated_max: "190000000\n" });
  expect(cardPower(amd, intel)).toEqual({ joules: 4.5, limitWatts: 190 });
  expect(cardPower(amd, hwmon(amd, { name: "nouveau\n", temp1_input: "50000\n" }))).toBeUndefined();
  expect(cardPower("0000:04:00.0", newer)).toBeUndefined();
  // What a driver calls an address is never a path.
  expect(cardPower("../../../03:00.0", newer)).toBeUndefined();
});

test("energy is the difference of counts, also of those that return to 0", () => {
  const steps = fc.array(fc.integer({ min: 0, max: 999 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 999 }), (taken, start) => {
      const meter = new EnergyMeter();
      let count = start;
      for (const [second, joules] of [0, ...taken].entries()) {
        count = (count + joules) % 1000;
        meter.observe("host", [{ joules: count, wrapJoules: 1000 }], second);
      }
      expect(meter.joules.get("host")).toBe(taken.reduce((sum, joules) => sum + joules, 0));
    }),
    { numRuns: 50 },
  );
});

test("a counter that begins anew with its driver loses nothing but what nobody saw", () => {
  const meter = new EnergyMeter();
  for (const [second, joules] of [5000, 5100, 30, 50].entries()) meter.observe("CUDA0", [{ joules }], second);
  expect(meter.joules.get("CUDA0")).toBe(150);
});

test("power is taken over the time between two looks; packages add up; what says nothing is not there", () => {
  const meter = new EnergyMeter();
  meter.observe("Vulkan0", [{ watts: 100 }], 10);
  meter.observe("Vulkan0", [{ watts: 200 }], 12);
  meter.observe("Vulkan0", [{ limitWatts: 300 }], 13);
  meter.observe("Vulkan0", [{ watts: 0 }], 14);
  expect(meter.joules.get("Vulkan0")).toBe(300 + 200);
  meter.observe("host", [{ joules: 1 }, { joules: 2 }], 0);
  meter.observe("host", [{ joules: 4 }, { joules: 7 }], 1);
  expect(meter.joules.get("host")).toBe(8);
  meter.observe("other", [{ limitWatts: 5 }], 0);
  expect([...meter.joules.keys()]).toEqual(["Vulkan0", "host"]);
});
