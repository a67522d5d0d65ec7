import type { HardwareFacts } from "../hardware/facts.js";
import { host, type Placement } from "./cost.js";
import { withEmbeddings } from "./embedding.js";
import { placementFields } from "./engine-plan.js";
import type { JobProfile } from "./job.js";
import type { ModelLayout } from "./layout.js";
import { fillLeftovers, type OneMore, takesAllOf, withOneMore } from "./leftovers.js";
import {
  adapterBytes,
  computeEstimate,
  fitKvToMeasured,
  kvBytesPerCell,
  kvCells,
  mappedBytes,
  type PlaceMemory,
  totalBytes,
  unreportedHostBytes,
  weightBytes,
} from "./memory.js";
import type { Objective } from "./model-plan.js";
import { bestOrNearest } from "./placement.js";
import { isMapped, type MemoryUse, type Plan, streamFromRows } from "./plan.js";
import { costModels, type Models, scored } from "./predict.js";
import { judged, type PlacementProblem, type Solution } from "./problem.js";
import type { HostMode } from "./speed.js";

/** What is to be planned: a model on a machine, for an objective; `wishes` are what the person fixed. */
export interface SolveRequest {
  layout: ModelLayout;
  machine: Machine;
  objective: Objective;
  wishes: Partial<Plan>;
  /** Of a batch, where its requests are known. */
  job?: JobProfile;
}

/** Bytes that may be used: on the host, and on each device of the hardware facts. */
export interface PlaceBudgets {
  host: number;
  devices: number[];
}

/** Exact bytes per device of a plan, from a dry run; `modelled` is what the closed formulas say of it, by place. */
export type Measure = (plan: Plan, modelled: (PlaceMemory & { device: string })[]) => Promise<MemoryUse[]>;

export interface Machine {
  facts: HardwareFacts;
  budgets: PlaceBudgets;
  /** Devices that may be used, by index. */
  usable: number[];
  measure: Measure;
  /** What of the placement the person fixed. */
  fixed: FixedPlacement;
  /** Weights on the host may be more than its budget: see `readingDisk`. */
  rereadsWeights?: boolean;
}

export interface FixedPlacement {
  layers?: number;
  pinned: ReadonlyMap<number, number>;
  modes: HostMode[];
}

/** A plan that fits, or the nearest to it. */
export interface Fitted {
  plan: Plan;
  placement: Placement;
  models: Models;
  mode: HostMode;
  /** By place, the host first. */
  memory: PlaceMemory[];
  /** Bytes over the budget, by place, but for weights that can be read again; negative is room. All ≤ 0 where it fits. */
  over: number[];
  score: number;
}

/** The settings that were chosen, and where they differ from what was wanted first. */
export interface Solved {
  fitted: Fitted;
  fitter: Fitter;
  wanted: Plan;
  /** Of a batch whose number of sequences was chosen. */
  widthLimit?: WidthLimit;
}

/** Why a batch is not wider: the next number that was considered, and what speaks against it. */
export type WidthLimit =
  | { by: "speed" | "memory"; next: number }
  | { by: "requests"; requests: number }
  | { by: "most" };

/** Steps of solving and measuring until both agree; two or three are usual. */
const mostSteps = 8;
/** Steps of filling what the best plan left; one is usual. */
const mostTopUps = 3;
/** Dry runs of parts of single layers, where these steps left more than a hundredth. */
const mostSingles = 8;

/**
 * Places a model under budgets for given settings, and proves it: every placement that is considered for good is
 * measured by the engine's dry run, and what compute buffers really take corrects the next step.
 */
export class Fitter {
  /** What measured plans took beyond the weights and KV cache that the formulas know, by place. */
  private overhead: number[];
  private kvBytes: number[];
  private readonly measured = new Map<string, MemoryUse[]>();
  /** Of the KV bytes as they are known now. */
  private readonly knownModels = new Map<HostMode, Models>();

