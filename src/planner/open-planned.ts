import { basename } from "node:path";
import { Engine, type EngineOptions, Measurer } from "../engine/engine.js";
import { JaugeError } from "../errors.js";
import type { HardwareFacts } from "../hardware/facts.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import type { ModelPlan } from "../plan/model-plan.js";
import { cachedFacts } from "./cached-facts.js";
import { type PlanRequest, planModel } from "./plan-model.js";
import { type Excess, excesses, warmUp } from "./proof.js";

const texts = localized(planViewMessages);

/** A model that runs, and the plan it was proven to keep. */
export interface Planned {
  engine: Engine;
  plan: ModelPlan;
}

export type PlannedRequest = Omit<PlanRequest, "facts" | "hardware" | "libraries" | "mix">;

/** Times a load is undone and planned again with what was really taken. */
const mostAttempts = 3;

/**
 * Plans a model, loads it and holds what was really allocated against the budgets, on each device and in RAM. Over by a
 * single byte, the load is undone and planned again with the measured overhead.
 * Errors: `plan-does-not-fit` before anything is loaded, `plan-exceeded` where no plan is kept; those of `planModel` and
 * `Engine.open`.
 */
export async function openPlanned(request: PlannedRequest, options: EngineOptions): Promise<Planned> {
  let learned: HardwareFacts | undefined;
  let last: Excess | undefined;
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    await using measurer = new Measurer(options);
    const libraries = options.libraries ?? {};
    const current = await cachedFacts(libraries, await measurer.devices());
    const facts: HardwareFacts = learned ? withRuntimeOf(current, learned) : current;
    const plan = await planModel({ ...request, libraries, facts, measurer });
    if (!plan.fits) throw doesNotFit(plan);
    const held = await openHeld(plan, options, measurer);
    if (held.engine) return { engine: held.engine, plan };
    last = held.found[0]!;
    learned = withExcess(facts, held.found);
  }
  throw exceeded(last!);
}

/**
 * Carries out a plan that was made before. Its budgets hold: over by a byte, the load is undone.
 * Errors: `plan-exceeded`, those of `Engine.open`.
 */
export async function openAsPlanned(plan: ModelPlan, options: EngineOptions): Promise<Planned> {
  const { engine, found } = await openHeld(plan, options);
  if (!engine) throw exceeded(found[0]!);
  return { engine, plan };
}

/** Opens an engine and holds it to its budgets: it is there where it keeps them, else it is closed again. */
async function openHeld(
  plan: ModelPlan,
  options: EngineOptions,
  measurer?: Measurer,
): Promise<{ engine?: Engine; found: Excess[] }> {
  const engine = await Engine.open(plan.engine, options, measurer);
  try {
    await warmUp(engine, plan);
    const found = await excesses(engine, plan);
    if (found.length === 0) return { engine, found };
    await engine.close();
    return { found };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function exceeded({ device, usedBytes, budgetBytes, plannedBytes }: Excess): JaugeError<"plan-exceeded"> {
  return new JaugeError("plan-exceeded", { device, usedBytes, budgetBytes, plannedBytes });
}

/** The error of a plan that fits nowhere, with the ways that would. */
export function doesNotFit(plan: ModelPlan): JaugeError<"plan-does-not-fit"> {
  return new JaugeError("plan-does-not-fit", {
    model: basename(plan.model.source),
    shortfalls: plan.shortfalls.map(({ device, missingBytes, neededBytes, budgetBytes }) => ({
      ...{ device, missingBytes, neededBytes, budgetBytes },
    })),
    alternatives: plan.alternatives.map(({ text, flags }) =>
      flags ? texts.withFlags({ text, flags }) : text,
    ),
  });
}

/** What was taken beyond the plan belongs to the runtime from now on. */
function withExcess(facts: HardwareFacts, found: readonly Excess[]): HardwareFacts {
  const more = (name: string) => found.find(({ device }) => device === name)?.beyondPlanBytes ?? 0;
  return {
    ...facts,
    host: { ...facts.host, runtimeBytes: facts.host.runtimeBytes + more("host") },
    devices: facts.devices.map((device) => ({
      ...device,
      runtimeBytes: device.runtimeBytes + more(device.name),
    })),
  };
}

/** Facts read afresh, with the runtime's bytes as learned. */
function withRuntimeOf(fresh: HardwareFacts, learned: HardwareFacts): HardwareFacts {
  const runtimeOf = (name: string) => learned.devices.find((device) => device.name === name)?.runtimeBytes;
  return {
    ...fresh,
    host: { ...fresh.host, runtimeBytes: learned.host.runtimeBytes },
    devices: fresh.devices.map((device) => ({
      ...device,
      runtimeBytes: runtimeOf(device.name) ?? device.runtimeBytes,
    })),
  };
}
