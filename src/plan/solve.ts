import { bestThroughput } from "./batch.js";
import { defaultFields } from "./defaults.js";
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

/** Gives up, one after another, what the person did not fix: the size of micro-batches, the context, KV precision. */
async function concede(request: SolveRequest, first: Fitter, start: Solved): Promise<Solved> {
  let last: Fitter | undefined;
  for (const settings of concessions(request, start.wanted)) {
    last = new Fitter(request, settings, first);
    // The formulas with what was measured are near enough to tell what is far from fitting.
    if (!last.mayFit()) continue;
    const fitted = await last.fit();
    if (fits(fitted)) return { fitted, fitter: last, wanted: start.wanted };
  }
  // Nothing fits: what is missing is counted from the least that would be asked for.
  return last ? { fitted: await last.fit(), fitter: last, wanted: last.settings } : start;
}

/** Settings that take less and less memory, the least loss first. */
export function* concessions({ wishes, layout }: SolveRequest, wanted: Plan): Generator<Plan> {
  let settings = wanted;
  const microBatches =
    wishes.microBatch === undefined ? [256, 128, 64].filter((size) => size < wanted.microBatch) : [];
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

/** The longest context that fits: between what surely fits and what surely does not, by halves, then proven. */
async function longestContext(request: SolveRequest, start: Solved): Promise<Solved> {
  const { layout } = request;
  const trained = layout.source.outline.contextLength ?? start.wanted.contextLength;
  const fitterFor = (contextLength: number, from: Fitter) =>
    new Fitter(request, { ...start.wanted, contextLength }, from);
  // What was measured last guides the next guess: compute buffers grow with the context too.
  let reference = start.fitter;
  let [low, high] = [0, Math.floor(trained / cellsMultiple)];
  if (high === 0) return fits(start.fitted) ? start : concede(request, reference, start);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fitterFor(middle * cellsMultiple, reference).fittingEstimate()) low = middle;
    else high = middle - 1;
  }
  let best: Solved | undefined = fits(start.fitted) ? start : undefined;
  for (let attempt = 0; attempt < 6 && low > 0; attempt++) {
    const contextLength = Math.min(trained, low * cellsMultiple);
    const fitter = fitterFor(contextLength, reference);
    const fitted = await fitter.fit();
    if (fits(fitted)) {
      const isLonger = !best || contextLength > best.fitter.settings.contextLength;
      if (isLonger) best = { fitted, fitter, wanted: { ...start.wanted, contextLength: trained } };
      // What was measured here may show room for more.
      const more = low + roomInCells(fitted, contextLength);
      if (more <= low || contextLength >= trained) break;
      low = more;
    } else low = Math.min(low - 1, low - 1 - Math.ceil(overInCells(fitted, contextLength)));
    reference = fitter;
  }
  if (best) return best;
  return concede(request, start.fitter, start);
}

function kvPerUnit(fitted: Fitted, contextLength: number): number {
  const kv = fitted.memory.reduce((sum, place) => sum + place.kv, 0);
  return Math.max(1, (kv / contextLength) * cellsMultiple);
}

function roomInCells(fitted: Fitted, contextLength: number): number {
  const room = fitted.over.reduce((sum, over) => sum + Math.max(0, -over), 0);
  return Math.floor((room * 0.5) / kvPerUnit(fitted, contextLength));
}

function overInCells(fitted: Fitted, contextLength: number): number {
  const over = fitted.over.reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
  return over / kvPerUnit(fitted, contextLength);
}
