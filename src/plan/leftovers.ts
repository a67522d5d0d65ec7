import { host, type Placement } from "./cost.js";
import type { Part } from "./layout.js";
import { partBytes } from "./memory.js";
import { judged, type PlacementProblem, type Solution } from "./problem.js";

/** Layers that are looked into on each device, nearest first: each adds its own hand-overs. */
const mostLayers = 100;
/** Of the parts of a layer, all subsets of the largest so many are tried. */
const mostParts = 8;
/** Share of the whole time that filling a budget to the last percent may cost. */
const toleratedLoss = 0.002;
const fullEnough = 0.99;
/** Sizes that are told apart when subsets of several layers are put together. */
const sizeSteps = 512;

/** A layer whose parts go from the host to a device. */
interface Move {
  all: readonly Part[];
  /** Where its KV cache is. */
  on: number;
  device: number;
  /** A KV cache of attention, rather than none or a recurrent state. */
  hasCache: boolean;
  parallelResidual: boolean | undefined;
}

/**
 * Of a layer whose KV cache is elsewhere, only what leaves attention there. ggml computes an operation without weights where
 * its neighbours' weights are, and the KV cache would be copied for every token: what comes next behind attention
 * (`isBehindAttention`) draws it to the device, and the convolution before a recurrent state what is read of that.
 * The projections before attention draw nothing, because writing the cache comes in between.
 */
function mayMove(part: Part, move: Move): boolean {
  const { on, device, hasCache } = move;
  if (on === device) return true;
  const isFeedForward = part.stage === "feedForwardIn" || part.stage === "feedForwardOut";
  const isProjection = hasCache && /\.attn_(q|k|v|qkv|output)\.weight$/.test(part.name);
  if (!isFeedForward && !isProjection) return /\.ssm_(in|out)\.weight$/.test(part.name);
  return !isBehindAttention(part, move);
}

/**
 * Whether a part's operation is the next one with weights behind attention: of the output projection mostly. Where the feed-forward
 * part takes what attention takes (a parallel residual, which has one norm, or as in GPT-NeoX a second one), all of
 * that is computed in between. Source: the graphs of src/models, v0.5.0.
 */
function isBehindAttention({ name, stage }: Part, { all, parallelResidual }: Move): boolean {
  const hasNorm = all.some((part) => part.stage === "feedForwardNorm" && !part.isMatrix);
  if (!(parallelResidual ?? !hasNorm)) return stage === "attentionOut";
  return hasNorm ? /\.ffn_norm\./.test(name) : stage === "feedForwardIn";
}

/** What chooses experts: it is where they are, or costs two hand-overs. */
function isRouter(part: Part): boolean {
  return part.isMatrix && part.stage === "feedForwardNorm";
}

/** Too small to be worth hand-overs of its own, but for the last percent of a budget. */
function isCrumb(part: Part): boolean {
  return isRouter(part) || /\.ssm_(x|dt)\.weight$/.test(part.name);
}

/**
 * Fills what whole layers left over on each device, tensor by tensor: of the layers near the boundary, the subsets of
 * tensors that together save most time. A device that is not worth using stays empty, unless `atAnyCost` asks for room
 * on the host.
 */
export function fillLeftovers(
  problem: PlacementProblem,
  solution: Solution,
  options: { atAnyCost?: boolean; subsets?: Subsets } = {},
): Solution {
  const layers = solution.placement.layers.map(({ on, parts }) => ({ on, parts }));
  const subsets = options.subsets ?? new Subsets();
  let missing = options.atAnyCost ? -solution.left[0]! : 0;
  for (const device of problem.order) {
    const room = solution.left[device + 1]!;
    const loss = options.atAnyCost ? Number.POSITIVE_INFINITY : solution.score * toleratedLoss;
    const states = combined(problem, subsets, { layers }, device, room);
    const chosen = options.atAnyCost
      ? leastThatFrees(states, missing)
      : bestFilling(states, room, problem.capacities.devices[device]!, loss);
    for (let state = chosen; state?.layer !== undefined; state = state.before)
      layers[state.layer] = { on: layers[state.layer]!.on, parts: state.parts! };
    missing -= chosen?.bytes ?? 0;
    const capacity = problem.capacities.devices[device]!;
    const left = room - (chosen?.bytes ?? 0);
    if (!options.atAnyCost && left < capacity)
      fillCrumbs(problem, subsets, { layers }, device, {
        ...{ left, enough: capacity * (1 - fullEnough) },
        loss: loss - (bestGain(states) - (chosen?.gain ?? 0)),
      });
    if (options.atAnyCost && missing <= 0) break;
  }
  const filled = judged(problem, { layers });
  const tolerated = solution.score * (1 + toleratedLoss);
  return options.atAnyCost || filled.score <= tolerated ? filled : solution;
}

