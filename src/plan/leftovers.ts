import { host, type Placement } from "./cost.js";
import type { Part } from "./layout.js";
import { partBytes } from "./memory.js";
import { judged, type PlacementProblem, type Solution } from "./placement.js";

/** Layers that are looked into on each device, nearest first: each adds its own crossings. */
const mostLayers = 12;
/** Of the parts of a layer, all subsets of the largest so many are tried. */
const mostParts = 8;
/** Share of the whole time that filling a budget to the last percent may cost. */
const toleratedLoss = 0.002;
const fullEnough = 0.99;

/**
 * Of a layer whose KV cache is elsewhere, only the feed-forward part: projections on a device would draw attention itself
 * there, and the KV cache would be copied for every token.
 */
function mayMove(part: Part, on: number, device: number): boolean {
  return on === device || part.stage === "feedForwardIn" || part.stage === "feedForwardOut";
}

/**
 * Fills what whole layers left over on each device, tensor by tensor: of each layer near the boundary, the subset of
 * tensors that saves most time. A device that is not worth using stays empty, unless `atAnyCost` asks for room on the
 * host.
 */
export function fillLeftovers(
  problem: PlacementProblem,
  solution: Solution,
  options: { atAnyCost?: boolean } = {},
): Solution {
  let placement: Placement = {
    layers: solution.placement.layers.map(({ on, parts }) => ({ on, parts: [...parts] })),
  };
  const left = [...solution.left];
  let loss = options.atAnyCost ? Number.POSITIVE_INFINITY : solution.score * toleratedLoss;
  for (const device of problem.order) {
    const capacity = problem.capacities.devices[device]!;
    for (const mayLose of [false, true]) {
      for (const layer of layersToFill(problem, placement, device)) {
        if (mayLose && !options.atAnyCost && left[device + 1]! <= capacity * (1 - fullEnough)) break;
        if (mayLose && options.atAnyCost && left[0]! >= 0) break;
        const found = bestSubset(problem, placement, layer, device, left[device + 1]!, mayLose ? loss : 0);
        if (!found) continue;
        placement = {
          layers: placement.layers.map((value, index) =>
            index === layer ? { on: value.on, parts: found.parts } : value,
          ),
        };
        left[device + 1]! -= found.bytes;
        left[0]! += found.bytes;
        loss += Math.min(0, found.gain);
      }
    }
  }
  const filled = judged(problem, placement);
  const tolerated = solution.score * (1 + toleratedLoss);
  return options.atAnyCost || filled.score <= tolerated ? filled : solution;
}

/** Layers with something on the host: first those whose attention is on the device, then the host's own. */
function layersToFill({ fixedLayers }: PlacementProblem, placement: Placement, device: number): number[] {
  const layers = [...placement.layers.keys()].reverse();
  const hasHostPart = (layer: number) => placement.layers[layer]!.parts.includes(host);
  const own = layers.filter((layer) => placement.layers[layer]!.on === device && hasHostPart(layer));
  const hosts = layers.filter((layer) => placement.layers[layer]!.on === host && hasHostPart(layer));
  return [...own, ...(fixedLayers === undefined ? hosts : [])].slice(0, mostLayers);
}

interface Found {
  parts: number[];
  bytes: number;
  gain: number;
}

function bestSubset(
  problem: PlacementProblem,
  placement: Placement,
  layer: number,
  device: number,
  room: number,
  mayLose: number,
): Found | undefined {
  const all = problem.layout.layers[layer]!;
  const { on, parts } = placement.layers[layer]!;
  const movable = all
    .map((part, index) => ({ part, index, bytes: partBytes(part, device, problem.alignments) }))
    .filter(({ part, index, bytes }) => isMovable(problem, part) && parts[index] === host && bytes <= room)
    .filter(({ part }) => mayMove(part, on, device))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, mostParts);
  const seconds = (of: readonly number[]) =>
    problem.models.reduce((sum, { model, weight }) => sum + weight * model.layerSeconds(layer, on, of), 0);
  const before = seconds(parts);
  let best: Found | undefined;
  for (let subset = 1; subset < 1 << movable.length; subset++) {
    const chosen = movable.filter((_, bit) => subset & (1 << bit));
    const bytes = chosen.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes > room) continue;
    const moved = [...parts];
    for (const { index } of chosen) moved[index] = device;
    const companions = takeCompanions(problem, all, moved, device);
    if (bytes + companions > room) continue;
    const gain = before - seconds(moved);
    if (gain <= -mayLose || (mayLose === 0 && gain <= 0)) continue;
    // Where a loss is tolerated the budget is what counts.
    const isBetter =
      best === undefined || (mayLose === 0 ? gain > best.gain : bytes + companions > best.bytes);
    if (isBetter) best = { parts: moved, bytes: bytes + companions, gain };
  }
  return best;
}

/** Norms and biases go where all matrices of their stage are. Returns their bytes. */
function takeCompanions(
  problem: PlacementProblem,
  all: readonly Part[],
  moved: number[],
  device: number,
): number {
  let bytes = 0;
  for (const [index, part] of all.entries()) {
    if (part.isMatrix || moved[index] !== host || problem.pinned.has(part.index)) continue;
    const stage =
      part.stage === "feedForwardNorm"
        ? "feedForwardIn"
        : part.stage === "attentionNorm"
          ? "attentionIn"
          : part.stage;
    const places = moved.filter((_, other) => all[other]!.isMatrix && all[other]!.stage === stage);
    if (places.length === 0 || places.some((place) => place !== device)) continue;
    moved[index] = device;
    bytes += partBytes(part, device, problem.alignments);
  }
  return bytes;
}

function isMovable({ pinned }: PlacementProblem, part: Part): boolean {
  // A tied output has the token embedding's name: it goes with its layer or not at all.
  return part.isMatrix && !pinned.has(part.index) && part.name !== "token_embd.weight";
}
