import { JaugeError } from "../errors.js";
import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { kvTypes, type Plan, sharedCells } from "./plan.js";

const texts = localized(planTexts).settings;

/** What the engine accepts of each number: from, to. */
export const limits = {
  gpuLayers: [-1, 100_000],
  contextLength: [1, 2 ** 24],
  sequences: [1, 256],
  microBatch: [1, 2 ** 16],
  kvCells: [1, 2 ** 28],
  threads: [1, 512],
  threadsBatch: [1, 512],
  outputs: [1, 2 ** 16],
} as const satisfies Partial<Record<keyof Plan, readonly [number, number]>>;

/** Holds a plan's numbers to what the engine accepts. Errors: `plan-invalid`, naming the field. */
export function checkPlan(plan: Plan): void {
  for (const [field, [least, most]] of Object.entries(limits)) {
    const value = plan[field as keyof typeof limits];
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue;
    throw invalid(field as keyof Plan, texts.notWhole({ value, least, most }));
  }
  if (plan.sequences * plan.contextLength > 2 ** 31 - 1) throw invalid("contextLength", texts.tooManyCells);
  const tokens = plan.kvLayout === "unified" ? Math.min(plan.microBatch, sharedCells(plan)) : plan.microBatch;
  if (plan.embeddings && tokens % plan.sequences !== 0)
    throw invalid("microBatch", texts.noMultiple({ sequences: plan.sequences, tokens }));
  for (const field of ["kvTypeK", "kvTypeV"] as const) {
    if (!kvTypes.includes(plan[field]))
      throw invalid(field, texts.noneOf({ value: plan[field], names: kvTypes.join(", ") }));
  }
  // ggml's attention without the fused kernel cannot read a quantised V cache.
  if (plan.flashAttention === "off" && !["f32", "f16", "bf16"].includes(plan.kvTypeV)) {
    throw invalid("kvTypeV", texts.needsFlashAttention({ type: plan.kvTypeV }));
  }
  for (const { pattern } of plan.tensorOverrides) {
    try {
      new RegExp(pattern);
    } catch {
      throw invalid("tensorOverrides", texts.noPattern({ pattern }));
    }
  }
}

function invalid(field: keyof Plan, problem: string): JaugeError {
  return new JaugeError("plan-invalid", { field, problem });
}
