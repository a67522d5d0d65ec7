import { JaugeError } from "../../errors.js";
import type { TensorTypeName } from "../../gguf/tensor-types.js";
import { EnergyMeter } from "../../hardware/energy.js";
import { availableHostBytes } from "../../hardware/memory.js";
import { keepFreedMemory, type Pointer } from "../native/ffi.js";
import { deviceKinds } from "../native/ggml.js";
import { type GraphFunctions, openBackend } from "../native/graph.js";
import type { Native } from "../native/open.js";
import type { CalibrationTask, ProcessorCalibration } from "../protocol.js";
import { attentionSpeed } from "./calibration-attention.js";
import { beyondCaches, weightsBufferType } from "./calibration-buffers.js";
import { Clock } from "./calibration-clock.js";
import { expertSpeed } from "./calibration-experts.js";
import { linkSpeed } from "./calibration-link.js";
import { matrixSpeed } from "./calibration-matrices.js";
import { multiplySeconds, nodeSeconds, passBytesPerSecond } from "./calibration-operations.js";
import { rowSpeeds } from "./calibration-rows.js";
import { Workbench } from "./calibration-workbench.js";
import { deviceNamed, powerOf } from "./devices.js";

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
    skipped: { types: [], expertTypes: [] },
    ...(isHost ? { repacked: {}, repackedExperts: {} } : {}),
    experts: {},
    hostRuntimeBytes: process.memoryUsage().rss,
    ...{ cpuSeconds: 0, firstRunSeconds: 0 },
    deviceBytes: 0,
  };
  const workbench = new Workbench(ggml, functions, device, backend);
  if (workbench.isSoftware) keepFreedMemory();
  const clock = new Clock(task.secondsLimit);
  // A quarter of what is free at most: measuring must not push out what else runs here.
  const free = Math.min(freeBytes(native, device), availableHostBytes());
  const passBytes = Math.min(beyondCaches(isHost || workbench.isSoftware), free / 4);
  const multiply = (await multiplySeconds(workbench, clock, isHost)) ?? 0;
  if (!task.matricesOnly)
    answer.operations = await measureOperations(workbench, clock, isHost, multiply, passBytes);

  const jobs = jobsOf(workbench, task);
  const load = new LoadMeter(native, device);
  for (const [index, { table, type, bufferType }] of jobs.entries()) {
    onProgress((index + 1) / (jobs.length + 1));
    // A few types known well say more of the others than one point of each: those that come last are left out.
    if (index > 0 && !clock.allows(0)) {
      answer.skipped[isExperts(table) ? "expertTypes" : "types"].push(type);
      continue;
    }
    const measure = isExperts(table) ? expertSpeed : matrixSpeed;
    const share = clock.share(jobs.length - index);
    answer[table]![type] = await measure(workbench, share, {
      type,
      bufferType,
      passBytes,
      multiplySeconds: multiply,
      isHost,
    });
    load.look();
  }
  const loadWatts = load.watts;
  if (loadWatts !== undefined) answer.loadWatts = loadWatts;
  const { user, system } = process.cpuUsage();
  answer.cpuSeconds = (user + system) / 1e6;
  answer.firstRunSeconds = clock.firstRunSeconds;
  // A software device's memory is the host's.
  if (!isHost && !workbench.isSoftware)
    answer.deviceBytes = Math.max(0, freeBefore - freeBytes(native, device));
  return answer;
}

/** The power of a processor over a while, from its energy or from what it draws at moments. */
class LoadMeter {
  private readonly meter = new EnergyMeter();
  private readonly start = performance.now();

  constructor(
    private readonly native: Native,
    private readonly device: Pointer,
  ) {
    this.look();
  }

  look(): void {
    this.meter.observe("", powerOf(this.native, this.device), performance.now() / 1000);
  }

  /** Undefined where nothing tells, or the time was too short for a counter to move. */
  get watts(): number | undefined {
    const joules = this.meter.joules.get("") ?? 0;
    const seconds = (performance.now() - this.start) / 1000;
    return joules > 0 && seconds >= leastLoadSeconds ? joules / seconds : undefined;
  }
}

const leastLoadSeconds = 1;

type Table = "matrix" | "repacked" | "experts" | "repackedExperts";

interface Job {
  table: Table;
  type: TensorTypeName;
  bufferType: Pointer;
}

/** What the processor can do of a task: all tables of the first types, of experts too, then those of the next. */
function jobsOf(workbench: Workbench, { types, expertTypes }: CalibrationTask): Job[] {
  const jobs = (tables: Table[], type: TensorTypeName): Job[] =>
    tables.flatMap((table) => {
      const repacked = table === "repacked" || table === "repackedExperts";
      const bufferType = weightsBufferType(workbench, type, { asExperts: isExperts(table), repacked });
      return bufferType === undefined ? [] : [{ table, type, bufferType }];
    });
  const count = Math.max(types.length, expertTypes.length);
  return Array.from({ length: count }, (_, index) => [
    ...types.slice(index, index + 1).flatMap((type) => jobs(["matrix", "repacked"], type)),
    ...expertTypes.slice(index, index + 1).flatMap((type) => jobs(["experts", "repackedExperts"], type)),
  ]).flat();
}

function isExperts(table: Table): boolean {
  return table === "experts" || table === "repackedExperts";
}

async function measureOperations(
  workbench: Workbench,
  clock: Clock,
  isHost: boolean,
  multiply: number,
  passBytes: number,
): Promise<NonNullable<ProcessorCalibration["operations"]>> {
  const node = await nodeSeconds(workbench, clock);
  const passes = await passBytesPerSecond(workbench, clock, node);
  const attention = await attentionSpeed(workbench, clock, passBytes);
  return {
    nodeSeconds: node,
    multiplySeconds: isHost ? Math.max(multiply, node) : multiply,
    passBytesPerSecond: passes,
    ...(await rowSpeeds(workbench, clock)),
    ...(attention ? { attention } : {}),
    ...(isHost ? {} : { link: await linkSpeed(workbench, clock) }),
  };
}

function freeBytes({ ggml }: Native, device: Pointer): number {
  const free = new BigUint64Array(1);
  ggml.deviceMemory(device, free, new BigUint64Array(1));
  return Number(free[0]);
}
