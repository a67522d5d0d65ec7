import { JaugeError } from "../errors.js";
import { kvTypes, type Plan, sharedCells } from "./plan.js";

/** Holds a plan's numbers to what the engine accepts. Errors: `plan-invalid`, naming the field. */
export function checkPlan(plan: Plan): void {
  const whole = (field: keyof Plan, least: number, most: number) => {
    const value = plan[field];
    if (value === undefined) return;
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      throw invalid(field, `${value} is not a whole number from ${least} to ${most}`);
    }
  };
  whole("gpuLayers", -1, 100_000);
  whole("contextLength", 1, 2 ** 24);
  whole("sequences", 1, 256);
  whole("microBatch", 1, 2 ** 16);
  whole("kvCells", 1, 2 ** 28);
  whole("threads", 1, 512);
  whole("threadsBatch", 1, 512);
  whole("outputs", 1, 2 ** 16);
  if (plan.sequences * plan.contextLength > 2 ** 31 - 1)
    throw invalid("contextLength", "sequences × contextLength is over 2³¹");
  const tokens = plan.kvLayout === "unified" ? Math.min(plan.microBatch, sharedCells(plan)) : plan.microBatch;
  if (plan.embeddings && tokens % plan.sequences !== 0)
    throw invalid(
      "microBatch",
      `embeddings need a multiple of the ${plan.sequences} sequences, not ${tokens}`,
    );
  for (const field of ["kvTypeK", "kvTypeV"] as const) {
    if (!kvTypes.includes(plan[field]))
      throw invalid(field, `${plan[field]} is none of ${kvTypes.join(", ")}`);
  }
  // ggml's attention without the fused kernel cannot read a quantised V cache.
  if (plan.flashAttention === "off" && !["f32", "f16", "bf16"].includes(plan.kvTypeV)) {
    throw invalid("kvTypeV", `${plan.kvTypeV} needs flash attention, which is off`);
  }
  for (const { pattern } of plan.tensorOverrides) {
    try {
      new RegExp(pattern);
    } catch {
      throw invalid("tensorOverrides", `${pattern} is not a regular expression`);
    }
  }
}

function invalid(field: keyof Plan, problem: string): JaugeError {
  return new JaugeError("plan-invalid", { field, problem });
}
