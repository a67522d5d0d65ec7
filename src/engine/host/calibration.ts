import { JaugeError } from "../../errors.js";
import type { TensorTypeName } from "../../gguf/tensor-types.js";
import { availableHostBytes } from "../../hardware/memory.js";
import type { Pointer } from "../native/ffi.js";
import { deviceKinds } from "../native/ggml.js";
import { type GraphFunctions, openBackend } from "../native/graph.js";
import type { Native } from "../native/open.js";
import type { CalibrationTask, ProcessorCalibration } from "../protocol.js";
import { Clock } from "./calibration-clock.js";
import { linkSpeed } from "./calibration-link.js";
import { expertSpeed, matrixSpeed } from "./calibration-matrices.js";
import { attentionSpeed, nodeSeconds } from "./calibration-operations.js";
import { Workbench } from "./calibration-workbench.js";
import { deviceNamed } from "./devices.js";

/**
 * Measures one processor. `onProgress` gets 0 to 1. Errors: `device-unknown`, `out-of-memory`, `calibration-failed`.
 */
export async function calibrate(
  native: Native,
  functions: GraphFunctions,
  task: CalibrationTask,
  onProgress: (fraction: number) => void,
): Promise<ProcessorCalibration> {
  const { ggml } = native;
  const device = deviceNamed(native, task.device);
  const isHost = deviceKinds[ggml.deviceType(device)] === "cpu";
  const freeBefore = freeBytes(native, device);
  const backend = openBackend(functions, ggml, device, task.threads);
  if (backend === null)
    throw new JaugeError("calibration-failed", { device: task.device, reason: "ggml_backend_dev_init" });
  const answer: ProcessorCalibration = {
    matrix: {},
    ...(isHost ? { repacked: {}, repackedExperts: {} } : {}),
    experts: {},
    hostRuntimeBytes: process.memoryUsage().rss,
    deviceBytes: 0,
  };
  const workbench = new Workbench(ggml, functions, device, backend);
  const clock = new Clock(task.secondsLimit);
  if (!task.matricesOnly) answer.operations = await measureOperations(workbench, clock, isHost);

  // A quarter of what is free: measuring must not push out what else runs here.
  const free = Math.min(freeBytes(native, device), availableHostBytes());
  const jobs = jobsOf(task, isHost);
  for (const [index, { table, type }] of jobs.entries()) {
    onProgress((index + 1) / (jobs.length + 1));
    const extra = table === "repacked" || table === "repackedExperts";
    const measure = table === "matrix" || table === "repacked" ? matrixSpeed : expertSpeed;
    // Each gets its share of the time, or the first ones would take it from the others on a slow processor.
    const share = clock.share(jobs.length - index);
    const speed = await measure(workbench, share, type, { extra, memoryBytes: Math.floor(free / 4) });
    if (speed) answer[table]![type] = speed;
  }
  if (!isHost) answer.deviceBytes = Math.max(0, freeBefore - freeBytes(native, device));
  return answer;
}

interface Job {
  table: "matrix" | "repacked" | "experts" | "repackedExperts";
  type: TensorTypeName;
}

/** The measurements of a task: all that a processor has for the first type, then for the next. */
function jobsOf({ types, expertTypes }: CalibrationTask, isHost: boolean): Job[] {
  const tables = (plain: Job["table"], repacked: Job["table"], type: TensorTypeName): Job[] =>
    [plain, ...(isHost ? [repacked] : [])].map((table) => ({ table, type }));
  return [
    ...types.flatMap((type) => tables("matrix", "repacked", type)),
    ...expertTypes.flatMap((type) => tables("experts", "repackedExperts", type)),
  ];
}

async function measureOperations(
  workbench: Workbench,
  clock: Clock,
  isHost: boolean,
): Promise<NonNullable<ProcessorCalibration["operations"]>> {
  const node = await nodeSeconds(workbench, clock);
  const attention = await attentionSpeed(workbench, clock);
  return {
    nodeSeconds: node,
    ...(attention ? { attention } : {}),
    ...(isHost ? {} : { link: await linkSpeed(workbench, clock) }),
  };
}

function freeBytes({ ggml }: Native, device: Pointer): number {
  const free = new BigUint64Array(1);
  ggml.deviceMemory(device, free, new BigUint64Array(1));
  return Number(free[0]);
}
