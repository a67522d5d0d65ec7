import type { Device } from "../engine/protocol.js";
import { cpuFacts } from "../hardware/cpu.js";
import {
  type ComputeSpeed,
  type DeviceFacts,
  type HardwareFacts,
  type LinkSpeed,
  type PowerFacts,
  thisMachine,
} from "../hardware/facts.js";
import { hostMemory } from "../hardware/memory.js";
import { cpuPower } from "../hardware/power.js";
import { knownDevice } from "../hardware/profiles.js";
import { assumedHostSpeed, assumedLink, assumedRuntimeBytes, assumedSpeed } from "./assumptions.js";

/** What the doctor measured on this machine. Sizes are bytes, speeds are per second. */
export interface Calibration {
  host: ComputeSpeed;
  /** By ggml's name of the device. `runtimeBytes`: device memory that the runtime takes before any tensor. */
  devices: Record<string, { speed: ComputeSpeed; link: LinkSpeed; runtimeBytes: number; loadWatts?: number }>;
  /** What the CPU drew under load, where its counter could be read. */
  hostLoadWatts?: number;
  /** Host memory that jauge and the libraries take before any tensor. */
  hostRuntimeBytes: number;
  /** Sequential read speed of the disk that holds the models. */
  diskBytesPerSecond?: number;
  /** Share of the processors that other programs took while all this was measured, where that was much. */
  disturbed?: number;
}

/**
 * The facts of this machine: memory read afresh, devices as listed, speeds as the doctor measured them. Without a
 * calibration, or for a device that it lacks, they are assumed: a known card's published ones, else those of its kind,
 * and `origin` is `assumed`.
 */
export function factsOf(devices: readonly Device[], calibration?: Calibration): HardwareFacts {
  const offload = devices.filter(({ kind }) => kind === "gpu" || kind === "integrated-gpu");
  const isMeasured = calibration !== undefined && offload.every(({ name }) => calibration.devices[name]);
  const cpu = cpuFacts();
  const memory = hostMemory();
  const disk = calibration?.diskBytesPerSecond;
  return {
    name: thisMachine,
    origin: isMeasured ? "measured" : "assumed",
    ...(calibration?.disturbed !== undefined && { disturbed: calibration.disturbed }),
    host: {
      description: cpu.description,
      totalBytes: memory.totalBytes,
      availableBytes: memory.availableBytes,
      runtimeBytes: calibration?.hostRuntimeBytes ?? assumedRuntimeBytes.host,
      threads: cpu.threads,
      speed: calibration?.host ?? assumedHostSpeed(cpu.threads),
      ...(disk === undefined ? {} : { diskBytesPerSecond: disk }),
      ...powerFacts(calibration?.hostLoadWatts, cpuLimit()),
    },
    devices: offload.map((device) => deviceFacts(device, calibration)),
  };
}

function deviceFacts(device: Device, calibration: Calibration | undefined): DeviceFacts {
  const measured = calibration?.devices[device.name];
  const known = measured ? undefined : knownDevice(device.description);
  return {
    name: device.name,
    description: device.description,
    kind: device.kind === "integrated-gpu" ? "integrated-gpu" : "gpu",
    totalBytes: device.totalBytes,
    // ggml asks its own library what is free; where the driver says less, another program was faster.
    freeBytes: Math.min(device.freeBytes, device.reading?.freeBytes ?? device.freeBytes),
    unified: device.unified,
    alignmentBytes: device.alignmentBytes,
    runtimeBytes: measured?.runtimeBytes ?? known?.runtimeBytes ?? assumedRuntimeBytes.device(device),
    speed: measured?.speed ?? known?.speed ?? assumedSpeed(device),
    link: measured?.link ?? known?.link ?? assumedLink(device),
    ...powerFacts(measured?.loadWatts, device.power?.limitWatts),
  };
}

/** What it was seen to draw under load says more than what it may draw. */
function powerFacts(loadWatts: number | undefined, limitWatts: number | undefined): { power?: PowerFacts } {
  if (loadWatts !== undefined) return { power: { watts: loadWatts, basis: "measured" } };
  return limitWatts === undefined ? {} : { power: { watts: limitWatts, basis: "limit" } };
}

/** Of all packages together; undefined where one does not tell. */
function cpuLimit(): number | undefined {
  const { packages } = cpuPower();
  const limits = packages.flatMap(({ limitWatts }) => limitWatts ?? []);
  return limits.length === 0 || limits.length < packages.length
    ? undefined
    : limits.reduce((sum, watts) => sum + watts, 0);
}
