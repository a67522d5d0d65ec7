import type { ModelOutline } from "../gguf/outline.js";
import type { KvType, Plan } from "./plan.js";

/** Bytes per element of a KV cache type: a block's bytes over its elements (ggml.h v0.5.0). */
export const elementBytes: Record<KvType, number> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  q8_0: 34 / 32,
  q5_1: 24 / 32,
  q5_0: 22 / 32,
  q4_1: 20 / 32,
  q4_0: 18 / 32,
  iq4_nl: 18 / 32,
};

/**
 * Bytes of the KV cache from the header alone: cells × layers × KV heads × head sizes. Models with sliding windows or
 * shared layers may take less; `measure` gives the exact figure.
 */
export function kvBytesEstimate(plan: Plan, outline: ModelOutline): number {
  const cells =
    plan.kvLayout === "unified"
      ? (plan.kvCells ?? plan.sequences * plan.contextLength)
      : plan.sequences * plan.contextLength;
  const perHead =
    (outline.headSizeK ?? 0) * elementBytes[plan.kvTypeK] +
    (outline.headSizeV ?? 0) * elementBytes[plan.kvTypeV];
  const heads = outline.kvHeads.reduce((sum, count) => sum + count, 0);
  return cells * heads * perHead;
}
