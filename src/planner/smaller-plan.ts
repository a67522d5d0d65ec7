import type { Engine } from "../engine/engine.js";
import type { BudgetWishes } from "../plan/budget.js";
import { type ModelPlan, rereadsWeights } from "../plan/model-plan.js";
import type { Plan } from "../plan/plan.js";
import { cachedFacts } from "./cached-facts.js";
import { doesNotFit } from "./open-planned.js";
import { planModel } from "./plan-model.js";
import { allocatedOn } from "./proof.js";
import { openModelFile } from "./sources/open.js";

/**
 * The best plan of a loaded model within other budgets, with the settings it has: what its sequences hold must keep its
 * shape. What the model itself takes now counts as free: it is given back before the new plan is carried out.
 * Errors: `plan-does-not-fit`, those of `planModel`.
 */
export async function planWithin(engine: Engine, plan: ModelPlan, budgets: BudgetWishes): Promise<ModelPlan> {
  const source = await openModelFile(engine.plan.modelPath);
  const facts = await cachedFacts(engine.libraries, await engine.devices());
  const uses = await engine.memory();
  const found = await planModel({
    model: source,
    budgets,
    wishes: fixedSettings(engine.plan),
    objective: plan.objective,
    libraries: engine.libraries,
    allowDisk: rereadsWeights(plan),
    facts: {
      ...facts,
      host: { ...facts.host, availableBytes: facts.host.availableBytes + allocatedOn(uses, "host") },
      devices: facts.devices.map((device) => ({
        ...device,
        freeBytes: Math.min(device.totalBytes, device.freeBytes + allocatedOn(uses, device.name)),
      })),
    },
  });
  if (!found.fits) throw doesNotFit(found);
  return found;
}

function fixedSettings(plan: Plan): Partial<Plan> {
  const { gpuLayers, devices, tensorSplit, tensorOverrides, hostMemory, streamWeights, modelPath, ...kept } =
    plan;
  return kept;
}
