import { type EnergyEstimate, estimatedEnergy } from "../batch/energy.js";
import { cpuPower } from "../hardware/power.js";
import { batchMessages } from "../messages/batch-view.js";
import { localized } from "../messages/locale.js";
import type { Model } from "../model.js";
import type { ModelPlan } from "../plan/model-plan.js";
import type { EnergyUse } from "../planner/watch.js";
import { formatNumber } from "./plan-format.js";

const { energy: texts } = localized(batchMessages);

/** What a job took so far. */
export interface JobEnergy extends EnergyUse {
  /** All together; undefined where nothing counts. */
  total: number | undefined;
}

export interface EnergyCount {
  /** Asks the engine, which answers between two of its steps. */
  now(): Promise<JobEnergy>;
  /** What was answered last. */
  latest: JobEnergy;
}

/** Counts a model's energy from now on: loading it is no part of the job. */
export async function countEnergy(model: Model): Promise<EnergyCount> {
  const before = await model.energy();
  const now = async () => {
    const { joules, refused } = await model.energy();
    const taken = Object.entries(joules).map(
      ([name, value]) => [name, value - (before.joules[name] ?? 0)] as const,
    );
    count.latest = {
      joules: Object.fromEntries(taken),
      total: taken.length === 0 ? undefined : taken.reduce((sum, [, value]) => sum + value, 0),
      ...(refused !== undefined && { refused }),
    };
    return count.latest;
  };
  const count: EnergyCount = { now, latest: { joules: {}, total: undefined } };
  return count;
}

/** Of two models, one after the other. */
export function energyTogether(first: JobEnergy | undefined, second: JobEnergy): JobEnergy {
  if (first?.total === undefined) return second;
  const joules = { ...first.joules };
  for (const [place, value] of Object.entries(second.joules)) joules[place] = (joules[place] ?? 0) + value;
  return { ...second, joules, total: first.total + (second.total ?? 0) };
}

/** `energy 12.3 kJ (CPU, CUDA0), 45 J per 1,000 tokens written`; tokens that are read count where none are written. */
export function energyLines(
  energy: JobEnergy | undefined,
  tokens: { promptTokens: number; outputTokens: number },
): string[] {
  if (energy?.total === undefined) return [];
  const places = Object.keys(energy.joules).map(processorName).join(", ");
  const taken = texts.taken({ energy: formatEnergy(energy.total), places });
  const count = tokens.outputTokens || tokens.promptTokens;
  if (count === 0) return [taken];
  const per = formatNumber((1000 * energy.total) / count, energy.total < count / 10 ? 1 : 0);
  return [`${taken}, ${tokens.outputTokens > 0 ? texts.written({ per }) : texts.read({ per })}`];
}

/** Why the CPU is not counted, where there is something to be done about it. */
export function refusedLines(energy: JobEnergy | undefined): string[] {
  return energy?.refused === undefined ? [] : [texts.refused({ path: energy.refused })];
}

/** What a plan's processors will take in a time, for `--estimate`. */
export function energyEstimate(
  plan: ModelPlan,
  seconds: number,
): { lines: string[]; estimate?: EnergyEstimate } {
  const { refused } = cpuPower();
  const why = refused === undefined ? [] : [texts.refused({ path: refused })];
  const estimate = estimatedEnergy(plan, seconds);
  if (!estimate) return { lines: why.length > 0 ? why : [texts.unknown] };
  const { joules, drawn, unknown } = estimate;
  const powers = drawn.map(({ place, watts, basis }) =>
    texts.draws({ place: processorName(place), watts: formatNumber(watts), basis: texts.bases[basis] }),
  );
  const facts = {
    energy: formatEnergy(joules),
    wattHours: formatNumber(joules / 3600, joules < 36_000 ? 2 : 0),
    powers: powers.join(", "),
  };
  const isGuess = drawn.some(({ place, basis }) => place === "host" && basis === "limit");
  return {
    estimate,
    lines: [
      texts.estimated(facts),
      ...(unknown.length > 0 ? [texts.without({ places: unknown.map(processorName).join(", ") })] : []),
      ...(isGuess ? why : []),
    ],
  };
}

/** `45 J`, `12.3 kJ`, `1.20 MJ` */
export function formatEnergy(joules: number): string {
  const [size, name] = joules >= 1e6 ? [1e6, "MJ"] : joules >= 1e3 ? [1e3, "kJ"] : [1, "J"];
  const value = joules / size;
  return `${formatNumber(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${name}`;
}

function processorName(place: string): string {
  return place === "host" ? "CPU" : place;
}
