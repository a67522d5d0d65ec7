import { bestThroughput } from "./batch.js";
import { defaultFields } from "./defaults.js";
import { mapped } from "./disk.js";
import { type Fitted, Fitter, fits, nearlyFits, type Solved, type SolveRequest } from "./fit.js";
import { canQuantiseKv, cellsMultiple } from "./memory.js";
import { areDevicesCrowded, smallerMicroBatches, worthMore } from "./micro-batches.js";
import type { Plan } from "./plan.js";

/**
 * Chooses settings and placement. What the person fixed stays; of what is left the first settings that fit win, best
 * first: nothing is given up before it must be. Where nothing fits, the nearest is returned, over its budgets.
 */
export async function solve(request: SolveRequest): Promise<Solved> {
  const wanted = defaultFields(request);
  const first = new Fitter(request, wanted);
  const found = await first.fit();
  if (request.objective === "context" && request.wishes.contextLength === undefined)
    return longestContext(request, { fitted: found, fitter: first, wanted });
  // Embeddings have as many sequences as their micro-batches.
  const isBatch = request.objective === "batch" && !wanted.embeddings;
  if (isBatch && fits(found)) return bestThroughput(request, { fitted: found, fitter: first, wanted });
  if (fits(found)) return withRoomOnDevices(request, { fitted: found, fitter: first, wanted });
  const conceded = await concede(request, first, { fitted: found, fitter: first, wanted });
  const isWidthFree = isBatch && request.wishes.sequences === undefined;
  return isWidthFree ? { ...conceded, widthLimit: { by: "memory", next: 2 } } : conceded;
}

/** Where compute buffers crowd devices: smaller micro-batches, if more weights there make it faster. */
async function withRoomOnDevices(request: SolveRequest, solved: Solved): Promise<Solved> {
  if (!areDevicesCrowded(request, solved.fitted)) return solved;
  let best = solved;
  for (const microBatch of smallerMicroBatches) {
    const fitter = new Fitter(request, { ...solved.wanted, microBatch }, solved.fitter);
    const isFaster = ({ score }: Fitted) => score * worthMore < best.fitted.score;
    const estimate = fitter.estimate();
    if (!nearlyFits(estimate) || !isFaster(estimate)) continue;
    const fitted = await fitter.fit();
    if (fits(fitted) && isFaster(fitted)) best = { ...solved, fitted, fitter };
  }
  return best;
}

/**
 * What `readingDisk` asks for: with all given up that takes memory and the person did not fix, since what is not in RAM is read
 * for every token.
 */
export async function solveReadingDisk(request: SolveRequest, inMemory: Solved): Promise<Solved> {
  const { settings } = inMemory.fitter;
  const fitter = new Fitter(request, { ...settings, ...mapped }, inMemory.fitter);
  return { fitted: await fitter.fit(), fitter, wanted: defaultFields(request) };
}

/** Gives up, one after another, what the person did not fix: the size of micro-batches, the context, KV precision. */
async function concede(request: SolveRequest, first: Fitter, start: Solved): Promise<Solved> {
  let last: Fitter | undefined;
  for (const settings of concessions(request, start.wanted)) {
    last = new Fitter(request, settings, first);
    // The formulas with what was measured are near enough to tell what is far from fitting.
    if (!last.mayFit()) continue;
    const fitted = await last.fit();
    if (fits(fitted))
      return withLargerMicroBatch(request, { fitted, fitter: last, wanted: start.wanted }, first);
  }
  // Nothing fits: what is missing is counted from the least that would be asked for.
  return last ? { fitted: await last.fit(), fitter: last, wanted: last.settings } : start;
}

/** What was given up later may leave room for what was given up first. */
async function withLargerMicroBatch(request: SolveRequest, solved: Solved, first: Fitter): Promise<Solved> {
  const { settings } = solved.fitter;
  const larger = [solved.wanted.microBatch, ...microBatchSteps].filter((size) => size > settings.microBatch);
  for (const microBatch of new Set(larger)) {
    const fitter = new Fitter(request, { ...settings, microBatch }, first);
    if (!fitter.mayFit()) continue;
    const fitted = await fitter.fit();
    if (fits(fitted)) return { ...solved, fitted, fitter };
  }
  return solved;
}

/** Smaller micro-batches that are tried where memory is short, largest first. */
const microBatchSteps = [256, 128, 64];