/** A placement with parts of one more layer on a device. */
export interface OneMore {
  placement: Placement;
  bytes: number;
  /** Which layers are alike, and which of its parts went. */
  signature: number;
  moved: number[];
}

/**
 * Placements with some parts of one layer more on a device that is in use and not full, the largest first and one of each size:
 * where a filling enlarges the compute buffers, another may not.
 */
export function withOneMore(problem: PlacementProblem, solution: Solution, device: number): OneMore[] {
  const { placement, left, score } = solution;
  const room = left[device + 1]!;
  const capacity = problem.capacities.devices[device]!;
  if (room <= capacity * (1 - fullEnough) || room >= capacity) return [];
  const subsets = new Subsets();
  const bySize = new Map<number, OneMore>();
  for (const layer of layersToFill(problem, placement, device)) {
    const { on, parts: before } = placement.layers[layer]!;
    for (const { parts, bytes, gain } of subsets.of(problem, placement, layer, device, {
      withCrumbs: true,
    })) {
      if (bytes === 0 || bytes > room || -gain > score * toleratedLoss || bySize.has(bytes)) continue;
      bySize.set(bytes, {
        placement: { layers: placement.layers.with(layer, { on, parts }) },
        bytes,
        signature: problem.layout.signatures[layer]!,
        moved: [...parts.keys()].filter((index) => parts[index] !== before[index]),
      });
    }
  }
  return [...bySize.values()].sort((a, b) => b.bytes - a.bytes);
}

/** Whether one takes all that another takes, of a layer that is alike. */
export function takesAllOf(one: OneMore, other: OneMore): boolean {
  return one.signature === other.signature && other.moved.every((index) => one.moved.includes(index));
}

/** Subsets of the layers so far: a chain of what was moved, the last layer first. */
interface Filling {
  bytes: number;
  gain: number;
  layer?: number;
  parts?: number[];
  before?: Filling;
}

/** The best combinations of subsets by size: one layer after another, the most gain of each size is kept. */
function combined(
  problem: PlacementProblem,
  subsets: Subsets,
  placement: Placement,
  device: number,
  room: number,
): Filling[] {
  let states: Filling[] = [{ bytes: 0, gain: 0 }];
  if (room <= 0) return states;
  for (const layer of layersToFill(problem, placement, device)) {
    const found = subsets.of(problem, placement, layer, device);
    const best = new Array<Filling | undefined>(sizeSteps + 1);
    const offer = (state: Filling) => {
      const step = Math.floor((state.bytes / room) * sizeSteps);
      const rival = best[step];
      if (!rival || state.gain > rival.gain || (state.gain === rival.gain && state.bytes > rival.bytes))
        best[step] = state;
    };
    for (const state of states) {
      offer(state);
      for (const { bytes, gain, parts } of found) {
        if (state.bytes + bytes > room) continue;
        offer({ bytes: state.bytes + bytes, gain: state.gain + gain, layer, parts, before: state });
      }
    }
    states = best.filter((state) => state !== undefined);
  }
  return states;
}

function bestGain(states: readonly Filling[]): number {
  return states.reduce((most, { gain }) => Math.max(most, gain), 0);
}

/**
 * Small parts, one after the other, until a device is full enough: those first that cost least for each byte, and no more
 * than `loss` seconds in all. A search by sizes loses them, as each alone is smaller than a step. Changes `placement`.
 */
function fillCrumbs(
  problem: PlacementProblem,
  subsets: Subsets,
  { layers }: Placement,
  device: number,
  { left, enough, loss }: { left: number; enough: number; loss: number },
): void {
  while (left > enough) {
    let best: (Found & { layer: number }) | undefined;
    for (const layer of layersToFill(problem, { layers }, device)) {
      for (const found of subsets.of(problem, { layers }, layer, device, { withCrumbs: true })) {
        const isPossible = found.bytes > 0 && found.bytes <= left && -found.gain <= loss;
        if (isPossible && (!best || found.gain / found.bytes > best.gain / best.bytes))
          best = { ...found, layer };
      }
    }
    if (!best) return;
    layers[best.layer] = { on: layers[best.layer]!.on, parts: best.parts };
    left -= best.bytes;
    loss += Math.min(0, best.gain);
  }
}

/** The most gain; where that leaves the budget unused, the fullest that loses next to nothing against it. */
function bestFilling(states: Filling[], room: number, capacity: number, loss: number): Filling | undefined {
  const best = states.reduce((most, next) => (next.gain > most.gain ? next : most));
  const isFull = room - best.bytes <= capacity * (1 - fullEnough);
  // An empty device that is worth nothing is not filled for the sake of it.
  if (isFull || (best.bytes === 0 && room === capacity)) return best;
  const near = states.filter(({ gain }) => gain >= best.gain - loss);
  return near.reduce((fullest, next) => (next.bytes > fullest.bytes ? next : fullest), best);
}

