import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Measurer } from "../engine/engine.js";
import type { LibraryWish } from "../engine/native/libraries.js";
import { llamaVersion } from "../engine/native/libraries.js";
import { JaugeError } from "../errors.js";
import type { HardwareFacts } from "../hardware/facts.js";
import { readHardwareFile } from "../hardware/profiles.js";
import { isSoftwareDevice } from "../hardware/software-device.js";
import { alternativesOf, type Requantised } from "../plan/alternatives.js";
import { assumedMachine, type BudgetWishes, resolveBudgets } from "../plan/budget.js";
import { checkPlan } from "../plan/check.js";
import { host } from "../plan/cost.js";
import { describePlan } from "../plan/describe.js";
import { readingDisk } from "../plan/disk.js";
import { withEmbeddings } from "../plan/embedding.js";
import { type FixedPlacement, fits, type Machine, type SolveRequest } from "../plan/fit.js";
import type { JobProfile } from "../plan/job.js";
import { layoutOf, type ModelLayout } from "../plan/layout.js";
import type { ModelPlan, Objective } from "../plan/model-plan.js";
import { isMapped, type Plan, simplePlan } from "../plan/plan.js";
import { solve, solveReadingDisk } from "../plan/solve.js";
import type { ModelSource } from "../plan/source.js";
import type { HostMode } from "../plan/speed.js";
import { needsImportanceMatrix } from "../quantize/mixes.js";
import { adapterSizes } from "./adapter-sizes.js";
import { cachedFacts } from "./cached-facts.js";
import { foreignMeasure, hereMeasure } from "./dry-runs.js";
import { mixOf, openSource } from "./sources/open.js";
import { requantised } from "./sources/requantised.js";

/** What to plan. What `wishes` say is fixed; all else is chosen. */
export interface PlanRequest {
  /** A path, URL or name that `openSource` knows, or a source that is open already. */
  model: string | ModelSource;
  budgets: BudgetWishes;
  wishes: Partial<Plan>;
  objective: Objective;
  /** What the requests of a batch are like, where that is known. */
  job?: JobProfile;
  /** A hardware file or a profile's name: plan for that machine instead of this one. */
  hardware?: string;
  /** Facts that are known already, of this machine. */
  facts?: HardwareFacts;
  libraries?: LibraryWish;
  /** A host for dry runs that is there already; it stays with the caller. */
  measurer?: Measurer;
  /** Weights may be read from the disk again and again where RAM does not suffice. */
  allowDisk?: boolean;
  /** Plan the model as if it were quantised so. */
  mix?: string;
  /** Where nothing fits, do not work out what would. */
  withoutAlternatives?: boolean;
  signal?: AbortSignal;
}

/**
 * Plans a model: what goes where, what it takes to the byte, how fast it will be. Nothing is loaded; the engine's dry
 * runs give the bytes where the devices are in this machine. Where nothing fits the plan says so (`fits`).
 * Errors: those of the source, of budgets and of the engine's dry run.
 */
