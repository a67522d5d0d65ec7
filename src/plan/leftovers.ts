import { host, type Placement } from "./cost.js";
import type { Part } from "./layout.js";
import { partBytes } from "./memory.js";
import { judged, type PlacementProblem, type Solution } from "./problem.js";

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
  const subsets = new Subsets();
  let loss = options.atAnyCost ? Number.POSITIVE_INFINITY : solution.score * toleratedLoss;
  for (const device of problem.order) {
    const capacity = problem.capacities.devices[device]!;
    for (const mayLose of [false, true]) {
      for (const layer of layersToFill(problem, placement, device)) {
        if (mayLose && !options.atAnyCost && left[device + 1]! <= capacity * (1 - fullEnough)) break;
        if (mayLose && options.atAnyCost && left[0]! >= 0) break;
        const found = bestSubset(
          ...([problem, subsets, placement, layer, device, left[device + 1]!, mayLose ? loss : 0] as const),
        );
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
  subsets: Subsets,
  placement: Placement,
  layer: number,
  device: number,
  room: number,
  mayLose: number,
): Found | undefined {
  let best: Found | undefined;
  for (const found of subsets.of(problem, placement, layer, device)) {
    if (found.bytes > room || found.gain <= -mayLose) continue;
    // Where a loss is tolerated the budget is what counts.
    if (!best || (mayLose === 0 ? found.gain > best.gain : found.bytes > best.bytes)) best = found;
  }
  return best;
}

/** What moving each subset of a layer's parts to a device takes and gains: worked out once for layers that are alike. */
class Subsets {
  private readonly known = new Map<string, Found[]>();

  of(problem: PlacementProblem, placement: Placement, layer: number, device: number): Found[] {
    const { on, parts } = placement.layers[layer]!;
    // What a person pinned makes layers differ.
    const kind = problem.pinned.size > 0 ? `layer ${layer}` : problem.layout.signatures[layer];
    const key = `${kind} ${on} ${parts.join()} ${device}`;
    let found = this.known.get(key);
    if (!found) {
      found = allSubsets(problem, layer, on, parts, device);
      this.known.set(key, found);
    }
    return found;
  }
}

function allSubsets(
  problem: PlacementProblem,
  layer: number,
  on: number,
  parts: readonly number[],
  device: number,
): Found[] {
  const all = problem.layout.layers[layer]!;
  const movable = all
    .map((part, index) => ({ part, index, bytes: partBytes(part, device, problem.alignments) }))
    .filter(
      ({ part, index }) => isMovable(problem, part) && parts[index] === host && mayMove(part, on, device),
    )
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, mostParts);
  const seconds = (of: readonly number[]) =>
    problem.models.reduce((sum, { model, weight }) => sum + weight * model.layerSeconds(layer, on, of), 0);
  const before = seconds(parts);
  const found: Found[] = [];
  for (let subset = 1; subset < 1 << movable.length; subset++) {
    const moved = [...parts];
    let bytes = 0;
    for (const [bit, one] of movable.entries()) {
      if (!(subset & (1 << bit))) continue;
      moved[one.index] = device;
      bytes += one.bytes;
    }
    bytes += takeCompanions(problem, all, moved, device);
    found.push({ parts: moved, bytes, gain: before - seconds(moved) });
  }
  return found;
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