  private readonly layout: ModelLayout;
  private readonly machine: Machine;
  private readonly job: JobProfile | undefined;
  readonly settings: Plan;

  constructor(
    { layout, machine, job, wishes }: Pick<SolveRequest, "layout" | "machine" | "job" | "wishes">,
    wanted: Plan,
    start?: Fitter,
  ) {
    const settings = withEmbeddings(wanted, wishes);
    this.settings = settings;
    this.layout = layout;
    this.machine = machine;
    this.job = job;
    const { outline } = layout.source;
    const cells = kvCells(settings);
    this.kvBytes = kvBytesPerCell(outline, settings).map((bytes) => bytes * cells);
    const guess = computeEstimate(settings, outline);
    const before = start && computeEstimate(start.settings, outline);
    this.overhead = [guess, ...machine.facts.devices.map(() => guess)].map((bytes, index) =>
      start && before ? Math.ceil((start.overhead[index]! * guess) / before) : bytes,
    );
    if (start) {
      const ratio = kvCells(start.settings);
      const total = sum(start.kvBytes) / ratio;
      const formula = sum(kvBytesPerCell(outline, start.settings));
      // A model whose cache the formula misses keeps the measured proportion.
      if (formula > 0) this.kvBytes = this.kvBytes.map((bytes) => (bytes * total) / formula);
    }
  }

  /** The plan as the formulas see it, without a measurement. */
  estimate(): Fitted {
    const { solution, mode } = this.solve();
    return this.fitted(solution, mode, this.modelled(solution.placement, true));
  }

  /** Whether the estimate fits, or is so near that it is worth a measurement. */
  mayFit(): boolean {
    return !this.isTooMuch(nearness) && nearlyFits(this.estimate());
  }

  /** The estimate where it fits. Whether it may is known from sums alone mostly, long before it is worked out. */
  fittingEstimate(): Fitted | undefined {
    if (this.isTooMuch(0)) return undefined;
    const estimate = this.estimate();
    return fits(estimate) ? estimate : undefined;
  }

  /** Weights, KV cache and what is taken beside them are more than all places hold: no placement is within `tolerance`. */
  private isTooMuch(tolerance: number): boolean {
    const { facts, budgets, usable, fixed, rereadsWeights } = this.machine;
    if (rereadsWeights) return false;
    const runtime = this.runtime();
    const most = (bytes: number) => bytes / (1 - tolerance);
    const beside = (place: number) => runtime[place]! + Math.max(0, this.overhead[place]!);
    // What a person pinned may be on any device.
    const devices = fixed.pinned.size > 0 ? facts.devices.map((_, index) => index) : usable;
    const room = devices.reduce((total, index) => {
      if (facts.devices[index]!.unified) return total;
      return total + Math.max(0, most(budgets.devices[index]!) - beside(index + 1));
    }, most(budgets.host) - beside(0));
    return this.layout.source.outline.bytes.total + sum(this.kvBytes) > room;
  }

  /** The best plan whose measured bytes fit; where none does, the nearest, with what is missing. */
  async fit(): Promise<Fitted> {
    let best: Fitted | undefined;
    let nearest: Fitted | undefined;
    const seen = new Set<string>();
    let mode: HostMode | undefined;
    for (let step = 0; step < mostSteps; step++) {
      const solved = this.solve(mode);
      const { solution } = solved;
      const found = await this.measureSolution(solution, solved.mode);
      // What an empty device would take is not known yet, nor how weights would then be used best.
      mode = usesDevices(solution.placement) ? solved.mode : undefined;
      const key = JSON.stringify(found.plan);
      if (fits(found) && (!best || found.score < best.score || isFuller(found, best))) best = found;
      if (!nearest || worst(found) < worst(nearest)) nearest = found;
      if (seen.has(key)) {
        if (found.over.slice(1).every((bytes) => bytes <= 0)) break;
        // The same placement again, and a device is over: its compute buffers are the cause. Ask for that much less.
        this.overhead = this.overhead.map((bytes, index) =>
          index === 0 ? bytes : bytes + Math.max(0, found.over[index]!),
        );
      }
      seen.add(key);
    }
    if (!best) return nearest!;
    return this.machine.fixed.modes.includes(best.mode) ? this.toppedUp(best) : best;
  }

