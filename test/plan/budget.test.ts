import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import type { ComputeSpeed, DeviceFacts, HardwareFacts } from "../../src/hardware/facts.js";
import {
  assumedMachine,
  type BudgetWish,
  type BudgetWishes,
  clampedNote,
  resolveBudgets,
} from "../../src/plan/budget.js";
import { parseCardSizes, parseRamBudget, parseVramBudget, wishText } from "../../src/plan/budget-text.js";

const gib = 2 ** 30;
const speed: ComputeSpeed = {
  memoryBytesPerSecond: 1e10,
  nodeSeconds: 1e-6,
  matrix: {},
  attention: { oneRowPerSecond: 1e9, batchPerSecond: 1e10 },
};
const rate = { pageableBytesPerSecond: 1e9, pinnedBytesPerSecond: 2e9 };

function device(name: string, changes: Partial<DeviceFacts> = {}): DeviceFacts {
  return {
    name,
    description: `card ${name}`,
    kind: "gpu",
    totalBytes: 12 * gib,
    freeBytes: 11 * gib,
    runtimeBytes: 0,
    unified: false,
    alignmentBytes: 256,
    speed,
    link: { toDevice: rate, toHost: rate, crossingSeconds: 1e-5 },
    ...changes,
  };
}

function machine(
  devices: DeviceFacts[],
  host: { totalBytes?: number; availableBytes?: number } = {},
): HardwareFacts {
  return {
    name: "test",
    origin: "assumed",
    devices,
    host: {
      description: "cpu",
      totalBytes: 64 * gib,
      availableBytes: 60 * gib,
      runtimeBytes: 0,
      threads: 4,
      speed,
      ...host,
    },
  };
}

/** The code of the error that `run` raises; undefined where it raises none. */
function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return isJaugeError(error) ? error.code : String(error);
  }
}

