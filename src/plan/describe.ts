import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { formatBytes, formatWhole } from "../units.js";
import { shortfallsOf } from "./alternatives.js";
import { type Budgets, clampedNote } from "./budget.js";
import { host, type Placement } from "./cost.js";
import { diskReads } from "./disk.js";
import { fits, type Solved, type SolveRequest } from "./fit.js";
import { llamaCppFlags } from "./flags.js";
import type { ModelLayout } from "./layout.js";
import { totalBytes } from "./memory.js";
import type {
  Alternative,
  ModelPlan,
  PlacedTensor,
  PlannedDevice,
  PlannedModel,
  PlannedSettings,
  WeightKinds,
} from "./model-plan.js";
import { isMapped, streamFromRows } from "./plan.js";
import { predict } from "./predict.js";

const texts = localized(planTexts);

export interface Description {
  request: SolveRequest;
  solved: Solved;
  budgets: Budgets;
  exactness: ModelPlan["exactness"];
  libraryVersion: string;
  /** What would fit, where nothing does. */
  alternatives: Alternative[];
}

/** A solution as the plan that people and programs see. */
export function describePlan(description: Description): ModelPlan {
  const { request, solved, budgets, exactness, libraryVersion } = description;
  const { layout, machine, objective } = request;
  const { fitted } = solved;
  const { facts } = machine;
  const names = ["host", ...facts.devices.map(({ name }) => name)];
  const doesFit = fits(fitted);
  // With the disk allowed, the host's budget bounds what stays in RAM.
  const reread = doesFit ? diskReads(fitted, request) : { weights: 0, perStep: 0 };
  const places = placesOf(description, names);
  return {
    model: modelOf(layout),
    devices: places.slice(1),
    host: { ...places[0]!, ...(reread.weights > 0 && { rereadBytes: reread.weights }) },
    placement: placementOf(layout, fitted.placement, names),
    settings: settingsOf(description, names),
    predicted: predict(fitted.models, fitted.placement, facts, reread.perStep),
    llamaCppFlags: llamaCppFlags(fitted.plan, {
      devices: names.slice(1),
      slidingWindow: layout.source.outline.slidingWindow !== undefined,
    }),
    fits: doesFit,
    version: 1,
    objective,
    hardware: { name: facts.name, origin: facts.origin },
    exactness,
    shortfalls: doesFit
      ? []
      : shortfallsOf(fitted, names, [machine.budgets.host, ...machine.budgets.devices]),
    alternatives: description.alternatives,
    warnings: [
      ...budgets.clamped.map(clampedNote),
      ...(budgets.isWithoutDevice ? [texts.noDevice] : []),
      ...warningsOf(description),
      ...(reread.weights > 0 ? [texts.overflow({ bytes: formatBytes(reread.weights) })] : []),
    ],
    notes: notesOf(description),
    engine: fitted.plan,
    libraryVersion,
  };
}

function modelOf({ source }: ModelLayout): PlannedModel {
  const { outline, fingerprint } = source;
  return {
    source: source.source,
    name: outline.name ?? source.source,
    architecture: outline.architecture,
    parameters: outline.parameters,
    bytes: outline.bytes.total,
    layers: outline.layers,
    experts: outline.experts ?? 0,
    expertsUsed: outline.expertsUsed ?? 0,
    trainedContextLength: outline.contextLength ?? 0,
    fileType: outline.fileType ?? "",
    fingerprint,
  };
}

function placesOf({ request, solved, budgets }: Description, names: string[]): PlannedDevice[] {
  const { facts } = request.machine;
  const { fitted } = solved;
  const kinds = weightKinds(request.layout, fitted.placement, names.length);
  return fitted.memory.map((memory, index) => {
    const { weights, kv, compute, runtime } = memory;
    const device = facts.devices[index - 1];
    const { power } = device ?? facts.host;
    const known = kinds[index]!;
    const sum = Object.values(known).reduce((total, bytes) => total + bytes, 0);
    return {
      name: names[index]!,
      kind: device?.kind ?? "host",
      description: device?.description ?? facts.host.description,
      totalBytes: device?.totalBytes ?? facts.host.totalBytes,
      freeBytes: device?.freeBytes ?? facts.host.availableBytes,
      budgetBytes: device ? (budgets.devices[device.name] ?? 0) : budgets.host,
      plannedBytes: totalBytes(memory),
      breakdown: { weights, kv, compute, runtime },
      // Padding, and tensors that llama.cpp keeps twice.
      weights: { ...known, other: known.other + weights - sum },
      ...(device?.unified && { sharesRam: true as const }),
      ...(power && { power }),
    };
  });
}

function weightKinds(layout: ModelLayout, placement: Placement, places: number): WeightKinds[] {
  const kinds = Array.from({ length: places }, () => ({
    ...{ attention: 0, feedForward: 0, experts: 0, output: 0, embedding: 0, other: 0 },
  }));
  for (const part of layout.input) kinds[0]![part.kind] += part.bytes;
  for (const [layer, { parts }] of placement.layers.entries()) {
    for (const [index, place] of parts.entries()) {
      const part = layout.layers[layer]![index]!;
      if (place === host && part.isTied) continue;
      kinds[place + 1]![part.kind] += part.bytes;
    }
  }
  return kinds;
}