  /**
   * Compute buffers change with the placement, so the best one may leave more than was thought: what its own
   * measurement leaves is filled tensor by tensor, as long as it fits.
   */
  private async toppedUp(best: Fitted): Promise<Fitted> {
    const overheads = [this.overheadOf(best)];
    for (let step = 0; step < mostTopUps; step++) {
      // Of all that was measured on the way, the most: each filling adds to what the one before took.
      this.overhead = overheads.reduce((most, next) =>
        most.map((bytes, index) => Math.max(bytes, next[index]!)),
      );
      const problem = this.problem(best.mode);
      const solution = fillLeftovers(problem, judged(problem, best.placement));
      if (sameParts(solution.placement, best.placement)) break;
      const found = await this.measureSolution(solution, best.mode);
      if (fits(found)) {
        if (isUsedMore(found, best)) best = found;
        break;
      }
      overheads.push(this.overheadOf(found));
    }
    this.overhead = this.overheadOf(best);
    return this.withSingles(best);
  }

  /** Parts of one layer more, and of another, where fillings that seemed better enlarged compute buffers beyond a budget. */
  private async withSingles(best: Fitted): Promise<Fitted> {
    const enlarging: OneMore[] = [];
    for (const device of this.problem(best.mode).order) {
      for (let step = 0; step < mostSingles; step++) {
        const problem = this.problem(best.mode);
        const next = withOneMore(problem, judged(problem, best.placement), device).find(
          (one) => !enlarging.some((other) => takesAllOf(one, other)),
        );
        if (!next) break;
        const found = await this.measureSolution(judged(problem, next.placement), best.mode);
        if (fits(found)) best = found;
        else enlarging.push(next);
        this.overhead = this.overheadOf(best);
      }
    }
    return best;
  }

  private overheadOf({ memory, placement }: Fitted): number[] {
    const modelled = this.modelled(placement, false);
    return memory.map(
      ({ weights, kv, compute }, index) =>
        weights + kv + compute - modelled[index]!.weights - modelled[index]!.kv,
    );
  }

  private async measureSolution(solution: Solution, mode: HostMode): Promise<Fitted> {
    const plan = this.planOf(solution.placement, mode);
    const modelled = this.modelled(solution.placement, false);
    const key = JSON.stringify(plan);
    const named = modelled.map((bytes, index) => ({ ...bytes, device: this.nameOf(index) }));
    const uses = this.measured.get(key) ?? (await this.machine.measure(plan, named));
    this.measured.set(key, uses);
    const memory = modelled.map((bytes, index) => ({ ...bytes, ...this.useOf(uses, index) }));
    if (isMapped(plan)) memory[0]!.weights = mappedBytes(this.layout, solution.placement);
    this.learn(memory, solution.placement, modelled);
    return this.fitted(solution, mode, memory);
  }

  /** Takes from a measurement what the formulas could not know. */
  private learn(memory: PlaceMemory[], placement: Placement, modelled: PlaceMemory[]): void {
    const kvTotal = memory.reduce((total, { kv }) => total + kv, 0);
    const before = this.kvBytes;
    const kvBytes = fitKvToMeasured(before, kvTotal);
    const changed = kvBytes.some((bytes, layer) => bytes !== before[layer]);
    if (changed) {
      this.kvBytes = kvBytes;
      this.knownModels.clear();
    }
    const now = changed ? this.modelled(placement, false) : modelled;
    this.overhead = memory.map(
      ({ weights, kv, compute }, index) => weights + kv + compute - now[index]!.weights - now[index]!.kv,
    );
  }

  private solve(mode?: HostMode): { solution: Solution; mode: HostMode } {
    const modes = mode ? [mode] : this.machine.fixed.modes;
    const solved = modes.map((one) => this.solveIn(one));
    return solved.reduce((best, next) => (next.solution.score < best.solution.score ? next : best));
  }