describe("budgets as written", () => {
  const bytes = (count: number) => ({ kind: "bytes", bytes: count });
  it.each([
    ["11.5GB", bytes(11_500_000_000)],
    ["11.5 GiB", bytes(12_348_030_976)],
    ["11,5GB", bytes(11_500_000_000)],
    ["11,5 Go", bytes(11_500_000_000)],
    ["8 Gio", bytes(8 * gib)],
    ["0", bytes(0)],
    ["11500000000", bytes(11_500_000_000)],
    ["90%", { kind: "share", share: 0.9 }],
    ["92,5 %", { kind: "share", share: 0.925 }],
    ["100%", { kind: "share", share: 1 }],
    ["free-512MiB", { kind: "free-less", bytes: 512 * 2 ** 20 }],
    ["Free - 1,5GB", { kind: "free-less", bytes: 1_500_000_000 }],
  ])("%s is one wish, of a device as of RAM", (text, wish) => {
    expect(parseVramBudget(text)).toEqual(wish);
    expect(parseRamBudget(text)).toEqual(wish);
  });

  it.each([
    ["0=11.5GB,1=8GiB", ["0", bytes(11_500_000_000)], ["1", bytes(8 * gib)]],
    ["0=11,5GB,1=8GiB", ["0", bytes(11_500_000_000)], ["1", bytes(8 * gib)]],
    ["0=0,1=8GiB", ["0", bytes(0)], ["1", bytes(8 * gib)]],
    ["0=11500000000,1=50%", ["0", bytes(11_500_000_000)], ["1", { kind: "share", share: 0.5 }]],
    ["Vulkan1 = free-1GiB", ["Vulkan1", { kind: "free-less", bytes: gib }]],
  ])("%s names devices", (text, ...wishes) => {
    expect(parseVramBudget(text)).toEqual({
      kind: "by-device",
      wishes: wishes.map(([name, wish]) => ({ device: name, wish })),
    });
    expect(codeOf(() => parseRamBudget(text))).toBe("budget-invalid");
  });

  it.each(
    [
      [
        "",
        "11",
        "11,5",
        // Thousands, or a fraction: who knows.
        "12,000MB",
        "-1GB",
        "1e9",
        "101%",
        "-5%",
        "free",
        "free-",
        "free-90%",
        "GB",
        "8GB,",
        "0=",
        "=8GB",
      ],
      [
        "8GB,12GB",
        "8,12,16GB",
        "1,2,3GB",
        "0=8GB,12GB",
        "0==8GB",
        "0=1=8GB",
        "12 G",
        "8GB 12GB",
        "90",
        "1 XB",
      ],
    ].flat(),
  )("%j is none", (text) => {
    expect(codeOf(() => parseVramBudget(text))).toBe("budget-invalid");
  });

  it("are refused with the option, the value and what to give", () => {
    expect(() => parseVramBudget("lots", "--vram")).toThrow('--vram "lots"');
    try {
      parseRamBudget("90", "--ram");
    } catch (error) {
      expect(isJaugeError(error) && error.fix).toMatch(/--ram a size with its unit .*10⁹.*2³⁰/);
    }
  });

  it("of several cards are sizes", () => {
    expect(parseCardSizes("8GB,12GB,16 GiB")).toEqual([8e9, 12e9, 16 * gib]);
    expect(parseCardSizes("8,5GB,12GB")).toEqual([8.5e9, 12e9]);
    for (const text of ["8GB", "11,5GB", "0=8GB,1=12GB", "90%"]) expect(parseCardSizes(text)).toBeUndefined();
  });

  it("of several cards name what is no size", () => {
    const wrong = { "8GB,90%": "90%", "8GB,lots": "lots", "8,12,16GB": "8", "8GB,0GB": "0GB" };
    for (const [text, item] of Object.entries(wrong)) {
      expect(codeOf(() => parseCardSizes(text))).toBe("budget-invalid");
      try {
        parseCardSizes(text, "--vram");
      } catch (error) {
        expect(isJaugeError(error) && error.fix).toContain(`"${item}" is none`);
      }
    }
  });

  const wish = fc.oneof(
    fc.record({ kind: fc.constant("bytes" as const), bytes: fc.nat({ max: 2 ** 45 }) }),
    fc.record({ kind: fc.constant("free-less" as const), bytes: fc.nat({ max: 2 ** 45 }) }),
    fc.record({ kind: fc.constant("share" as const), share: fc.nat({ max: 100 }).map((n) => n / 100) }),
  );

  it("come back from what they are written as", () => {
    const near = (a: BudgetWish, b: BudgetWish) =>
      a.kind === "share" && b.kind === "share"
        ? expect(b.share).toBeCloseTo(a.share, 12)
        : expect(b).toEqual(a);
    fc.assert(
      fc.property(wish, (one) => {
        near(one, parseVramBudget(wishText(one)) as BudgetWish);
        near(one, parseRamBudget(wishText(one)));
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.stringMatching(/^[A-Za-z]{1,6}\d?$/), wish), { minLength: 1 }),
        (pairs) => {
          const wishes = pairs.map(([name, one]) => ({ device: name, wish: one }));
          const read = parseVramBudget(wishText({ kind: "by-device", wishes }));
          if (read.kind !== "by-device") throw new Error(read.kind);
          expect(read.wishes.map(({ device: name }) => name)).toEqual(pairs.map(([name]) => name));
          for (const [index, entry] of read.wishes.entries()) near(pairs[index]![1], entry.wish);
        },
      ),
    );
  });

  it("fail on no text but with their own error", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0123456789.,=%-GMiBobfre ") }), (text) => {
        expect([undefined, "budget-invalid"]).toContain(codeOf(() => parseVramBudget(text)));
        expect([undefined, "budget-invalid"]).toContain(codeOf(() => parseCardSizes(text)));
      }),
    );
  });
});

