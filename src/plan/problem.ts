import type { HardwareFacts } from "../hardware/facts.js";
import type { CostModel, Placement } from "./cost.js";
import type { ModelLayout } from "./layout.js";
import { adapterBytes, weightBytes } from "./memory.js";

/** What a placement must keep to, and what it is judged by. */
export interface PlacementProblem {
  layout: ModelLayout;
  facts: HardwareFacts;
  /** Bytes for weights and KV cache, what everything else takes already taken off. */
  capacities: { host: number; devices: number[] };
  /** Alignment of each device's buffers, bytes. */
  alignments: number[];
  /** KV cache and state of each layer, bytes; the last entry belongs to the output. */
  kvBytes: number[];
  /** The loads that count, each with its weight in the score. */
  models: { model: CostModel; weight: number }[];
  /** Devices in the order in which they are filled, from the last layer backwards. */
  order: number[];
  /** Layers on devices where the person fixed it; the output counts as one. */
  fixedLayers?: number;
  /** Tensors that the person placed, by index into the source's tensors. */
  pinned: ReadonlyMap<number, number>;
}

export interface Solution {
  placement: Placement;
  /** Weighted seconds; less is better. */
  score: number;
  /** Capacity left over, bytes: the host first. */
  left: number[];
}

/** A placement with its score and what it leaves. */
export function judged(problem: PlacementProblem, placement: Placement): Solution {
  const { capacities, layout, alignments, kvBytes, models, facts } = problem;
  const used = weightBytes(layout, placement, alignments);
  for (const [index, bytes] of adapterBytes(layout, placement).entries()) used[index]! += bytes;
  for (const [layer, { on }] of placement.layers.entries()) used[on + 1]! += kvBytes[layer] ?? 0;
  // A unified device's memory is the host's: what is there is not gone from RAM.
  for (const [index, { unified }] of facts.devices.entries()) if (unified) used[0]! += used[index + 1]!;
  const all = [capacities.host, ...capacities.devices];
  const score = models.reduce((sum, { model, weight }) => sum + weight * model.cost(placement).seconds, 0);
  return { placement, score, left: all.map((capacity, index) => capacity - used[index]!) };
}
