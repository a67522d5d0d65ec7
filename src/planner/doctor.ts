import { cpus } from "node:os";
import { calibrate, type EngineOptions, listDevices } from "../engine/engine.js";
import type { LibraryWish } from "../engine/native/libraries.js";
import type { CalibrationTask, Device, ProcessorCalibration } from "../engine/protocol.js";
import { isJaugeError, type JaugeError } from "../errors.js";
import type { TensorTypeName } from "../gguf/tensor-types.js";
import { measureDiskRead } from "../hardware/disk.js";
import {
  type CalibrationKey,
  type CalibrationRecord,
  calibrationKey,
  readRecord,
  writeRecord,
} from "./calibration-cache.js";
import { calibrationOf, type MeasuredParts, withTypes } from "./calibration-parts.js";
import type { Calibration } from "./facts.js";

export interface DoctorOptions {
  libraries: LibraryWish;
  /** Threads of the CPU. */
  threads: number;
  /** Tensor types that matter, most important first; the common ones where absent. */
  types?: readonly TensorTypeName[];
  /** Those of experts. */
  expertTypes?: readonly TensorTypeName[];
  /** A file on the disk that holds the models, to measure how fast it is read; best a model of some size. */
  diskFile?: string;
  /** `fraction` of all that is to be measured; `place` is `host`, `disk` or a device's name. */
  onProgress?: (fraction: number, place: string) => void;
  /** Other programs took this share of the processor meanwhile (0 to 1), and made the speeds lower than they are. */
  onDisturbed?: (share: number) => void;
  /** A device's driver took so many seconds to compile shaders, which it keeps from now on. */
  onCompiled?: (device: string, seconds: number) => void;
  /** A device that could not be measured; the rest stands. */
  onFailure?: (device: string, error: JaugeError) => void;
  signal?: AbortSignal;
}

/** The types of the common quantisation mixes, the most common first. */
export const commonTypes: readonly TensorTypeName[] = [
  ...(["Q4_K", "Q6_K", "Q8_0", "F16", "Q4_0", "Q5_K", "Q3_K", "Q2_K"] as const),
  ...(["MXFP4", "IQ4_XS", "BF16", "F32", "Q5_0", "IQ4_NL", "Q4_1", "Q5_1"] as const),
];
/** The types of the common mixtures of experts. */
export const commonExpertTypes: readonly TensorTypeName[] = ["Q4_K", "MXFP4", "Q6_K", "Q8_0"];

// Together under 30 s with one device, starting the processes and half of what shaders may take included.
const hostSeconds = 13;
const deviceSeconds = 12;

/**
 * Measures this machine: the CPU, then each GPU, each in a process of its own that ends afterwards. Errors: those of
 * the libraries, `cancelled`, and of the CPU `calibration-failed`, `out-of-memory` and `host-crashed`; where a device
 * fails, `onFailure` is told.
 */
export async function runDoctor(options: DoctorOptions): Promise<Calibration> {
  const { calibration } = await measureAll(await listDevices({ libraries: options.libraries }), options);
  return calibration;
}

/**
 * What is known of this machine: what was measured earlier, and measured now what that lacks: all, a type that was not
 * asked for before, or a device that failed. What is measured is kept; `force` measures all anew. Errors: those of
 * `runDoctor`.
 */
export async function calibrationFor(
  options: DoctorOptions & { force?: boolean },
): Promise<CalibrationRecord> {
  const devices = await listDevices({ libraries: options.libraries });
  const key = calibrationKey(devices, options.libraries, options.threads);
  const { types = commonTypes, expertTypes = commonExpertTypes } = options;
  const known = await readRecord(key);
  if (known && !options.force && devicesOf(devices).every(({ name }) => known.calibration.devices[name]))
    return completed(known, key, devices, { ...options, types, expertTypes });
  const all = {
    types: union(types, known?.types ?? []),
    expertTypes: union(expertTypes, known?.expertTypes ?? []),
  };
  const { calibration, parts } = await measureAll(devices, { ...options, ...all });
  return keep(key, { calibration, ...tried(all, parts), measuredAt: new Date().toISOString() });
}

/** A record with what it lacks. */
async function completed(
  known: CalibrationRecord,
  key: CalibrationKey,
  devices: readonly Device[],
  options: DoctorOptions & { types: readonly TensorTypeName[]; expertTypes: readonly TensorTypeName[] },
): Promise<CalibrationRecord> {
  const types = options.types.filter((type) => !known.types.includes(type));
  const expertTypes = options.expertTypes.filter((type) => !known.expertTypes.includes(type));
  const needsDisk = options.diskFile !== undefined && known.calibration.diskBytesPerSecond === undefined;
  if (types.length + expertTypes.length === 0 && !needsDisk) return known;
  let { calibration } = known;
  let added: Wanted = { types: [], expertTypes: [] };
  if (types.length + expertTypes.length > 0) {
    const parts = await measureParts(devices, { ...options, types, expertTypes }, true);
    calibration = withTypes(calibration, parts);
    added = tried({ types, expertTypes }, parts);
  }
  if (needsDisk) calibration = { ...calibration, ...(await diskSpeed(options)) };
  return keep(key, {
    calibration,
    types: union(known.types, added.types),
    expertTypes: union(known.expertTypes, added.expertTypes),
    measuredAt: known.measuredAt,
  });
}