describe("budgets of a machine", () => {
  const two = machine([device("CUDA0"), device("CUDA1", { totalBytes: 24 * gib, freeBytes: 24 * gib })]);

  it("leave a desktop room where nothing is said", () => {
    expect(resolveBudgets({}, two)).toEqual({
      // 5 % of 12 GiB is more than 512 MiB, as 10 % of 64 GiB is more than 1 GiB.
      devices: { CUDA0: 11 * gib - Math.ceil(0.6 * gib), CUDA1: 24 * gib - Math.ceil(1.2 * gib) },
      host: 60 * gib - Math.ceil(6.4 * gib),
      clamped: [],
    });
    const small = machine([device("CUDA0", { totalBytes: 2 * gib, freeBytes: gib })], {
      totalBytes: 4 * gib,
      availableBytes: 3 * gib,
    });
    expect(resolveBudgets({}, small)).toMatchObject({ devices: { CUDA0: gib / 2 }, host: 2 * gib });
    const full = machine([device("CUDA0", { freeBytes: 100 })], { availableBytes: 100 });
    expect(resolveBudgets({}, full)).toMatchObject({ devices: { CUDA0: 0 }, host: 0 });
  });

  it("are what the person says, of each device or of one", () => {
    expect(resolveBudgets({ vram: parseVramBudget("8GB"), ram: parseRamBudget("50%") }, two)).toEqual({
      devices: { CUDA0: 8e9, CUDA1: 8e9 },
      host: 32 * gib,
      clamped: [],
    });
    const { devices } = resolveBudgets({ vram: parseVramBudget("1=50%,cuda0=free-1GiB") }, two);
    expect(devices).toEqual({ CUDA0: 10 * gib, CUDA1: 12 * gib });
    const { devices: one } = resolveBudgets({ vram: parseVramBudget("1=8GB") }, two);
    expect(one).toEqual({ CUDA0: resolveBudgets({}, two).devices.CUDA0, CUDA1: 8e9 });
    expect(resolveBudgets({ vram: parseVramBudget("8GB") }, machine([])).devices).toEqual({});
  });

  it("are clamped to what is free, and say so", () => {
    const wishes = { vram: parseVramBudget("0=12GiB,1=24GiB"), ram: parseRamBudget("61GiB") };
    const { devices, host, clamped } = resolveBudgets(wishes, two);
    expect({ devices, host }).toEqual({ devices: { CUDA0: 11 * gib, CUDA1: 24 * gib }, host: 60 * gib });
    expect(clamped).toEqual([
      { device: "host", askedBytes: 61 * gib, freeBytes: 60 * gib },
      { device: "CUDA0", askedBytes: 12 * gib, freeBytes: 11 * gib },
    ]);
    expect(clampedNote(clamped[0]!)).toBe("RAM: 65.50 GB allowed, but only 64.42 GB are free");
  });

  it("of a device that shares RAM stay within RAM", () => {
    const shared = machine(
      [device("Vulkan0", { unified: true, totalBytes: 64 * gib, freeBytes: 64 * gib })],
      {
        availableBytes: 10 * gib,
      },
    );
    const { devices, host } = resolveBudgets({}, shared);
    expect(host).toBe(10 * gib - Math.ceil(6.4 * gib));
    expect(devices.Vulkan0).toBe(host);
    expect(resolveBudgets({ vram: parseVramBudget("20GiB") }, shared)).toMatchObject({
      devices: { Vulkan0: 10 * gib },
      clamped: [{ device: "Vulkan0", askedBytes: 20 * gib, freeBytes: 10 * gib }],
    });
    expect(resolveBudgets({ ram: parseRamBudget("1GiB") }, shared).devices.Vulkan0).toBe(gib);
  });

  it("name the devices there are where one is unknown, and each once", () => {
    for (const text of ["2=8GB", "CUDA7=8GB", "00000=1GB"]) {
      expect(codeOf(() => resolveBudgets({ vram: parseVramBudget(text) }, two))).toBe(
        "budget-device-unknown",
      );
    }
    expect(() => resolveBudgets({ vram: parseVramBudget("Vulkan0=8GB") }, two)).toThrow(/no device Vulkan0/);
    try {
      resolveBudgets({ vram: parseVramBudget("Vulkan0=8GB") }, two);
    } catch (error) {
      expect(isJaugeError(error) && error.fix).toContain("0 CUDA0, 1 CUDA1");
    }
    expect(codeOf(() => resolveBudgets({ vram: parseVramBudget("0=8GB,CUDA0=9GB") }, two))).toBe(
      "budget-invalid",
    );
  });

  it("assume a card of another size", () => {
    const igpu = device("Vulkan0", { unified: true });
    const assumed = assumedMachine({ cardBytes: 24e9 }, machine([igpu, device("CUDA0")]));
    expect(assumed.devices).toEqual([device("CUDA0", { totalBytes: 24e9, freeBytes: 24e9 })]);
    expect(resolveBudgets({ cardBytes: 24e9 }, two).devices).toEqual({ CUDA0: 24e9 - 1.2e9 });
    expect(codeOf(() => resolveBudgets({ cardBytes: 24e9 }, machine([igpu])))).toBe("budget-card-missing");
  });

  const anyMachine = fc
    .tuple(
      fc.nat({ max: 2 ** 40 }),
      fc.nat({ max: 2 ** 40 }),
      fc.array(
        fc.record({
          totalBytes: fc.nat({ max: 2 ** 38 }),
          freeBytes: fc.nat({ max: 2 ** 38 }),
          unified: fc.boolean(),
        }),
        {
          maxLength: 4,
        },
      ),
    )
    .map(([totalBytes, availableBytes, devices]) =>
      machine(
        devices.map((facts, index) => device(`D${index}`, facts)),
        { totalBytes, availableBytes },
      ),
    );
  const wishOf = fc.oneof(
    fc.record({ kind: fc.constant("bytes" as const), bytes: fc.nat({ max: 2 ** 40 }) }),
    fc.record({ kind: fc.constant("free-less" as const), bytes: fc.nat({ max: 2 ** 40 }) }),
    fc.record({ kind: fc.constant("share" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  );
  const anyWishes = fc.record({ vram: wishOf, ram: wishOf }, { requiredKeys: [] });

  it("are whole, and never above what is free, in RAM for devices that share it", () => {
    fc.assert(
      fc.property(anyWishes, anyMachine, (wishes, facts) => {
        const { devices, host, clamped } = resolveBudgets(wishes as BudgetWishes, facts);
        expect(Number.isSafeInteger(host) && host >= 0 && host <= facts.host.availableBytes).toBe(true);
        expect(host).toBeLessThanOrEqual(facts.host.totalBytes);
        for (const { name, freeBytes, totalBytes, unified } of facts.devices) {
          const budget = devices[name]!;
          expect(Number.isSafeInteger(budget) && budget >= 0).toBe(true);
          expect(budget).toBeLessThanOrEqual(Math.min(freeBytes, totalBytes));
          if (unified) expect(budget).toBeLessThanOrEqual(facts.host.availableBytes);
        }
        for (const { askedBytes, freeBytes } of clamped) expect(askedBytes).toBeGreaterThan(freeBytes);
        // A wish for bytes is met to the byte, or clamped and said so.
        if (wishes.ram?.kind === "bytes" && !clamped.some((entry) => entry.device === "host"))
          expect(host).toBe(wishes.ram.bytes);
      }),
    );
  });

  it("grow with what is asked and with what is free", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.nat(2 ** 40), anyMachine, (a, b, facts) => {
        const [less, more] = [Math.min(a, b), Math.max(a, b)];
        const budget = (bytes: number) =>
          resolveBudgets({ vram: { kind: "bytes", bytes }, ram: { kind: "bytes", bytes } }, facts);
        const [small, large] = [budget(less), budget(more)];
        expect(small.host).toBeLessThanOrEqual(large.host);
        for (const { name } of facts.devices) {
          expect(small.devices[name]).toBeLessThanOrEqual(large.devices[name]!);
        }
      }),
    );
    fc.assert(
      fc.property(anyWishes, anyMachine, fc.nat(2 ** 36), (wishes, facts, extra) => {
        const freer = machine(
          facts.devices.map((one) => ({ ...one, freeBytes: one.freeBytes + extra })),
          { totalBytes: facts.host.totalBytes, availableBytes: facts.host.availableBytes + extra },
        );
        const [before, after] = [
          resolveBudgets(wishes as BudgetWishes, facts),
          resolveBudgets(wishes as BudgetWishes, freer),
        ];
        expect(before.host).toBeLessThanOrEqual(after.host);
        for (const { name } of facts.devices)
          expect(before.devices[name]).toBeLessThanOrEqual(after.devices[name]!);
      }),
    );
  });
});