export async function planModel(request: PlanRequest): Promise<ModelPlan> {
  const { wishes: fixed } = request;
  const settings = simplePlan({ modelPath: "", threads: 1, ...fixed, ...zeroIsTheModels(fixed) });
  checkPlan(withEmbeddings(settings, fixed));
  const source = await sourceOf(request);
  const isHere = request.hardware === undefined && request.budgets.cardBytes === undefined;
  const facts = await factsOf(request);
  refuseUnknownDevices(request.wishes, facts);
  const budgets = resolveBudgets(request.budgets, facts);
  const layout = layoutOf(source, await adapterSizes(request.wishes.adapters ?? []));
  const folder = await mkdtemp(join(tmpdir(), "jauge-plan-"));
  try {
    const ghost = await source.writeGhost(folder);
    const usable = usableDevices(request.wishes, facts);
    await using measurer = isHere
      ? hereMeasure(ghost, request.libraries ?? {}, source.outline, request.measurer)
      : foreignMeasure(ghost, facts, usable, request.measurer);
    const machine: Machine = {
      facts,
      budgets: {
        host: budgets.host,
        devices: facts.devices.map(({ name }) => budgets.devices[name] ?? 0),
      },
      usable,
      measure: (plan, modelled) => {
        if (request.signal?.aborted) throw new JaugeError("cancelled", {});
        return measurer.measure(plan, modelled);
      },
      fixed: fixedPlacement(layout, request.wishes, facts, usable),
    };
    const { objective, wishes, job } = request;
    const inMemory: SolveRequest = { layout, machine, objective, wishes, ...(job && { job }) };
    const inMemorySolved = await solve(inMemory);
    // The disk is far slower than all that can be given up instead.
    const onDisk = request.allowDisk && !fits(inMemorySolved.fitted) ? readingDisk(inMemory) : undefined;
    const solveRequest = onDisk ?? inMemory;
    const solved = onDisk ? await solveReadingDisk(onDisk, inMemorySolved) : inMemorySolved;
    return describePlan({
      request: solveRequest,
      solved,
      budgets,
      exactness: measurer.exactness,
      libraryVersion: llamaVersion,
      alternatives:
        fits(solved.fitted) || request.withoutAlternatives
          ? []
          : await alternativesOf(solveRequest, solved, smallerMixes(source)),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sourceOf({ model, mix, signal }: PlanRequest): Promise<ModelSource> {
  if (typeof model !== "string") return mix === undefined ? model : requantised(model, mixOf(mix));
  return openSource(model, { ...(mix !== undefined && { mix }), ...(signal && { signal }) });
}

async function factsOf({ hardware, facts, libraries, budgets }: PlanRequest): Promise<HardwareFacts> {
  const known =
    hardware === undefined
      ? (facts ?? (await cachedFacts(libraries ?? {})))
      : await readHardwareFile(hardware);
  return assumedMachine(budgets, known);
}

/** A context length of 0 is the model's own; it cannot be wrong. */
function zeroIsTheModels({ contextLength }: Partial<Plan>): Partial<Plan> {
  return contextLength === 0 ? { contextLength: 1 } : {};
}

/** Errors: `device-unknown`. */
function refuseUnknownDevices(
  { devices = [], tensorOverrides = [] }: Partial<Plan>,
  facts: HardwareFacts,
): void {
  const known = facts.devices.map(({ name }) => name);
  const isKnown = (name: string) => known.some((other) => other.toLowerCase() === name.toLowerCase());
  const unknown =
    devices.find((name) => !isKnown(name)) ??
    tensorOverrides
      .map(({ placement }) => placement)
      .find((name) => !/^(host|cpu)$/i.test(name) && !isKnown(name));
  if (unknown !== undefined) throw new JaugeError("device-unknown", { device: unknown, known });
}

/** Devices that layers may be placed on, by index: those the person names, else all. */
function usableDevices({ devices, gpuLayers }: Partial<Plan>, facts: HardwareFacts): number[] {
  const all = facts.devices.map((_, index) => index);
  if (gpuLayers === 0) return [];
  if (!devices) return all;
  const names = devices.map((name) => name.toLowerCase());
  return all.filter((index) => names.includes(facts.devices[index]!.name.toLowerCase()));
}

/** The least `maxStorageBufferRange` that Vulkan asks for, and what llvmpipe has: ggml runs no operation on a larger tensor. */
const softwareBindingBytes = 2 ** 27;

/** What the person and the devices say about places. */
function fixedPlacement(
  layout: ModelLayout,
  wishes: Partial<Plan>,
  facts: HardwareFacts,
  usable: number[],
): FixedPlacement {
  const pinned = new Map<number, number>();
  for (const { pattern, placement } of [...(wishes.tensorOverrides ?? [])].reverse()) {
    const expression = new RegExp(pattern);
    const place = facts.devices.findIndex(({ name }) => name.toLowerCase() === placement.toLowerCase());
    for (const part of layout.layers.flat())
      if (!part.isTied && expression.test(part.name)) pinned.set(part.index, place);
  }
  // Without a real card, what no software device can bind stays on the host, unless the person said otherwise.
  if (usable.length > 0 && usable.every((index) => isSoftwareDevice(facts.devices[index]!)))
    for (const part of layout.layers.flat())
      if (!part.isTied && part.bytes > softwareBindingBytes && !pinned.has(part.index))
        pinned.set(part.index, host);
  const { gpuLayers } = wishes;
  const all = layout.outputLayer + 1;
  // A pattern may name a device that gets no layer.
  const hasDevices = usable.length > 0 || [...pinned.values()].some((place) => place !== host);
  return {
    ...(gpuLayers !== undefined && { layers: gpuLayers < 0 ? all : gpuLayers }),
    pinned,
    modes: hostModes(wishes, hasDevices),
  };
}

/** How weights on the host may be used, best for mixed plans first. */
function hostModes(wishes: Partial<Plan>, hasDevices: boolean): HostMode[] {
  const { hostMemory, streamWeights } = wishes;
  const mapped = isMapped(wishes);
  if (!hasDevices) return [mapped ? "pinned" : "repacked"];
  // A mapped file is neither pinned nor laid out anew.
  const modes: HostMode[] = mapped ? ["streamed", "pinned"] : ["streamed", "repacked", "pinned"];
  return modes.filter(
    (mode) =>
      (hostMemory === undefined || (mode === "repacked") === (hostMemory === "repacked")) &&
      (streamWeights === undefined || (mode === "streamed") === streamWeights),
  );
}

/** Mixes from good to small, each below the model's own size: the first that fits is the one to propose. */
function smallerMixes(source: ModelSource): Requantised[] {
  const mixes = [
    ...(["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"] as const),
    ...(["IQ2_M", "IQ2_XS", "IQ2_XXS"] as const),
  ];
  return mixes.map((mix) => {
    let made: ModelSource | undefined;
    return {
      mix,
      needsImportanceMatrix: needsImportanceMatrix(mix),
      source: () => {
        made ??= requantised(source, mix);
        return made;
      },
    };
  });
}