function placementOf(layout: ModelLayout, placement: Placement, names: string[]): PlacedTensor[] {
  const on = new Map<number, number>();
  for (const [layer, { parts }] of placement.layers.entries()) {
    for (const [index, place] of parts.entries()) {
      const part = layout.layers[layer]![index]!;
      if (!part.isTied) on.set(part.index, place);
    }
  }
  return layout.source.tensors.map(({ name, bytes }, index) => ({
    tensor: name,
    bytes,
    on: names[(on.get(index) ?? host) + 1]!,
  }));
}

function settingsOf({ solved, request }: Description, names: string[]): PlannedSettings {
  const { placement, plan } = solved.fitted;
  const layers = placement.layers.slice(0, request.layout.outputLayer);
  return {
    contextLength: plan.contextLength,
    sequences: plan.sequences,
    microBatch: plan.microBatch,
    kvTypeK: plan.kvTypeK,
    kvTypeV: plan.kvTypeV,
    kvOn: layers.map(({ on }) => names[on + 1]!),
    flashAttention: plan.flashAttention,
    loadMode: plan.loadMode,
    threads: plan.threads,
    threadsBatch: plan.threadsBatch,
  };
}

/** What was given up so that it fits, and what was asked for and is unwise. */
function warningsOf({ solved, request }: Description): string[] {
  const { plan } = solved.fitted;
  const { wanted } = solved;
  const trained = request.layout.source.outline.contextLength;
  const notes: string[] = [];
  if (trained !== undefined && plan.contextLength > trained)
    notes.push(
      texts.beyondTrained({ tokens: formatWhole(plan.contextLength), trained: formatWhole(trained) }),
    );
  if (plan.contextLength < wanted.contextLength)
    notes.push(
      texts.context({ tokens: formatWhole(plan.contextLength), wanted: formatWhole(wanted.contextLength) }),
    );
  if (plan.microBatch < wanted.microBatch) notes.push(texts.microBatch({ tokens: plan.microBatch }));
  if (plan.kvTypeK !== wanted.kvTypeK && (request.objective !== "batch" || plan.embeddings))
    notes.push(texts.kvType({ type: plan.kvTypeK }));
  return notes;
}

/** Why settings are not what one would expect. */
function notesOf({ solved, request }: Description): string[] {
  const { fitted } = solved;
  const { facts, usable, budgets } = request.machine;
  const { plan } = fitted;
  const notes: string[] = [];
  if (request.objective === "batch" && !plan.embeddings) notes.push(...batchNotes(solved, request));
  const unused = usable.filter((index) => !plan.devices?.includes(facts.devices[index]!.name));
  for (const index of unused) {
    const { name: device, runtimeBytes } = facts.devices[index]!;
    const isTooSmall = budgets.devices[index]! <= runtimeBytes;
    const bytes = formatBytes(budgets.devices[index]!);
    notes.push(
      isTooSmall
        ? texts.deviceTooSmall({ device, bytes, needed: formatBytes(runtimeBytes) })
        : texts.deviceUnused({ device }),
    );
  }
  const hasHostLayers = fitted.memory[0]!.weights > 0 && plan.devices?.length;
  if (fitted.models.prefill.cost(fitted.placement).streamedBytes > 0)
    notes.push(isMapped(plan) ? texts.streamedMapped : texts.streamed);
  const left = request.wishes.gpuLayers === undefined ? 0 : bytesInRam(request.layout, fitted.placement);
  if (left > 0) notes.push(texts.layersInRam({ bytes: formatBytes(left) }));
  if (hasHostLayers && fitted.mode === "repacked") notes.push(texts.repacked);
  const unified = facts.devices.filter(({ unified, name }) => unified && plan.devices?.includes(name));
  for (const { name } of unified) notes.push(texts.unified({ device: name }));
  if (facts.origin === "assumed") notes.push(texts.assumed);
  else if (facts.disturbed !== undefined)
    notes.push(texts.disturbed({ percent: Math.round(100 * facts.disturbed) }));
  return notes;
}

/** Bytes of layers on devices that are on the host. */
function bytesInRam({ layers }: ModelLayout, placement: Placement): number {
  return placement.layers.reduce((sum, { on, parts }, layer) => {
    if (on === host) return sum;
    const inRam = layers[layer]!.filter((_, index) => parts[index] === host);
    return inRam.reduce((total, { bytes }) => total + bytes, sum);
  }, 0);
}

/** How a batch is computed, and why so. */
function batchNotes({ fitted, wanted, widthLimit }: Solved, { machine }: SolveRequest): string[] {
  const { plan, models, placement } = fitted;
  const { sequences } = plan;
  const notes = widthLimit
    ? [texts.width[widthLimit.by]({ sequences, next: 0, requests: 0, ...widthLimit })]
    : [];
  if (plan.kvTypeK !== wanted.kvTypeK) notes.push(texts.kvForMore({ type: plan.kvTypeK, sequences }));
  if (plan.kvLayout === "unified" && wanted.kvLayout !== "unified")
    notes.push(texts.sharedCache({ cells: plan.kvCells ?? 0 }));
  const [device] = plan.devices ?? [];
  if (device === undefined || fitted.memory[0]!.weights === 0) return notes;
  const { streamedBytes } = models.decode.cost(placement);
  const name = machine.facts.devices[0]?.name ?? device;
  if (streamedBytes > 0)
    notes.push(texts.decodeStreamed({ device: name, bytes: formatBytes(streamedBytes), sequences }));
  else if (sequences < streamFromRows) notes.push(texts.decodeTooSmall({ sequences, rows: streamFromRows }));
  else notes.push(texts.decodeOnHost({ sequences }));
  return notes;
}