  /** Where all devices stay empty nothing is streamed to one: the CPU computes as it does alone. */
  private solveIn(mode: HostMode): { solution: Solution; mode: HostMode } {
    const solution = bestOrNearest(this.problem(mode));
    const alone = isMapped(this.settings) ? "pinned" : "repacked";
    if (mode === alone || usesDevices(solution.placement)) return { solution, mode };
    return { solution: judged(this.problem(alone), solution.placement), mode: alone };
  }

  private problem(mode: HostMode): PlacementProblem {
    const { facts, budgets, usable, fixed, rereadsWeights } = this.machine;
    const runtime = this.runtime();
    const order = [...usable].sort((a, b) => speedRank(facts, b) - speedRank(facts, a) || b - a);
    return {
      layout: this.layout,
      facts,
      capacities: {
        host: rereadsWeights
          ? Number.MAX_SAFE_INTEGER
          : budgets.host - runtime[0]! - this.overhead[0]! - this.unifiedOverhead(),
        devices: facts.devices.map((_, index) =>
          usable.includes(index)
            ? budgets.devices[index]! - runtime[index + 1]! - this.overhead[index + 1]!
            : 0,
        ),
      },
      alignments: facts.devices.map(({ alignmentBytes }) => alignmentBytes),
      kvBytes: this.kvBytes,
      models: scored(this.models(mode)),
      order,
      ...(fixed.layers !== undefined && { fixedLayers: fixed.layers }),
      pinned: fixed.pinned,
    };
  }

  /** What unified devices take of RAM beside weights and KV cache, where they are used. */
  private unifiedOverhead(): number {
    const { facts, usable } = this.machine;
    const runtime = this.runtime();
    return usable.reduce(
      (sum, index) =>
        facts.devices[index]!.unified
          ? sum + Math.max(0, runtime[index + 1]! + this.overhead[index + 1]!)
          : sum,
      0,
    );
  }

  private models(mode: HostMode): Models {
    const cells = kvCells(this.settings);
    const perCell = this.kvBytes.map((bytes) => bytes / cells);
    const models =
      this.knownModels.get(mode) ??
      costModels(this.layout, this.machine.facts, this.settings, mode, perCell, this.job);
    this.knownModels.set(mode, models);
    return models;
  }

  private planOf(placement: Placement, mode: HostMode): Plan {
    const names = this.machine.facts.devices.map(({ name }) => name);
    const fields = placementFields(this.layout, placement, names, this.settings.tensorOverrides);
    const hasDevices = fields.devices!.length > 0;
    return {
      ...this.settings,
      ...fields,
      ...(hasDevices && { hostMemory: mode === "repacked" ? "repacked" : "pinned" }),
      // Weights laid out anew would be there a second time, beside the file's.
      ...(isMapped(this.settings) && mode !== "repacked" && { hostMemory: "mapped" }),
      // llama.cpp reserves whole tokens of all sequences, which may be more rows than the plan's batches ever have.
      ...(hasDevices && {
        streamWeights: mode === "streamed" && this.settings.microBatch >= streamFromRows,
      }),
    };
  }

  /** What the formulas say, by place; `withOverhead` adds what was measured or guessed beyond them as compute. */
  private modelled(placement: Placement, withOverhead: boolean): PlaceMemory[] {
    const { facts } = this.machine;
    const weights = weightBytes(
      this.layout,
      placement,
      facts.devices.map(({ alignmentBytes }) => alignmentBytes),
    );
    const kv = weights.map(() => 0);
    for (const [layer, { on }] of placement.layers.entries()) kv[on + 1]! += this.kvBytes[layer] ?? 0;
    const adapters = adapterBytes(this.layout, placement);
    const runtime = this.runtime();
    return weights.map((bytes, index) => {
      const isUsed =
        index === 0 ||
        placement.layers.some(({ on, parts }) => on === index - 1 || parts.includes(index - 1));
      return {
        weights: bytes,
        kv: Math.ceil(kv[index]!),
        compute: withOverhead && isUsed ? Math.max(0, Math.ceil(this.overhead[index]!)) : 0,
        runtime: isUsed ? runtime[index]! + (adapters[index] ?? 0) : 0,
      };
    });
  }

