import type { ProcessorCalibration } from "../engine/protocol.js";
import { tensorTypes } from "../gguf/tensor-types.js";
import type { ComputeSpeed, MatrixSpeed } from "../hardware/facts.js";
import type { Calibration } from "./facts.js";

/** What was measured of each processor: `CPU`, or a device's name. */
export type MeasuredParts = ReadonlyMap<string, ProcessorCalibration>;

/** A whole calibration from parts that were measured with their operations. */
export function calibrationOf(parts: MeasuredParts): Calibration {
  const devices: Calibration["devices"] = {};
  for (const [name, part] of parts) {
    const link = part.operations?.link;
    if (name === "CPU" || !link) continue;
    devices[name] = { speed: speedOf(part), link, runtimeBytes: part.deviceBytes, ...loadOf(part) };
  }
  const hostBytes = [...parts.values()].map((part) => part.hostRuntimeBytes);
  const cpu = parts.get("CPU")!;
  return {
    host: speedOf(cpu),
    devices,
    ...(cpu.loadWatts !== undefined && { hostLoadWatts: cpu.loadWatts }),
    // The engine's host with all its libraries, and the process that asks it.
    hostRuntimeBytes: Math.max(...hostBytes) + process.memoryUsage().rss,
  };
}

function loadOf({ loadWatts }: ProcessorCalibration): { loadWatts?: number } {
  return loadWatts === undefined ? {} : { loadWatts };
}

/** The same calibration with the types of these parts beside its own. */
export function withTypes(calibration: Calibration, parts: MeasuredParts): Calibration {
  const devices: Calibration["devices"] = {};
  for (const [name, device] of Object.entries(calibration.devices))
    devices[name] = { ...device, speed: addTypes(device.speed, parts.get(name)) };
  return { ...calibration, host: addTypes(calibration.host, parts.get("CPU")), devices };
}

function speedOf({ operations, ...part }: ProcessorCalibration): ComputeSpeed {
  const { nodeSeconds, multiplySeconds, passBytesPerSecond, norm, rope } = operations!;
  return {
    memoryBytesPerSecond: fastestRead(part),
    ...{ nodeSeconds, multiplySeconds, passBytesPerSecond },
    ...(norm && { norm }),
    ...(rope && { rope }),
    ...tablesOf(part),
    attention: operations!.attention ?? attentionOf(part.matrix),
  };
}

function addTypes(speed: ComputeSpeed, part: ProcessorCalibration | undefined): ComputeSpeed {
  if (!part) return speed;
  const added = tablesOf(part);
  return {
    ...speed,
    memoryBytesPerSecond: Math.max(speed.memoryBytesPerSecond, fastestRead(part)),
    matrix: { ...speed.matrix, ...added.matrix },
    repacked: { ...speed.repacked, ...added.repacked },
    experts: { ...speed.experts, ...added.experts },
    repackedExperts: { ...speed.repackedExperts, ...added.repackedExperts },
  };
}

function tablesOf({ matrix, repacked, experts, repackedExperts }: Omit<ProcessorCalibration, "operations">) {
  return { matrix, experts, ...(repacked && { repacked }), ...(repackedExperts && { repackedExperts }) };
}

/** One row of the fastest type: it waits for memory alone. */
function fastestRead({ matrix, repacked }: Omit<ProcessorCalibration, "operations">): number {
  const tables = [...Object.values(matrix), ...Object.values(repacked ?? {})];
  return Math.max(1, ...tables.map((speed) => speed.bytesPerSecond[0]!));
}

/** Without an operation of its own, attention is two multiplications by what the KV cache holds. */
function attentionOf(matrix: Record<string, MatrixSpeed>): ComputeSpeed["attention"] {
  const [type, speed] = matrix.F16 ? ["F16" as const, matrix.F16] : (Object.entries(matrix)[0] ?? []);
  if (!type || !speed) return { oneRowPerSecond: 1, batchPerSecond: 1 };
  const { blockElements, blockBytes } = tensorTypes[type as keyof typeof tensorTypes];
  const multiplyAdds = (at: number) =>
    (speed.bytesPerSecond[at]! / blockBytes) * blockElements * speed.rows[at]!;
  return { oneRowPerSecond: multiplyAdds(0), batchPerSecond: multiplyAdds(speed.rows.length - 1) };
}
