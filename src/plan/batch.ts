import {
  type Fitted,
  Fitter,
  fits,
  type Machine,
  nearlyFits,
  type Solved,
  type SolveRequest,
  type WidthLimit,
} from "./fit.js";
import { canQuantiseKv, cellsMultiple } from "./memory.js";
import { areDevicesCrowded, largerMicroBatches, smallerMicroBatches, worthMore } from "./micro-batches.js";
import type { Plan } from "./plan.js";
import { predict } from "./predict.js";

/**
 * Numbers of sequences that are tried: powers of two, and what lies half way between the larger ones. A job of fewer
 * requests than the last runs them all at once where that is faster.
 */
const usualCounts = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256];
/** What another KV cache must gain: it is coarser, or reads masked cells. */
const worthOtherCache = 1.1;

/** Plans that are measured at most, of those that fit. */
const mostProofs = 3;

interface Candidate {
  fitter: Fitter;
  estimate: Fitted;
  /** Tokens of prompts and answers per second; 0 where it is far from fitting. */
  throughput: number;
}

/**
 * The settings that take a job through in the least time: how many sequences run at once, in what kind of KV cache, and
 * the size of micro-batches, as far as the person left them open. Weights are read once for all sequences, so that more
 * of them are faster until arithmetic, the KV cache or the memory ends it.
 */
export async function bestThroughput(request: SolveRequest, start: Solved): Promise<Solved> {
  const { wishes, job } = request;
  const candidate = (settings: Plan) => candidateOf(request, settings, start.fitter);
  const possible = countsFor(job?.requests);
  const counts = wishes.sequences === undefined ? possible : [wishes.sequences];
  const plain = counts.map((sequences) => candidate({ ...start.wanted, sequences }));
  const best = Math.max(...plain.map(({ throughput }) => throughput));
  // Other caches are for the sequences that found no room in the usual one.
  const crowded = counts.filter((_, index) => plain[index]!.throughput === 0);
  const others = crowded
    .flatMap((sequences) => [...otherCaches(request, { ...start.wanted, sequences })])
    .map(candidate)
    .filter(({ throughput }) => throughput >= worthOtherCache * best);
  /** What seemed to fit, and does not. */
  const refused = new Set<number>();
  const proven = await bestProven(request, [...plain, ...others], refused);
  if (!proven) return start;
  const { fitted, fitter } = await otherMicroBatch(request, proven, counts);
  const solved = { fitted, fitter, wanted: start.wanted };
  if (wishes.sequences !== undefined) return solved;
  const hasRoom = (sequences: number) =>
    !refused.has(sequences) &&
    plain.some((one) => one.fitter.settings.sequences === sequences && one.throughput > 0);
  return { ...solved, widthLimit: widthLimit(fitter.settings.sequences, possible, hasRoom) };
}

/** A plan that was measured, and its tokens per second. */
interface Proven {
  fitted: Fitted;
  fitter: Fitter;
  throughput: number;
}

/**
 * The best of these by what was measured: what the formulas promise may find no room. Those that do not fit are
 * added to `refused`.
 */
async function bestProven(
  request: SolveRequest,
  candidates: Candidate[],
  refused: Set<number>,
  start?: Proven,
): Promise<Proven | undefined> {
  let best = start;
  let proofs = 0;
  for (const { fitter, throughput: promised } of inOrder(candidates)) {
    if (proofs >= mostProofs) break;
    if (best && promised < worthMore * best.throughput) continue;
    const fitted = await fitter.fit();
    if (!fits(fitted)) {
      refused.add(fitter.settings.sequences);
      continue;
    }
    proofs++;
    const throughput = throughputOf(fitted, request.machine);
    if (!best || throughput >= worthMore * best.throughput) best = { fitted, fitter, throughput };
  }
  return best;
}

/** Numbers of sequences for a job of so many requests; more than there are would stay empty. */
function countsFor(requests: number | undefined): readonly number[] {
  if (requests === undefined || requests >= usualCounts.at(-1)!) return usualCounts;
  return [...usualCounts.filter((count) => count < requests), Math.max(1, requests)];
}

