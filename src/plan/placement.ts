import { host, type Placement } from "./cost.js";
import { ofLayers } from "./layout.js";
import { fillLeftovers, Subsets } from "./leftovers.js";
import { partBytes } from "./memory.js";
import { judged, type PlacementProblem, type Solution } from "./problem.js";

/** Whole-layer choices that are looked at closely: filled up tensor by tensor, and judged exactly. */
const mostFinalists = 8;

/** The fastest placement within the capacities; where nothing fits, the one that is nearest to it. */
export function bestOrNearest(problem: PlacementProblem): Solution {
  const layers = new LayerTable(problem);
  return (layers.mayFit() ? bestOf(problem, layers) : undefined) ?? roomiest(problem, layers);
}

/**
 * The fastest placement within the capacities, or undefined where nothing fits.
 *
 * Whole layers are taken from the last one backwards, as llama.cpp can place KV caches so only. For every number of
 * layers whose attention and KV cache are on devices, as many of them as possible get their heavy parts (experts, or
 * feed-forward matrices) there too; what is left over is filled tensor by tensor. The best of all these wins, so that
 * more capacity never does worse.
 */
export function bestPlacement(problem: PlacementProblem): Solution | undefined {
  return bestOf(problem, new LayerTable(problem));
}

function bestOf(problem: PlacementProblem, layers: LayerTable): Solution | undefined {
  const choices = layers.all().toSorted((a, b) => a.score - b.score);
  const finalists = choices
    .slice(0, mostFinalists)
    .map((choice) => judged(problem, layers.placement(choice)));
  const subsets = new Subsets();
  const filled = finalists.map((finalist) => fillLeftovers(problem, finalist, { subsets }));
  // A choice that the host cannot hold as it is may do so once more of it is on devices.
  const fitting = [...filled, ...finalists].filter(({ left }) => left[0]! >= 0);
  const [first, ...others] = fitting;
  if (first) return others.reduce((best, next) => (next.score < best.score ? next : best), first);
  const fitted = roomiest(problem, layers, choices);
  return fitted.left.every((bytes) => bytes >= 0) ? fitted : undefined;
}

/**
 * The placement that leaves most room on the host, where speed alone would choose too little for the devices. Where
 * nothing fits its room is negative: that much is missing.
 */
function roomiest(
  problem: PlacementProblem,
  layers: LayerTable,
  choices: readonly Choice[] = layers.all(),
): Solution {
  const [most] = choices.toSorted((a, b) => b.hostRoom - a.hostRoom);
  // What the person fixed stays, even where it is too much.
  if (!most && problem.fixedLayers)
    return judged(problem, layers.placement(layers.forced(problem.fixedLayers)));
  const placement = most ? layers.placement(most) : layers.placement(layers.nothing);
  return fillLeftovers(problem, judged(problem, placement), { atAnyCost: true });
}

/** The last layers on devices, some of them without their heavy parts. */
interface Choice {
  /** Place of each layer, the output last. */
  on: number[];
  /** Layers from this one on have their heavy parts with them; of the output see `hasOutput`. */
  firstWhole: number;
  /** The output matrix is with its layer. A prompt needs it for one row only: often other tensors are worth more. */
  hasOutput: boolean;
  score: number;
  hostRoom: number;
}

type Heavy = Pick<Choice, "firstWhole" | "hasOutput">;

/** A layer at each place, the host first: with all its parts, or without the heavy ones, which are on the host then. */
interface LayerWays {
  whole: LayerWay;
  light: LayerWay;
}

interface LayerWay {
  parts: number[][];
  bytes: number[];
  seconds: number[];
}

/** What each layer takes and costs in the few ways it can be placed as a whole. */
class LayerTable {
  private readonly ways: LayerWays[];
  private readonly allOnHost: number;
  private readonly room: number[];
  private choicesOfAll: Choice[] | undefined;

  constructor(private readonly problem: PlacementProblem) {
    const { layout } = problem;
    const ways = (layer: number) => ({ whole: this.way(layer, true), light: this.way(layer, false) });
    // What the person pinned makes layers differ.
    this.ways =
      problem.pinned.size > 0
        ? layout.layers.map((_, layer) => ways(layer))
        : ofLayers(layout, (_, layer) => ways(layer));
    const input = layout.input.reduce((sum, part) => sum + partBytes(part, host, problem.alignments), 0);
    this.allOnHost = this.ways.reduce((sum, { whole }) => sum + whole.bytes[0]!, input);
    this.room = [...problem.capacities.devices];
    this.takePinned();
  }

  /**
   * Whether all places together hold the weights and KV caches. Where they do not, no placement can fit, and there is no
   * need to look for the fastest.
   */
  mayFit(): boolean {
    const { layout, kvBytes, capacities, facts, order, pinned } = this.problem;
    // What the person pinned may be more than a device holds.
    if (pinned.size > 0) return true;
    const needed = kvBytes.reduce((sum, bytes) => sum + bytes, layout.source.outline.bytes.total);
    const room = order.reduce(
      (sum, device) => sum + (facts.devices[device]!.unified ? 0 : Math.max(0, this.room[device]!)),
      capacities.host,
    );
    // KV bytes that were fitted to a measurement are fractions.
    return needed <= room + this.ways.length;
  }

  get nothing(): Choice {
    return this.chosen(
      this.ways.map(() => host),
      { firstWhole: this.ways.length, hasOutput: true },
    );
  }

