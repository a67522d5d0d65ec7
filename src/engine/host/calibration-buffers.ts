import { readdirSync, readFileSync } from "node:fs";
import type { TensorTypeName } from "../../gguf/tensor-types.js";
import type { Pointer } from "../native/ffi.js";
import { extraBufferTypes, supportsIn } from "../native/graph.js";
import type { Tensors, Workbench } from "./calibration-workbench.js";

/** The sizes of the matrices: those of a model of a billion parameters, whole blocks of every type. */
export const hidden = 2048;
export const feedForward = 5632;
/** Experts of one feed-forward layer, how many a token uses, and the size of each. */
export const experts = 32;
export const expertsUsed = 4;
export const expertSize = 768;

/**
 * The memory that a processor multiplies weights of a type from: its own, or with `repacked` the first of the CPU's
 * buffer types that lays them out for kernels of its own. Undefined where there is none.
 */
export function weightsBufferType(
  workbench: Workbench,
  type: TensorTypeName,
  { asExperts, repacked }: { asExperts: boolean; repacked: boolean },
): Pointer | undefined {
  const { ggml, device, functions } = workbench;
  const candidates = repacked ? extraBufferTypes(ggml, device) : [workbench.bufferType];
  return candidates.find((bufferType) => {
    using trial = workbench.tensors(4);
    const weights = trial.make(type, asExperts ? [hidden, expertSize, experts] : [hidden, feedForward]);
    const operation = product(workbench, trial, weights, asExperts);
    return supportsIn(functions, device, operation, weights, bufferType);
  });
}

function product({ functions }: Workbench, trial: Tensors, weights: Pointer, asExperts: boolean): Pointer {
  if (!asExperts) return functions.multiply(trial.context, weights, trial.make("F32", [hidden, 512]));
  const input = trial.make("F32", [hidden, expertsUsed, 512]);
  return functions.multiplyExperts(trial.context, weights, input, trial.make("I32", [expertsUsed, 512]));
}

/**
 * Bytes of weights that a measurement must pass for memory to show and not a cache: three times a CPU's last-level
 * caches, and more than any graphics card of today has.
 */
export function beyondCaches(isOnCores: boolean): number {
  return isOnCores ? 3 * lastLevelCacheBytes() : 384 * 2 ** 20;
}

/** The third-level caches of all cores; what large desktop processors have where the system does not tell. */
function lastLevelCacheBytes(): number {
  const root = "/sys/devices/system/cpu";
  try {
    const caches = new Map<string, number>();
    for (const cpu of readdirSync(root).filter((name) => /^cpu\d+$/.test(name))) {
      const read = (name: string) => readFileSync(`${root}/${cpu}/cache/index3/${name}`, "utf8").trim();
      caches.set(read("shared_cpu_list"), Number.parseInt(read("size"), 10) * 1024);
    }
    const bytes = [...caches.values()].reduce((sum, size) => sum + size, 0);
    return Number.isFinite(bytes) && bytes > 0 ? Math.min(Math.max(bytes, smallest), greatest) : unknown;
  } catch {
    return unknown;
  }
}

const smallest = 16 * 2 ** 20;
const unknown = 64 * 2 ** 20;
const greatest = 512 * 2 ** 20;