function widthLimit(
  sequences: number,
  possible: readonly number[],
  hasRoom: (sequences: number) => boolean,
): WidthLimit {
  const next = possible.find((count) => count > sequences);
  if (next === undefined)
    return sequences === usualCounts.at(-1) ? { by: "most" } : { by: "requests", requests: sequences };
  return { by: hasRoom(next) ? "speed" : "memory", next };
}

/** Best first; of those that are as good as the best, the fewest sequences, and the exact cache. */
function inOrder(candidates: Candidate[]): Candidate[] {
  const possible = candidates.filter(({ throughput }) => throughput > 0);
  const most = Math.max(...possible.map(({ throughput }) => throughput));
  const isBest = ({ throughput }: Candidate) => throughput * worthMore >= most;
  const rest = possible.filter((one) => !isBest(one)).sort((a, b) => b.throughput - a.throughput);
  const best = possible
    .filter(isBest)
    .sort((a, b) => a.fitter.settings.sequences - b.fitter.settings.sequences);
  return [...best, ...rest];
}

/**
 * Caches that hold more sequences in the same memory: of eight bits; or shared by all, with room for what requests
 * need on the average. An answer that finds the shared cache full waits and goes on later.
 */
function* otherCaches({ wishes, layout, job }: SolveRequest, settings: Plan): Generator<Plan> {
  const isTypeFree = wishes.kvTypeK === undefined && wishes.kvTypeV === undefined;
  const canQuantise = isTypeFree && settings.flashAttention !== "off" && canQuantiseKv(layout.source.outline);
  const small: Partial<Plan> = { kvTypeK: "q8_0", kvTypeV: "q8_0" };
  if (canQuantise) yield { ...settings, ...small };
  const isLayoutFree = wishes.kvLayout === undefined && wishes.kvCells === undefined;
  // A recurrent state has no cells to share.
  const isRecurrent = layout.source.outline.kvHeads.some((heads) => heads === 0);
  if (!job || !isLayoutFree || isRecurrent) return;
  const usual = job.promptTokens + job.answerTokens;
  const cells = Math.max(settings.contextLength, 1.15 * usual * settings.sequences);
  const kvCells = Math.ceil(cells / cellsMultiple) * cellsMultiple;
  if (kvCells > 0.7 * settings.contextLength * settings.sequences) return;
  yield { ...settings, kvLayout: "unified", kvCells };
  if (canQuantise) yield { ...settings, ...small, kvLayout: "unified", kvCells };
}

/**
 * With streamed weights, micro-batches as large as pay: each carries the weights over the link once. On devices that are
 * crowded by compute buffers, smaller ones, with any of these numbers of sequences.
 */
async function otherMicroBatch(
  request: SolveRequest,
  proven: Proven,
  counts: readonly number[],
): Promise<Proven> {
  const { fitter, fitted } = proven;
  if (request.wishes.microBatch !== undefined) return proven;
  const candidate = (microBatch: number, sequences: number) =>
    candidateOf(request, { ...fitter.settings, microBatch, sequences }, fitter);
  let best = proven;
  if (areDevicesCrowded(request, fitted)) {
    const smaller = smallerMicroBatches.flatMap((size) => counts.map((count) => candidate(size, count)));
    best = (await bestProven(request, smaller, new Set(), best))!;
  }
  if (fitted.mode !== "streamed") return best;
  const { sequences } = fitter.settings;
  for (const microBatch of largerMicroBatches) {
    const larger = [candidate(microBatch, sequences)];
    best = (await bestProven(request, larger, new Set(), best))!;
  }
  return best;
}

function candidateOf(request: SolveRequest, settings: Plan, from: Fitter): Candidate {
  const fitter = new Fitter(request, settings, from);
  const estimate = fitter.estimate();
  const throughput = nearlyFits(estimate) ? throughputOf(estimate, request.machine) : 0;
  return { fitter, estimate, throughput };
}

/** Tokens per second over the whole of a job, prompts and answers together. */
export function throughputOf({ models, placement }: Fitted, { facts }: Machine): number {
  const { prefillTokensPerSecond, decodeTokensPerSecond } = predict(models, placement, facts);
  const { promptTokens, answerTokens } = models;
  return (
    (promptTokens + answerTokens) /
    (promptTokens / prefillTokensPerSecond + answerTokens / decodeTokensPerSecond)
  );
}