  /** The last `count` layers on the first device, as little of them as can be, whatever it holds. */
  forced(count: number): Choice {
    const [device = host] = this.problem.order;
    const first = this.ways.length - count;
    return this.chosen(
      this.ways.map((_, layer) => (layer >= first ? device : host)),
      { firstWhole: this.ways.length, hasOutput: false },
    );
  }

  /** Every choice, by the number of layers. */
  all(): readonly Choice[] {
    this.choicesOfAll ??= this.counts().flatMap((count) => this.choices(count));
    return this.choicesOfAll;
  }

  /** Numbers of layers to try, the output counted as one. */
  private counts(): number[] {
    const { fixedLayers } = this.problem;
    const most = this.ways.length;
    if (fixedLayers !== undefined) return [Math.min(fixedLayers, most)];
    return Array.from({ length: most + 1 }, (_, count) => count);
  }

  /** The last `count` layers on devices: with as many heavy parts as fit, and with none. */
  private choices(count: number): Choice[] {
    // Where the person fixed the layers, these come whole, as far as they fit.
    const isFixed = this.problem.fixedLayers !== undefined;
    const found = (count === 0 ? [true] : [true, false]).flatMap((hasOutput) => {
      const heavy = (whole: number): Heavy => ({ firstWhole: this.ways.length - 1 - whole, hasOutput });
      let [low, high] = [0, Math.max(0, count - 1)];
      if (!this.places(count, heavy(0))) return [];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.places(count, heavy(middle))) low = middle;
        else high = middle - 1;
      }
      const wholes = low === 0 || isFixed ? [low] : [low, 0];
      return wholes.map((whole) => this.chosen(this.places(count, heavy(whole))!, heavy(whole)));
    });
    return isFixed ? found.slice(0, 1) : found;
  }

  placement({ on, ...heavy }: Choice): Placement {
    return {
      layers: on.map((place, layer) => ({ on: place, parts: this.wayOf(layer, heavy).parts[place + 1]! })),
    };
  }

  private wayOf(layer: number, heavy: Heavy): LayerWay {
    const { whole, light } = this.ways[layer]!;
    return this.isWhole(layer, heavy) ? whole : light;
  }

  private isWhole(layer: number, { firstWhole, hasOutput }: Heavy): boolean {
    return layer === this.ways.length - 1 ? hasOutput : layer >= firstWhole;
  }

  /** Fills the devices in order, from the last layer backwards; undefined where they cannot hold that much. */
  private places(count: number, heavy: Heavy): number[] | undefined {
    const { order, kvBytes } = this.problem;
    const on = this.ways.map(() => host);
    const room = [...this.room];
    let turn = 0;
    for (let taken = 0; taken < count; taken++) {
      const layer = this.ways.length - 1 - taken;
      const { bytes } = this.wayOf(layer, heavy);
      for (;;) {
        const device = order[turn];
        if (device === undefined) return undefined;
        const needed = bytes[device + 1]! + (kvBytes[layer] ?? 0);
        if (needed <= room[device]!) {
          room[device]! -= needed;
          on[layer] = device;
          break;
        }
        turn++;
      }
    }
    return on;
  }

  private chosen(on: number[], heavy: Heavy): Choice {
    const { models, facts, kvBytes, capacities } = this.problem;
    let score = 0;
    let hostBytes = this.allOnHost;
    let at = host;
    for (const [layer, place] of on.entries()) {
      const way = this.wayOf(layer, heavy);
      score += way.seconds[place + 1]!;
      const leavesHost = place !== host && !facts.devices[place]!.unified;
      if (leavesHost) hostBytes -= way.bytes[place + 1]!;
      else hostBytes += kvBytes[layer] ?? 0;
      if (place !== at) {
        const device = facts.devices[place === host ? at : place]!;
        for (const { weight } of models) score += weight * device.link.crossingSeconds;
      }
      at = place;
    }
    return { on, ...heavy, score, hostRoom: capacities.host - hostBytes };
  }

  private way(layer: number, isWhole: boolean): LayerWay {
    const { layout, alignments, models, facts, pinned } = this.problem;
    const places = [host, ...facts.devices.keys()];
    const parts = places.map((place) => this.partsOf(layer, place, isWhole));
    const bytes = places.map((place) =>
      layout.layers[layer]!.reduce((sum, part) => {
        const isMoved = !pinned.has(part.index) && (isWhole || !part.isHeavy || place === host);
        // A tied output is on the host already, as the token embedding.
        const isThere = place === host && part.isTied;
        return isMoved && !isThere ? sum + partBytes(part, place, alignments) : sum;
      }, 0),
    );
    const seconds = places.map((place, index) =>
      models.reduce(
        (sum, { model, weight }) => sum + weight * model.layerSeconds(layer, place, parts[index]!),
        0,
      ),
    );
    return { parts, bytes, seconds };
  }

  private partsOf(layer: number, place: number, isWhole: boolean): number[] {
    const { layout, pinned } = this.problem;
    return layout.layers[layer]!.map(
      (part) => pinned.get(part.index) ?? (isWhole || !part.isHeavy ? place : host),
    );
  }

  private takePinned(): void {
    const { layout, pinned, alignments } = this.problem;
    for (const part of layout.layers.flat()) {
      const place = pinned.get(part.index);
      if (place !== undefined && place !== host) this.room[place]! -= partBytes(part, place, alignments);
    }
  }
}
