import { Engine, Measurer } from "../src/engine/engine.js";
import type { HardwareFacts } from "../src/hardware/facts.js";
import type { ModelPlan } from "../src/plan/model-plan.js";
import type { MemoryUse, Plan } from "../src/plan/plan.js";
import type { ModelSource } from "../src/plan/source.js";
import { planModel } from "../src/planner/plan-model.js";
import type { PrecisionCase } from "./precision-case.js";
import { type Filling, type Finding, fillingOf, overBudget, unequal } from "./precision-check.js";
import { retried } from "./retry.js";

/** The facts that plans are made with, by backend. */
export type FactsByBackend = Record<PrecisionCase["backend"], HardwareFacts>;

/** What became of one case. */
export interface Outcome {
  model: string;
  case: PrecisionCase;
  planMs: number;
  dryRuns: number;
  fits: boolean;
  over: Finding[];
  unequal: Finding[];
  /** Compute buffers that grew while computing; absent where nothing was computed. */
  grown?: Finding[];
  filling?: Filling;
  error?: string;
}

/** Plans a case, loads it and compares. */
export async function tried(
  model: string,
  source: ModelSource,
  one: PrecisionCase,
  facts: FactsByBackend,
  computes: boolean,
): Promise<Outcome> {
  try {
    return await retried(() => run(model, source, one, facts, computes));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return {
      ...{ model, case: one, planMs: 0, dryRuns: 0, fits: false, over: [], unequal: [] },
      error: text.slice(0, 500),
    };
  }
}

async function run(
  model: string,
  source: ModelSource,
  one: PrecisionCase,
  facts: FactsByBackend,
  computes: boolean,
): Promise<Outcome> {
  const libraries = { backend: one.backend };
  await using measurer = new CountingMeasurer({ libraries });
  const start = performance.now();
  const plan = await planOf(source, one, facts[one.backend], measurer);
  const planMs = performance.now() - start;
  const { dryRuns } = measurer;
  const planned = { model, case: one, planMs, dryRuns, fits: plan.fits };
  if (!plan.fits) return { ...planned, over: [], unequal: [] };
  const filling = plan.devices.length > 0 ? await fillingOf(plan, source, measurer) : undefined;
  const engine = await Engine.open(plan.engine, { libraries }, measurer);
  try {
    const uses = await engine.memory();
    const found = { over: overBudget(plan, uses), unequal: unequal(plan, uses) };
    const grown = computes ? { grown: await growth(engine, plan, uses) } : {};
    return { ...planned, ...found, ...grown, ...(filling && { filling }) };
  } finally {
    await engine.close();
  }
}

function planOf(
  source: ModelSource,
  { objective, wishes, vramBytes, ramBytes, backend }: PrecisionCase,
  known: HardwareFacts,
  measurer: Measurer,
): Promise<ModelPlan> {
  return planModel({
    model: source,
    budgets: {
      ...(vramBytes !== undefined && { vram: { kind: "bytes", bytes: vramBytes } }),
      ...(ramBytes !== undefined && { ram: { kind: "bytes", bytes: ramBytes } }),
    },
    ...{ wishes, objective, facts: known, libraries: { backend }, measurer },
  });
}

class CountingMeasurer extends Measurer {
  dryRuns = 0;

  override measure(plan: Plan): Promise<MemoryUse[]> {
    this.dryRuns++;
    return super.measure(plan);
  }
}

/**
 * What a small batch adds to the buffers: below 32 rows weights on the host are not streamed, and the host computes
 * what a large batch leaves to the device.
 */
async function growth(engine: Engine, plan: ModelPlan, before: readonly MemoryUse[]): Promise<Finding[]> {
  const { sequences, microBatch, contextLength } = plan.engine;
  const each = Math.max(1, Math.floor(Math.min(31, microBatch, contextLength * sequences) / sequences));
  const runs = Array.from({ length: Math.min(sequences, 31) }, (_, sequence) => ({
    ...{
      sequence,
      position: 0,
      tokens: new Int32Array(each).fill(300),
      outputs: Math.min(each, 9),
      mode: "verify" as const,
    },
  }));
  await engine.step({ memory: [], freeSamplers: [], runs });
  const after = await engine.memory();
  return after.flatMap(({ device, computeBytes }) => {
    const planned = before.find((use) => use.device === device)?.computeBytes ?? 0;
    return computeBytes > planned ? [{ device, what: "grown", planned, found: computeBytes }] : [];
  });
}
