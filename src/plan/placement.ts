import { type CostModel, host, type Placement } from "./cost.js";
import type { ModelLayout } from "./layout.js";
import { fillLeftovers } from "./leftovers.js";
import { adapterBytes, partBytes, weightBytes } from "./memory.js";

/** What a placement must keep to, and what it is judged by. */
export interface PlacementProblem {
  layout: ModelLayout;
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

/**
 * The fastest placement within the capacities, or undefined where nothing fits.
 *
 * Whole layers are taken from the last one backwards, as llama.cpp can place KV caches so only. For every number of
 * layers whose attention and KV cache are on devices, as many of them as possible get their heavy parts (experts, or
 * feed-forward matrices) there too; what is left over is filled tensor by tensor. The best of all these wins, so that more capacity never does worse.
 */
export function bestPlacement(problem: PlacementProblem): Solution | undefined {
  const { layout } = problem;
  const most = layout.outputLayer + 1;
  const counts =
    problem.fixedLayers === undefined
      ? Array.from({ length: most + 1 }, (_, count) => count)
      : [Math.min(problem.fixedLayers, most)];
  const candidates: Solution[] = [];
  for (const count of counts) {
    const best = mostHeavy(problem, count);
    if (best) candidates.push(best);
    else if (problem.fixedLayers === undefined) break;
  }
  candidates.sort((a, b) => a.score - b.score);
  const filled = candidates.slice(0, 8).map((candidate) => fillLeftovers(problem, candidate));
  // A candidate that the host cannot hold as it is may do so once more of it is on devices.
  const fitting = [...filled, ...candidates].filter(({ left }) => left[0]! >= 0);
  const [first, ...others] = fitting;
  if (first === undefined) return rescue(problem, candidates);
  return others.reduce((best, next) => (next.score < best.score ? next : best), first);
}

/** The placement that leaves most room on the host, where speed alone chose too little for the devices. */
function rescue(problem: PlacementProblem, candidates: Solution[]): Solution | undefined {
  const [roomiest] = [...candidates].sort((a, b) => b.left[0]! - a.left[0]!);
  if (!roomiest) return undefined;
  const filled = fillLeftovers(problem, roomiest, { atAnyCost: true });
  return filled.left[0]! >= 0 ? filled : undefined;
}

/**
 * Where nothing fits: the placement that is the least over. The host's share is what devices cannot take; its room is
 * negative.
 */
export function roomiest(problem: PlacementProblem): Solution {
  const most = problem.fixedLayers ?? problem.layout.outputLayer + 1;
  for (let count = most; count > 0; count--) {
    const best = mostHeavy(problem, count);
    if (best) return fillLeftovers(problem, best, { atAnyCost: true });
    if (problem.fixedLayers !== undefined) break;
  }
  return fillLeftovers(problem, judged(problem, emptyPlacement(problem)), { atAnyCost: true });
}

function emptyPlacement({ layout, pinned }: PlacementProblem): Placement {
  return {
    layers: layout.layers.map((parts) => ({
      on: host,
      parts: parts.map((part) => pinned.get(part.index) ?? host),
    })),
  };
}

/** `count` layers on devices, and of these as many as fit with their heavy parts. */
function mostHeavy(problem: PlacementProblem, count: number): Solution | undefined {
  const least = place(problem, count, 0);
  if (!least) return undefined;
  let [low, high, best] = [0, count, least];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const tried = place(problem, count, middle);
    if (tried) [low, best] = [middle, tried];
    else high = middle - 1;
  }
  // More on a slow device is no gain.
  return best.score <= least.score || least.left[0]! < 0 ? best : least;
}

/** The last `count` layers on devices, the last `whole` of them with their heavy parts; undefined where it does not fit. */
function place(problem: PlacementProblem, count: number, whole: number): Solution | undefined {
  const { layout, order, capacities, alignments, kvBytes, pinned } = problem;
  const { layers } = emptyPlacement(problem);
  const left = [...capacities.devices];
  takePinned(problem, left);
  let turn = 0;
  for (let taken = 0; taken < count; taken++) {
    const layer = layout.outputLayer - taken;
    const parts = layout.layers[layer]!;
    const moves = parts.filter((part) => !pinned.has(part.index) && (!part.isHeavy || taken < whole));
    for (;;) {
      const device = order[turn];
      if (device === undefined) return undefined;
      const bytes = moves.reduce(
        (sum, part) => sum + partBytes(part, device, alignments),
        kvBytes[layer] ?? 0,
      );
      if (bytes <= left[device]!) {
        left[device]! -= bytes;
        layers[layer] = {
          on: device,
          parts: parts.map((part, index) => (moves.includes(part) ? device : layers[layer]!.parts[index]!)),
        };
        break;
      }
      turn++;
    }
  }
  return judged(problem, { layers });
}

function takePinned({ layout, pinned, alignments }: PlacementProblem, left: number[]): void {
  for (const part of layout.layers.flat()) {
    const place = pinned.get(part.index);
    if (place !== undefined && place !== host) left[place]! -= partBytes(part, place, alignments);
  }
}

/** A placement with its score and what it leaves. */
export function judged(problem: PlacementProblem, placement: Placement): Solution {
  const { capacities, layout, alignments, kvBytes, models } = problem;
  const used = weightBytes(layout, placement, alignments);
  for (const [index, bytes] of adapterBytes(layout, placement).entries()) used[index]! += bytes;
  for (const [layer, { on }] of placement.layers.entries()) used[on + 1]! += kvBytes[layer] ?? 0;
  const all = [capacities.host, ...capacities.devices];
  const score = models.reduce((sum, { model, weight }) => sum + weight * model.cost(placement).seconds, 0);
  return { placement, score, left: all.map((capacity, index) => capacity - used[index]!) };
}