/** The fastest that takes enough off the host; where none does, the largest. */
function leastThatFrees(states: Filling[], missing: number): Filling | undefined {
  if (missing <= 0) return undefined;
  const enough = states.filter(({ bytes }) => bytes >= missing);
  const pick = (better: (a: Filling, b: Filling) => boolean, of: Filling[]) =>
    of.reduce((best, next) => (better(next, best) ? next : best));
  return enough.length > 0
    ? pick((a, b) => a.gain > b.gain, enough)
    : pick((a, b) => a.bytes > b.bytes, states);
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

/**
 * What moving each subset of a layer's parts to a device takes and gains: worked out once for layers that are alike. One
 * for all fillings of the same problem saves most of the work.
 */
export class Subsets {
  private readonly known = new Map<string, Found[]>();

  of(
    problem: PlacementProblem,
    placement: Placement,
    layer: number,
    device: number,
    { withCrumbs = false } = {},
  ): Found[] {
    const { on, parts } = placement.layers[layer]!;
    // What a person pinned makes layers differ.
    const kind = problem.pinned.size > 0 ? `layer ${layer}` : problem.layout.signatures[layer];
    const key = `${kind} ${on} ${parts.join()} ${device} ${withCrumbs}`;
    let found = this.known.get(key);
    if (!found) {
      found = allSubsets(problem, layer, { on, parts }, device, withCrumbs);
      this.known.set(key, found);
    }
    return found;
  }
}

function allSubsets(
  problem: PlacementProblem,
  layer: number,
  { on, parts }: Placement["layers"][number],
  device: number,
  withCrumbs: boolean,
): Found[] {
  const all = problem.layout.layers[layer]!;
  const isRecurrent = all.some(({ name }) => /\.(ssm|time_mix|shortconv)/.test(name));
  const move: Move = {
    ...{ all, on, device, parallelResidual: problem.layout.source.outline.parallelResidual },
    hasCache: !isRecurrent && (problem.kvBytes[layer] ?? 0) > 0,
  };
  const movable = all
    .map((part, index) => ({ part, index, bytes: partBytes(part, device, problem.alignments) }))
    .filter(({ part, index }) => isMovable(problem, part) && parts[index] === host)
    .filter(({ part }) => mayMove(part, move) || (withCrumbs && isCrumb(part)))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, mostParts);
  const companions = companionsOf(problem, move);
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
    for (const { index, bytes: companionBytes, leaders } of companions) {
      if (moved[index] !== host || leaders.some((leader) => moved[leader] !== device)) continue;
      moved[index] = device;
      bytes += companionBytes;
    }
    found.push({ parts: moved, bytes, gain: before - seconds(moved) });
  }
  return fastestOfEachSize(found);
}

/** Matrices of equal size make many subsets alike: one of each size is enough, and keeps the search short. */
function fastestOfEachSize(found: readonly Found[]): Found[] {
  const bySize = new Map<number, Found>();
  for (const one of found) {
    const rival = bySize.get(one.bytes);
    if (!rival || one.gain > rival.gain) bySize.set(one.bytes, one);
  }
  return [...bySize.values()];
}

/** What goes where all matrices are that lead it: a bias with its matrix, norms and routers with what they are for. */
interface Companion {
  index: number;
  bytes: number;
  leaders: number[];
}

function companionsOf(problem: PlacementProblem, move: Move): Companion[] {
  const { all, on, device } = move;
  const companions = all.flatMap((part, index): Companion[] => {
    if ((part.isMatrix && !isRouter(part)) || problem.pinned.has(part.index)) return [];
    // Attention's own weights are where attention is.
    const isAttentions = /\.attn_sinks\./.test(part.name) || isBehindAttention(part, move);
    if (on !== device && isAttentions) return [];
    const leaders = leadersOf(part, all);
    if (leaders.length === 0) return [];
    return [{ index, bytes: partBytes(part, device, problem.alignments), leaders }];
  });
  // Routers first: they lead their own biases.
  return companions.sort((a, b) => Number(all[b.index]!.isMatrix) - Number(all[a.index]!.isMatrix));
}

function leadersOf(part: Part, all: readonly Part[]): number[] {
  const matrix = part.name.endsWith(".bias") ? part.name.replace(/bias$/, "weight") : undefined;
  const own = all.findIndex(({ name, isMatrix }) => isMatrix && name === matrix);
  if (own >= 0) return [own];
  const stage =
    part.stage === "feedForwardNorm"
      ? "feedForwardIn"
      : part.stage === "attentionNorm"
        ? "attentionIn"
        : part.stage;
  return all.flatMap((other, index) => (other.isMatrix && other.stage === stage ? [index] : []));
}

function isMovable({ pinned }: PlacementProblem, part: Part): boolean {
  // A tied output has the token embedding's name: it goes with its layer or not at all.
  return part.isMatrix && !pinned.has(part.index) && !part.isTied;
}
