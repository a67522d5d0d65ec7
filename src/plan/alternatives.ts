import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { formatBytes, formatDecimal, formatWhole } from "../units.js";
import { diskReads, readingDisk } from "./disk.js";
import { type Fitted, Fitter, fits, type Solved, type SolveRequest } from "./fit.js";
import { layoutOf } from "./layout.js";
import { canQuantiseKv, totalBytes } from "./memory.js";
import type { Alternative, Shortfall } from "./model-plan.js";
import type { Plan } from "./plan.js";
import { predict } from "./predict.js";
import { longestWith, solveReadingDisk } from "./solve.js";
import type { ModelSource } from "./source.js";

const texts = localized(planTexts).alternatives;

/** A context that is shorter is none to propose, tokens. */
const leastContext = 512;

/** The same model at another quantisation, best quality first; the source says how large it would be. */
export interface Requantised {
  mix: string;
  needsImportanceMatrix: boolean;
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
  solved: Solved,
  requantised: readonly Requantised[],
): Promise<Alternative[]> {
  const { layout, machine } = request;
  const { fitter, fitted, wanted } = solved;
  const needed = (one: Fitted) => one.memory.reduce((sum, place) => sum + totalBytes(place), 0);
  const before = needed(fitted);
  const tryWith = (changes: Partial<Plan>, source?: ModelSource): { saves: number } | undefined => {
    const changed = source ? layoutOf(source) : layout;
    const other = new Fitter({ ...request, layout: changed }, { ...wanted, ...changes }, fitter);
    const fitting = other.fittingEstimate();
    return fitting && { saves: before - needed(fitting) };
  };
  const found: Alternative[] = [];

  const shorter = await longestWith(request, fitter, wanted, wanted.contextLength - 1);
  if (shorter && shorter.fitter.settings.contextLength >= leastContext) {
    const { contextLength } = shorter.fitter.settings;
    const saves = before - needed(shorter.fitted);
    const facts = { tokens: formatWhole(contextLength), bytes: formatBytes(saves) };
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
  for (const { mix, needsImportanceMatrix, source } of requantised) {
    const other = source();
    if (other.outline.bytes.total >= layout.source.outline.bytes.total) continue;
    const result = tryWith({}, other);
    if (!result) continue;
    const size = formatBytes(other.outline.bytes.total);
    const facts = { mix, size, bytes: formatBytes(result.saves), needsImportanceMatrix };
    found.push({ kind: "quantisation", text: texts.quantisation(facts), bytesSaved: result.saves });
    break;
  }
  found.push(...moreMemory(request, fitted));
  // Only what RAM lacks can be read from the disk instead.
  const reading = fitted.over[0]! > 0 && !machine.rereadsWeights && (await disk(request, solved));
  if (reading) found.push(reading);
  return found;
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
async function disk(request: SolveRequest, solved: Solved): Promise<Alternative | undefined> {
  const other = readingDisk(request);
  if (!other) return undefined;
  const { fitted } = await solveReadingDisk(other, solved);
  if (!fits(fitted)) return undefined;
  const { perStep: bytes } = diskReads(fitted, request);
  const { decodeTokensPerSecond } = predict(fitted.models, fitted.placement, request.machine.facts, bytes);
  const speed = formatDecimal(decodeTokensPerSecond, decodeTokensPerSecond < 1 ? 2 : 1);
  // Weights that are not laid out anew take less: that alone may do.
  if (bytes === 0) return { kind: "load-mode", text: texts.mapped({ speed }), flags: "-lm mmap" };
  return {
    kind: "disk",
    text: texts.disk({ bytes: formatBytes(bytes), speed }),
    flags: "--allow-disk",
  };
}