interface Wanted {
  types: TensorTypeName[];
  expertTypes: TensorTypeName[];
}

/** What every processor had time for, of what was wanted. */
function tried(wanted: Wanted, parts: MeasuredParts): Wanted {
  const skipped = [...parts.values()].map((part) => part.skipped);
  return {
    types: wanted.types.filter((type) => !skipped.some(({ types }) => types.includes(type))),
    expertTypes: wanted.expertTypes.filter(
      (type) => !skipped.some(({ expertTypes }) => expertTypes.includes(type)),
    ),
  };
}

async function measureAll(devices: readonly Device[], options: DoctorOptions) {
  let disturbed: number | undefined;
  const onDisturbed = (share: number) => {
    disturbed = share;
    options.onDisturbed?.(share);
  };
  const parts = await measureParts(devices, { ...options, onDisturbed }, false);
  const calibration: Calibration = {
    ...calibrationOf(parts),
    ...(await diskSpeed(options)),
    ...(disturbed !== undefined && { disturbed }),
  };
  return { calibration, parts };
}

/** Measures the CPU and every device, one after the other: two at once would disturb each other. */
async function measureParts(
  devices: readonly Device[],
  options: DoctorOptions,
  matricesOnly: boolean,
): Promise<MeasuredParts> {
  const { types = commonTypes, expertTypes = commonExpertTypes, threads } = options;
  const places = ["CPU", ...devicesOf(devices).map(({ name }) => name)];
  const parts = new Map<string, ProcessorCalibration>();
  const before = { busy: busySeconds(), own: ownSeconds(), at: performance.now() };
  for (const [index, device] of places.entries()) {
    const task: CalibrationTask = {
      ...{ device, threads, types: [...types], expertTypes: [...expertTypes], matricesOnly },
      secondsLimit: device === "CPU" ? hostSeconds : deviceSeconds,
    };
    const onProgress = (fraction: number) =>
      options.onProgress?.((index + fraction) / places.length, device === "CPU" ? "host" : device);
    onProgress(0);
    try {
      const part = await calibrateTwice(task, { ...hostOptions(options), onProgress });
      parts.set(device, part);
      if (device !== "CPU" && part.firstRunSeconds > longCompilation)
        options.onCompiled?.(device, part.firstRunSeconds);
    } catch (error) {
      if (device === "CPU" || !isFailure(error)) throw error;
      options.onFailure?.(device, error);
    }
  }
  options.onProgress?.(1, "host");
  const seconds = ((performance.now() - before.at) / 1000) * cpus().length;
  const own = [...parts.values()].reduce((sum, part) => sum + part.cpuSeconds, ownSeconds() - before.own);
  const others = (busySeconds() - before.busy - own) / seconds;
  if (others > disturbingShare) options.onDisturbed?.(others);
  return parts;
}

/** Seconds of compiling that somebody who waits is told of. */
const longCompilation = 5;

/** What a desktop at rest takes is less. */
const disturbingShare = 0.1;

/** Processor time that all programs have taken, all cores together. */
function busySeconds(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys, 0) / 1000;
}

function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** A driver that crashed once may not do so again: Mesa's llvmpipe frees a fence twice now and then. */
async function calibrateTwice(task: CalibrationTask, options: EngineOptions): Promise<ProcessorCalibration> {
  try {
    return await calibrate(task, options);
  } catch (error) {
    if (!isJaugeError(error, "host-crashed")) throw error;
    return calibrate(task, options);
  }
}

/** What ends the measurement of one device and not of the others. */
function isFailure(error: unknown): error is JaugeError {
  return (["host-crashed", "calibration-failed", "out-of-memory"] as const).some((code) =>
    isJaugeError(error, code),
  );
}

async function diskSpeed({ diskFile, signal }: DoctorOptions): Promise<{ diskBytesPerSecond?: number }> {
  if (diskFile === undefined || signal?.aborted) return {};
  const read = await measureDiskRead(diskFile);
  // What the page cache gave says nothing about the disk.
  return read?.isDirect ? { diskBytesPerSecond: read.bytesPerSecond } : {};
}

function hostOptions({ libraries, signal }: DoctorOptions): EngineOptions {
  return { libraries, ...(signal ? { signal } : {}) };
}

function devicesOf(devices: readonly Device[]): Device[] {
  return devices.filter(({ kind }) => kind === "gpu" || kind === "integrated-gpu");
}

function union(first: readonly TensorTypeName[], second: readonly string[]): TensorTypeName[] {
  return [...new Set([...first, ...(second as TensorTypeName[])])];
}

async function keep(key: CalibrationKey, record: CalibrationRecord): Promise<CalibrationRecord> {
  await writeRecord(key, record);
  return record;
}
