import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { formatBytes, formatDecimal } from "../units.js";
import { diskBytesPerToken, readingDisk, rereadBytes } from "./disk.js";
import { excessOf, type Fitted, Fitter, fits, type Solved, type SolveRequest } from "./fit.js";
import { layoutOf } from "./layout.js";
import { canQuantiseKv, cellsMultiple, totalBytes } from "./memory.js";
import type { Alternative, Shortfall } from "./model-plan.js";
import type { Plan } from "./plan.js";
import { predict } from "./predict.js";
import { solve } from "./solve.js";
import type { ModelSource } from "./source.js";

const texts = localized(planTexts).alternatives;

/** The same model at another quantisation, best quality first; the source says how large it would be. */
export interface Requantised {
  mix: string;
  source: () => ModelSource;
}

/** What is missing where, in bytes. */
export function shortfallsOf(
  fitted: Fitted,
  names: readonly string[],
  budgets: readonly number[],
): Shortfall[] {
  return fitted.over.flatMap((over, index) => {
    if (over <= 0) return [];
    const budgetBytes = budgets[index]!;
    return [{ device: names[index]!, neededBytes: budgetBytes + over, budgetBytes, missingBytes: over }];
  });
}

/**
 * The nearest ways that would fit, each with its price: single changes first, by the formulas and what was measured.
 * What the person fixed is not proposed to be kept: that is theirs to decide.
 */
export async function alternativesOf(
  request: SolveRequest,
  { fitter, fitted, wanted }: Solved,
  requantised: readonly Requantised[],
): Promise<Alternative[]> {
  const { layout, machine } = request;
  const needed = (one: Fitted) => one.memory.reduce((sum, place) => sum + totalBytes(place), 0);
  const before = needed(fitted);
  const tryWith = (changes: Partial<Plan>, source?: ModelSource): { saves: number } | undefined => {
    const changed = source ? layoutOf(source) : layout;
    const other = new Fitter({ ...request, layout: changed }, { ...wanted, ...changes }, fitter);
    const fitting = other.fittingEstimate();
    return fitting && { saves: before - needed(fitting) };
  };
  const found: Alternative[] = [];

  const shorter = longestThatFits(wanted.contextLength, (contextLength) => tryWith({ contextLength }));
  if (shorter) {
    const { contextLength, saves } = shorter;
    const facts = { tokens: String(contextLength), bytes: formatBytes(saves) };
    found.push({
      kind: "context",
      text: texts.context(facts),
      flags: `-c ${contextLength}`,
      bytesSaved: saves,
    });
  }
  const isLargeKv = wanted.kvTypeK === "f16" && canQuantiseKv(layout.source.outline);
  const smallKv = isLargeKv && tryWith({ kvTypeK: "q8_0", kvTypeV: "q8_0" });
  if (smallKv) {
    const text = texts.kvType({ bytes: formatBytes(smallKv.saves) });
    found.push({ kind: "kv-type", text, flags: "-ctk q8_0 -ctv q8_0", bytesSaved: smallKv.saves });
  }
  const smallBatch = wanted.microBatch > 128 && tryWith({ microBatch: 128 });
  if (smallBatch) {
    const text = texts.microBatch({ tokens: 128, bytes: formatBytes(smallBatch.saves) });
    found.push({ kind: "micro-batch", text, flags: "-ub 128", bytesSaved: smallBatch.saves });
  }
  for (const { mix, source } of requantised) {
    const other = source();
    if (other.outline.bytes.total >= layout.source.outline.bytes.total) continue;
    const result = tryWith({}, other);
    if (!result) continue;
    const facts = { mix, size: formatBytes(other.outline.bytes.total), bytes: formatBytes(result.saves) };
    found.push({ kind: "quantisation", text: texts.quantisation(facts), bytesSaved: result.saves });
    break;
  }
  found.push(...moreMemory(request, fitted));
  // Only what RAM lacks can be read from the disk instead.
  const reading = fitted.over[0]! > 0 && !machine.rereadsWeights && (await disk(request));
  if (reading) found.push(reading);
  return found;
}

/** The longest context below `wanted` that fits, at least 512 tokens. */
function longestThatFits(
  wanted: number,
  tryWith: (contextLength: number) => { saves: number } | undefined,
): { contextLength: number; saves: number } | undefined {
  let [low, high] = [2, Math.floor((wanted - 1) / cellsMultiple)];
  let best: { contextLength: number; saves: number } | undefined;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const result = tryWith(middle * cellsMultiple);
    if (result) {
      best = { contextLength: middle * cellsMultiple, ...result };
      low = middle + 1;
    } else high = middle - 1;
  }
  return best;
}

function moreMemory({ machine }: SolveRequest, fitted: Fitted): Alternative[] {
  const { facts, budgets } = machine;
  return fitted.over.flatMap((over, index): Alternative[] => {
    if (over <= 0) return [];
    const bytes = formatBytes(over);
    if (index > 0)
      return [{ kind: "memory", text: texts.vram({ bytes, device: facts.devices[index - 1]!.name }) }];
    const isFree = facts.host.availableBytes - budgets.host >= over;
    const total = budgets.host + over;
    return isFree
      ? [{ kind: "memory", text: texts.ramBudget({ bytes }), flags: `--ram ${total}` }]
      : [{ kind: "memory", text: texts.ram({ bytes }) }];
  });
}

/** What reading the disk for each token would do, with the plan that `--allow-disk` leads to. */
async function disk(request: SolveRequest): Promise<Alternative | undefined> {
  const other = readingDisk(request);
  if (!other) return undefined;
  const { fitted } = await solve(other);
  if (!fits(fitted)) return undefined;
  const { machine, layout } = request;
  const [over] = excessOf(fitted.memory, [machine.budgets.host], machine.facts);
  const bytes = diskBytesPerToken(rereadBytes(over!, fitted, layout), fitted, layout);
  const { decodeTokensPerSecond } = predict(fitted.models, fitted.placement, machine.facts, bytes);
  const speed = formatDecimal(decodeTokensPerSecond, decodeTokensPerSecond < 1 ? 2 : 1);
  return {
    kind: "disk",
    text: texts.disk({ bytes: formatBytes(bytes), speed }),
    flags: "--allow-disk",
  };
}