/** Settings that take less and less memory, the least loss first. */
export function* concessions({ wishes, layout }: SolveRequest, wanted: Plan): Generator<Plan> {
  let settings = wanted;
  const microBatches =
    wishes.microBatch === undefined ? microBatchSteps.filter((size) => size < wanted.microBatch) : [];
  for (const microBatch of microBatches.slice(0, 2)) {
    settings = { ...settings, microBatch };
    yield settings;
  }
  const isContextFree = wishes.contextLength === undefined;
  for (let { contextLength } = wanted; isContextFree && contextLength > 2048; ) {
    contextLength = Math.max(2048, Math.floor(contextLength / 2));
    settings = { ...settings, contextLength };
    yield settings;
  }
  const kvFree =
    wishes.kvTypeK === undefined && wishes.kvTypeV === undefined && wanted.flashAttention !== "off";
  if (kvFree && canQuantiseKv(layout.source.outline)) {
    settings = { ...settings, kvTypeK: "q8_0", kvTypeV: "q8_0" };
    yield settings;
  }
  for (const microBatch of microBatches.slice(2)) yield { ...settings, microBatch };
}

/** Contexts that are tried by dry runs, beyond what the formulas say fits. */
const mostLengths = 12;

/**
 * The longest context that fits, with all given up for it that takes memory; of the settings that reach it, the best. Where the
 * shortest does not fit, the nearest.
 */
async function longestContext(request: SolveRequest, start: Solved): Promise<Solved> {
  const { layout } = request;
  const trained = layout.source.outline.contextLength ?? start.wanted.contextLength;
  const [best, ...others] = settingsBesideContext(request, start.wanted);
  const least = others.at(-1) ?? best!;
  const longest = await longestWith(request, start.fitter, least, trained);
  if (!longest) return concede(request, start.fitter, start);
  const { contextLength } = longest.fitter.settings;
  const wanted = { ...start.wanted, contextLength: trained };
  for (const settings of [best!, ...others.slice(0, -1)]) {
    const fitter = new Fitter(request, { ...settings, contextLength }, start.fitter);
    if (!fitter.mayFit()) continue;
    const fitted = await fitter.fit();
    if (fits(fitted)) return { fitted, fitter, wanted };
  }
  return { ...longest, wanted };
}

/** What can be given up beside the context, less and less memory: see `concessions`. */
function settingsBesideContext(request: SolveRequest, wanted: Plan): Plan[] {
  const { contextLength } = wanted;
  const fixed = { ...request, wishes: { ...request.wishes, contextLength } };
  return [wanted, ...concessions(fixed, wanted)];
}

/**
 * The longest context up to `most` that fits with such settings: what the formulas say, then proven, and corrected by what was
 * measured. Undefined where none does.
 */
export async function longestWith(
  request: SolveRequest,
  start: Fitter,
  settings: Plan,
  most: number,
): Promise<Pick<Solved, "fitted" | "fitter"> | undefined> {
  const lengthOf = (units: number) => Math.min(most, units * cellsMultiple);
  const fitterFor = (units: number, from: Fitter) =>
    new Fitter(request, { ...settings, contextLength: lengthOf(units) }, from);
  // The longest that is known to fit, and the shortest that is not.
  let [fitting, tooLong] = [0, Math.ceil(most / cellsMultiple) + 1];
  let units = 0;
  for (let above = tooLong; units + 1 < above; ) {
    const middle = (units + above) >> 1;
    if (fitterFor(middle, start).fittingEstimate()) units = middle;
    else above = middle;
  }
  let best: Pick<Solved, "fitted" | "fitter"> | undefined;
  let reference = start;
  units = Math.max(1, units);
  for (let attempt = 0; attempt < mostLengths && units > fitting && units < tooLong; attempt++) {
    const fitter = fitterFor(units, reference);
    const fitted = await fitter.fit();
    reference = fitter;
    // What was measured here shows how much longer it may be, or how much shorter it must be.
    const step = Math.abs(unitsOver(fitted, fitter.settings.contextLength));
    if (fits(fitted)) {
      [best, fitting] = [{ fitted, fitter }, units];
      units = Math.min(tooLong - 1, units + Math.max(1, Math.floor(step)));
    } else {
      tooLong = units;
      units = Math.max(fitting + 1, units - Math.max(1, Math.ceil(step)));
    }
  }
  return best;
}

function kvPerUnit(fitted: Fitted, contextLength: number): number {
  const kv = fitted.memory.reduce((sum, place) => sum + place.kv, 0);
  return Math.max(1, (kv / contextLength) * cellsMultiple);
}

/** Units of the context that a plan is over its budgets by, or has room for (negative), as far as its KV cache takes them. */
function unitsOver(fitted: Fitted, contextLength: number): number {
  const bytes = fits(fitted)
    ? fitted.over.reduce((sum, over) => sum + over, 0)
    : fitted.over.reduce((sum, over) => sum + Math.max(0, over), 0);
  return bytes / kvPerUnit(fitted, contextLength);
}
