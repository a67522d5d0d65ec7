import { kvBytesPerCell } from "../src/plan/memory.js";
import type { Objective } from "../src/plan/model-plan.js";
import type { KvType, Plan } from "../src/plan/plan.js";
import type { ModelSource } from "../src/plan/source.js";
import { Random } from "./random.js";

/** One thing to plan and to load: what is asked of the planner. The same seed and index give the same case. */
export interface PrecisionCase {
  index: number;
  backend: "vulkan" | "cpu";
  objective: Objective;
  wishes: Partial<Plan>;
  /** Bytes; of a CPU alone there is only the second. */
  vramBytes?: number;
  ramBytes?: number;
}

/** So much the KV cache may take at most, beside the weights: a machine of 8 GB shall do for the bench. */
const mostKvBytes = 500e6;
const engineRuntimeBytes = 120 * 2 ** 20;

/**
 * A random case for a model: budgets from nothing to more than it needs, random settings, some of them left for the
 * planner to choose. One in five is for the CPU alone; of the others one in four has a RAM budget too.
 */
export function randomCase(seed: number, index: number, source: ModelSource): PrecisionCase {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ index);
  const uniform = () => random.next() / 2 ** 32;
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)]!;
  const [kvTypeK, kvTypeV] = pick(kvPairs);
  const microBatch = pick([32, 64, 128, 256, 512, 512]);
  const perCell = kvBytesPerCell(source.outline, { kvTypeK, kvTypeV }).reduce((sum, bytes) => sum + bytes, 0);
  const mostCells = Math.max(512, perCell === 0 ? 65_536 : mostKvBytes / perCell);
  const contextLength = Math.floor(Math.min(mostCells, 256 * 2 ** (6 * uniform())));
  const sequences = Math.min(pick([1, 1, 1, 2, 4, 8]), Math.floor(mostCells / contextLength));
  const wishes: Partial<Plan> = {
    threads: 2,
    threadsBatch: 2,
    contextLength,
    sequences,
    ...(uniform() < 0.8 && { microBatch }),
    ...(uniform() < 0.8 && { kvTypeK, kvTypeV }),
  };
  const objective = pick(["chat", "chat", "batch"] as const);
  const needed =
    source.outline.bytes.total + contextLength * sequences * perCell + microBatch * 2 ** 18 + 2 ** 25;
  if (uniform() < 0.2) {
    const ramBytes = Math.floor(engineRuntimeBytes + uniform() * 1.3 * needed);
    return { index, backend: "cpu", objective, wishes, ramBytes };
  }
  const share = uniform() * 1.15;
  const vramBytes = Math.floor(share * needed);
  const hostShare = Math.max(0.1, 1 - share) * (0.8 + 0.6 * uniform());
  const ramBytes = Math.floor(engineRuntimeBytes + hostShare * needed + 0.2 * source.outline.bytes.total);
  const hasRamBudget = uniform() < 0.25;
  return { index, backend: "vulkan", objective, wishes, vramBytes, ...(hasRamBudget && { ramBytes }) };
}

const kvPairs: readonly [KvType, KvType][] = [
  ["f16", "f16"],
  ["f16", "f16"],
  ["q8_0", "q8_0"],
  ["q8_0", "f16"],
  ["q4_0", "q4_0"],
  ["f32", "f32"],
];