  private runtime(): number[] {
    const { facts } = this.machine;
    const unreported = unreportedHostBytes(this.settings, this.layout.source.outline);
    return [facts.host.runtimeBytes + unreported, ...facts.devices.map(({ runtimeBytes }) => runtimeBytes)];
  }

  private useOf(uses: readonly MemoryUse[], index: number): Omit<PlaceMemory, "runtime"> {
    const use = uses.find(({ device }) => device === this.nameOf(index));
    return { weights: use?.weightsBytes ?? 0, kv: use?.kvBytes ?? 0, compute: use?.computeBytes ?? 0 };
  }

  private nameOf(index: number): string {
    return index === 0 ? "host" : this.machine.facts.devices[index - 1]!.name;
  }

  private fitted(solution: Solution, mode: HostMode, memory: PlaceMemory[]): Fitted {
    const { budgets, facts, rereadsWeights } = this.machine;
    const over = excessOf(memory, [budgets.host, ...budgets.devices], facts);
    if (rereadsWeights) over[0]! -= memory[0]!.weights;
    return {
      plan: this.planOf(solution.placement, mode),
      placement: solution.placement,
      models: this.models(mode),
      mode,
      memory,
      over,
      score: solution.score,
    };
  }
}

/** Whether anything is on a device. */
export function usesDevices({ layers }: Placement): boolean {
  return layers.some(({ on, parts }) => on !== host || parts.some((place) => place !== host));
}

/** Bytes over what is allowed, by place. What unified devices take is RAM too. */
export function excessOf(
  memory: readonly PlaceMemory[],
  allowed: readonly number[],
  { devices }: HardwareFacts,
): number[] {
  return memory.map((bytes, index) => {
    const inRam = index === 0 ? devices.filter(({ unified }) => unified) : [];
    const unified = inRam.reduce((sum, device) => sum + totalBytes(memory[devices.indexOf(device) + 1]!), 0);
    return totalBytes(bytes) + unified - allowed[index]!;
  });
}

export function fits({ over }: Fitted): boolean {
  return over.every((bytes) => bytes <= 0);
}

/** Share of what a place takes that the formulas may be over its budget by. */
const nearness = 0.01;

/** Within a hundredth of the budgets by the formulas: worth measuring. */
export function nearlyFits({ over, memory }: Fitted): boolean {
  return over.every((bytes, index) => bytes <= nearness * totalBytes(memory[index]!));
}

/** How far a plan is from fitting. What is too much on a device can go to the host: it is the host that decides. */
function worst({ over }: Fitted): number {
  const devices = over.slice(1).reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
  return Math.max(0, over[0]!) + 1e6 * devices;
}

function sameParts(one: Placement, other: Placement): boolean {
  return one.layers.every(({ parts }, layer) =>
    parts.every((place, index) => place === other.layers[layer]!.parts[index]),
  );
}

function isUsedMore(found: Fitted, best: Fitted): boolean {
  return sum(found.over.slice(1)) > sum(best.over.slice(1));
}

/** Equal speed, more of the devices used: what the person allowed is there to be used. */
function isFuller(found: Fitted, best: Fitted): boolean {
  return found.score === best.score && isUsedMore(found, best);
}

/** How fast a device decodes: the median over its tensor types, one row at a time. */
function speedRank(facts: HardwareFacts, device: number): number {
  const speeds = Object.values(facts.devices[device]!.speed.matrix).map(
    ({ bytesPerSecond }) => bytesPerSecond[0]!,
  );
  return speeds.sort((a, b) => a - b)[speeds.length >> 1] ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
