import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { calibrate, listDevices } from "../../src/engine/engine.js";
import type { CalibrationTask, Device, ProcessorCalibration } from "../../src/engine/protocol.js";
import { JaugeError } from "../../src/errors.js";
import {
  type CalibrationKey,
  type CalibrationRecord,
  cacheDirectory,
  cachedCalibration,
  calibrationKey,
  calibrationPath,
  readRecord,
  writeRecord,
} from "../../src/planner/calibration-cache.js";
import { calibrationFor, type DoctorOptions, runDoctor } from "../../src/planner/doctor.js";

// The engine's own tests measure; here it is a stand-in that says what it was asked.
vi.mock("../../src/engine/engine.js", () => ({ calibrate: vi.fn(), listDevices: vi.fn() }));

const device = (name: string, kind: Device["kind"]): Device => ({
  ...{ name, kind, description: `the ${name}`, freeBytes: 1e9, totalBytes: 2e9, usedBy: [] },
  ...{ unified: false, alignmentBytes: 32, maxBufferBytes: 1e9 },
});
const options: DoctorOptions = {
  libraries: { backend: "cpu" },
  threads: 2,
  types: ["Q4_K"],
  expertTypes: ["Q4_K"],
};

let folder: string;
let asked: CalibrationTask[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jauge-doctor-"));
  vi.stubEnv("JAUGE_CACHE_DIR", folder);
  asked = [];
  vi.mocked(listDevices).mockResolvedValue([device("Vulkan0", "gpu"), device("CPU", "cpu")]);
  vi.mocked(calibrate).mockImplementation(async (task) => {
    asked.push(task);
    return measured(task);
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** What a processor answers: the CPU is twice as fast at everything. */
function measured({ device, types, expertTypes, matricesOnly }: CalibrationTask): ProcessorCalibration {
  const factor = device === "CPU" ? 2 : 1;
  const table = (names: readonly string[]) =>
    Object.fromEntries(names.map((type) => [type, { rows: [1, 8], bytesPerSecond: [8 * factor, factor] }]));
  const link = {
    ...{ toDevice: { pageableBytesPerSecond: 1, pinnedBytesPerSecond: 2 } },
    ...{ toHost: { pageableBytesPerSecond: 3, pinnedBytesPerSecond: 4 }, crossingSeconds: 5 },
  };
  const attention = { oneRowPerSecond: 10 * factor, batchPerSecond: 20 * factor };
  const nodes = {
    ...{ nodeSeconds: 1 / factor, multiplySeconds: 2 / factor },
    passBytesPerSecond: 3 * factor,
    norm: { seconds: 4 / factor, rowSeconds: 5 / factor, elementSeconds: 6 / factor },
  };
  return {
    skipped: { types: [], expertTypes: [] },
    matrix: table(types),
    experts: table(expertTypes),
    ...(device === "CPU" ? { repacked: table(types) } : {}),
    ...(matricesOnly ? {} : { operations: { ...nodes, attention, ...(device === "CPU" ? {} : { link }) } }),
    ...{ hostRuntimeBytes: 1000, cpuSeconds: 0, firstRunSeconds: 9, deviceBytes: device === "CPU" ? 0 : 77 },
  };
}

describe("runDoctor", () => {
  it("measures the CPU, then each device, one after the other", async () => {
    const places: string[] = [];
    const calibration = await runDoctor({
      ...options,
      onProgress: (_, place) => place !== places.at(-1) && places.push(place),
    });
    expect(asked.map(({ device }) => device)).toEqual(["CPU", "Vulkan0"]);
    expect(places).toEqual(["host", "Vulkan0", "host"]);
    expect(calibration.host).toMatchObject({
      ...{ memoryBytesPerSecond: 16, nodeSeconds: 0.5, multiplySeconds: 1, passBytesPerSecond: 6 },
    });
    expect(calibration.host.norm).toEqual({ seconds: 2, rowSeconds: 2.5, elementSeconds: 3 });
    expect(calibration.host).not.toHaveProperty("rope");
    expect(calibration.host.repacked).toHaveProperty("Q4_K");
    expect(calibration.devices.Vulkan0).toMatchObject({ runtimeBytes: 77, link: { crossingSeconds: 5 } });
    expect(calibration.devices.Vulkan0!.speed.attention).toEqual({ oneRowPerSecond: 10, batchPerSecond: 20 });
    expect(calibration.hostRuntimeBytes).toBeGreaterThan(1000);
  });

  it("tries a device that crashed once more, and leaves it out when it crashes again", async () => {
    const crash = new JaugeError("host-crashed", { signal: "SIGSEGV", log: "" });
    vi.mocked(calibrate).mockImplementation(async (task) => {
      asked.push(task);
      if (task.device !== "CPU") throw crash;
      return measured(task);
    });
    const failures: [string, string][] = [];
    const onFailure = (name: string, error: JaugeError) => failures.push([name, error.code]);
    const calibration = await runDoctor({ ...options, onFailure });
    expect(asked.map(({ device }) => device)).toEqual(["CPU", "Vulkan0", "Vulkan0"]);
    expect(failures).toEqual([["Vulkan0", "host-crashed"]]);
    expect(calibration.devices).toEqual({});
    expect(calibration.host.matrix).toHaveProperty("Q4_K");
  });

  it("tells how long a device's driver compiled, and nothing of the CPU", async () => {
    const compiled: [string, number][] = [];
    await runDoctor({ ...options, onCompiled: (name, seconds) => compiled.push([name, seconds]) });
    expect(compiled).toEqual([["Vulkan0", 9]]);
  });

  it("fails where the CPU fails, and stops when it is told to", async () => {
    vi.mocked(calibrate).mockRejectedValue(new JaugeError("out-of-memory", { device: "CPU" }));
    await expect(runDoctor(options)).rejects.toMatchObject({ code: "out-of-memory" });
    vi.mocked(calibrate).mockRejectedValue(new JaugeError("cancelled", {}));
    await expect(runDoctor(options)).rejects.toMatchObject({ code: "cancelled" });
  });

  it("derives attention from multiplications where a device has no operation for it", async () => {
    vi.mocked(calibrate).mockImplementation(async (task) => {
      const answer = measured({ ...task, types: ["F16"] });
      if (task.device !== "CPU") delete answer.operations!.attention;
      return answer;
    });
    const { devices } = await runDoctor(options);
    // 8 bytes per second are 4 weights of 16 bits; 1 byte for 8 rows at once are 8 / 2 products.
    expect(devices.Vulkan0!.speed.attention).toEqual({ oneRowPerSecond: 4, batchPerSecond: 4 });
  });
});

describe("calibrationFor", () => {
  it("measures once, keeps what it measured, and measures again when forced", async () => {
    const first = await calibrationFor(options);
    expect(asked).toHaveLength(2);
    expect(await calibrationFor(options)).toEqual(first);
    expect(asked).toHaveLength(2);
    await calibrationFor({ ...options, force: true });
    expect(asked).toHaveLength(4);
  });

  it("measures only the types that are missing, and keeps the others", async () => {
    await calibrationFor(options);
    asked = [];
    const { calibration, types } = await calibrationFor({ ...options, types: ["Q8_0", "Q4_K"] });
    expect(asked.map((task) => [task.types, task.expertTypes, task.matricesOnly])).toEqual([
      [["Q8_0"], [], true],
      [["Q8_0"], [], true],
    ]);
    expect(types).toEqual(["Q4_K", "Q8_0"]);
    for (const speed of [calibration.host, calibration.devices.Vulkan0!.speed]) {
      expect(Object.keys(speed.matrix)).toEqual(["Q4_K", "Q8_0"]);
      expect(speed.experts).toHaveProperty("Q4_K");
    }
    expect(calibration.host.nodeSeconds).toBe(0.5);
  });

  it("does not ask again for a type that no processor multiplies by", async () => {
    vi.mocked(calibrate).mockImplementation(async (task) => {
      asked.push(task);
      return measured({ ...task, types: task.types.filter((type) => type !== "TQ1_0") });
    });
    await calibrationFor({ ...options, types: ["Q4_K", "TQ1_0"] });
    await calibrationFor({ ...options, types: ["Q4_K", "TQ1_0"] });
    expect(asked).toHaveLength(2);
  });

  it("asks again for a type that a processor had no time for", async () => {
    vi.mocked(calibrate).mockImplementationOnce(async (task) => ({
      ...measured({ ...task, types: ["Q4_K"] }),
      skipped: { types: ["Q8_0"], expertTypes: [] },
    }));
    const wanted = { ...options, types: ["Q4_K", "Q8_0"] as const };
    const { types } = await calibrationFor(wanted);
    expect(types).toEqual(["Q4_K"]);
    const { calibration } = await calibrationFor(wanted);
    expect(asked.filter(({ device }) => device === "CPU").map((task) => task.types)).toEqual([["Q8_0"]]);
    expect(Object.keys(calibration.host.matrix)).toEqual(["Q4_K", "Q8_0"]);
  });

  it("measures a device again that failed before", async () => {
    vi.mocked(calibrate).mockImplementation(async (task) => {
      if (task.device !== "CPU")
        throw new JaugeError("calibration-failed", { device: "Vulkan0", reason: "" });
      return measured(task);
    });
    expect((await calibrationFor(options)).calibration.devices).toEqual({});
    vi.mocked(calibrate).mockImplementation(async (task) => measured(task));
    expect((await calibrationFor(options)).calibration.devices).toHaveProperty("Vulkan0");
  });
});

describe("the cache", () => {
  const key: CalibrationKey = {
    ...{ cpu: "a processor", cores: 8, ramBytes: 64e9, devices: ["Vulkan0: a card, 12000000000"] },
    ...{ libraryVersion: "0.5.0", backend: "vulkan", threads: 8, method: 4 },
  };
  const record = async (): Promise<CalibrationRecord> => ({
    calibration: await runDoctor(options),
    types: ["Q4_K"],
    expertTypes: [],
    measuredAt: "2026-01-01T00:00:00.000Z",
  });

  it("gives back what was written, and leaves nothing else behind", async () => {
    const written = await record();
    await writeRecord(key, written);
    expect(await readRecord(key)).toEqual(written);
    expect(await cachedCalibration(key)).toEqual(written.calibration);
    expect(await readdir(folder)).toHaveLength(1);
  });

  it.each([
    ["cpu", "another"],
    ["cores", 4],
    ["ramBytes", 32e9],
    ["devices", []],
    ["libraryVersion", "0.6.0"],
    ["backend", "cuda"],
    ["threads", 4],
    ["method", 1],
  ])("knows nothing where %s differs", async (field, value) => {
    await writeRecord(key, await record());
    expect(await cachedCalibration({ ...key, [field]: value })).toBeUndefined();
    expect(await cachedCalibration(key)).toBeDefined();
  });

  it("takes a damaged file for none, whatever is wrong with it", async () => {
    const path = calibrationPath(key);
    await writeRecord(key, await record());
    const good = await readFile(path, "utf8");
    const changed = (change: (json: { calibration: Record<string, never> & { host: object } }) => void) => {
      const json = JSON.parse(good);
      change(json);
      return JSON.stringify(json);
    };
    const damages = [
      "",
      good.slice(0, good.length / 2),
      "null",
      changed((json) => Object.assign(json.calibration, { host: undefined })),
      changed((json) => Object.assign(json.calibration.host, { nodeSeconds: -1 })),
      changed((json) => Object.assign(json.calibration.host, { memoryBytesPerSecond: "fast" })),
      changed((json) => Object.assign(json.calibration.host, { matrix: {} })),
      changed((json) =>
        Object.assign(json.calibration.host, { matrix: { Q4_K: { rows: [1, 8], bytesPerSecond: [1] } } }),
      ),
      changed((json) =>
        Object.assign(json.calibration.host, { matrix: { Q4_K: { rows: [8, 1], bytesPerSecond: [1, 1] } } }),
      ),
      changed((json) => Object.assign(json.calibration.host, { multiplySeconds: undefined })),
      changed((json) =>
        Object.assign(json.calibration.host, {
          attention: {
            ...{ oneRowPerSecond: 1, batchPerSecond: 1 },
            oneRow: { headSizes: [64], headSeconds: [1, 1], cacheBytesPerSecond: [1] },
          },
        }),
      ),
      changed((json) => Object.assign(json, { types: ["Q4_Z"] })),
    ];
    for (const damaged of damages) {
      await writeFile(path, damaged);
      expect(await readRecord(key), damaged.slice(0, 80)).toBeUndefined();
    }
    await writeFile(path, good);
    expect(await readRecord(key)).toBeDefined();
  });

  it("is measured anew over a damaged file", async () => {
    await calibrationFor(options);
    const [name] = await readdir(folder);
    await writeFile(join(folder, name!), "{");
    asked = [];
    await calibrationFor(options);
    expect(asked).toHaveLength(2);
  });

  it("has a key of this machine, with its devices but not the CPU among them", () => {
    const found = calibrationKey([device("Vulkan0", "gpu"), device("CPU", "cpu")], { backend: "cpu" }, 3);
    expect(found).toMatchObject({ backend: "cpu", threads: 3, libraryVersion: "0.5.0" });
    expect(found.devices).toEqual(["Vulkan0: the Vulkan0, 2000000000"]);
    expect(found.ramBytes).toBeGreaterThan(0);
  });

  it("lies where each system keeps caches", () => {
    expect(cacheDirectory({ JAUGE_CACHE_DIR: "/x" }, "linux")).toBe("/x");
    expect(cacheDirectory({ XDG_CACHE_HOME: "/y" }, "linux")).toBe("/y/jauge");
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" }, "linux")).toMatch(/\.cache\/jauge$/);
    expect(cacheDirectory({}, "darwin")).toMatch(/Library\/Caches\/jauge$/);
    expect(cacheDirectory({ LOCALAPPDATA: "/local" }, "win32")).toBe("/local/jauge");
  });
});
