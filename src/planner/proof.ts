import type { Engine } from "../engine/engine.js";
import { residentBytes } from "../hardware/resident.js";
import { type ModelPlan, type PlannedDevice, rereadsWeights } from "../plan/model-plan.js";
import type { MemoryUse } from "../plan/plan.js";

/** A place where more is used than was allowed. */
export interface Excess {
  device: string;
  plannedBytes: number;
  usedBytes: number;
  budgetBytes: number;
  /** More than the plan said: what the next plan must add to the runtime's share. */
  beyondPlanBytes: number;
}

/**
 * Computes one micro-batch and forgets it, where a device has its own reading: memory pools and libraries that
 * allocate at the first big batch are part of what is judged.
 */
export async function warmUp(engine: Engine, plan: ModelPlan): Promise<void> {
  if (!plan.engine.devices?.length || !(await hasReading(engine))) return;
  const { bos } = engine.info.model.tokens;
  const length = Math.min(plan.engine.microBatch, engine.info.context.length - 1);
  const tokens = new Int32Array(length).fill(Math.max(0, bos));
  await engine.step({
    memory: [],
    freeSamplers: [],
    runs: [{ sequence: 0, position: 0, tokens, outputs: 1, mode: "verify" }],
  });
  await engine.step({ memory: [{ kind: "clear" }], freeSamplers: [], runs: [] });
}

/**
 * Where a loaded model uses more than its budgets: by the engine's report, by the device's own reading of the host
 * process where there is one, and in RAM by what the system says is resident.
 */
export async function excesses(engine: Engine, plan: ModelPlan): Promise<Excess[]> {
  const uses = await engine.memory();
  const readings = await deviceReadings(engine);
  const found: Excess[] = [];
  for (const device of plan.devices) {
    const allocated = allocatedOn(uses, device.name);
    if (allocated === 0) continue;
    const reported = allocated + device.breakdown.runtime;
    found.push(...excess(device, Math.max(reported, readings.get(device.name) ?? 0)));
  }
  // Weights that are read from the disk again are in RAM as far as there is room.
  const reread = rereadsWeights(plan) ? plan.host.breakdown.weights : 0;
  const host = { ...plan.host, plannedBytes: plan.host.plannedBytes - reread };
  const unified = plan.devices.filter(({ name }) => isUnified(engine, name));
  // What is on a unified device is in RAM, and was planned so.
  const reported = [host, ...unified].reduce((sum, { name, breakdown }) => {
    const allocated = allocatedOn(uses, name);
    return allocated === 0 ? sum : sum + allocated + breakdown.runtime;
  }, -reread);
  const plannedBytes = [host, ...unified].reduce((sum, place) => sum + place.plannedBytes, 0);
  found.push(...excess({ ...host, plannedBytes }, Math.max(reported, residentOnHost(engine, plan))));
  return found;
}

function isUnified(engine: Engine, name: string): boolean {
  return engine.info.devices.some((device) => device.name === name && device.unified);
}

function excess(place: PlannedDevice, usedBytes: number): Excess[] {
  const { name: device, plannedBytes, budgetBytes } = place;
  if (usedBytes <= budgetBytes) return [];
  return [{ device, plannedBytes, usedBytes, budgetBytes, beyondPlanBytes: usedBytes - plannedBytes }];
}

/** Bytes of one place as the engine reports them. */
export function allocatedOn(uses: readonly MemoryUse[], device: string): number {
  const use = uses.find((one) => one.device === device);
  return use ? use.weightsBytes + use.kvBytes + use.computeBytes : 0;
}

/**
 * RAM that the engine's process holds now, without pages of a mapped model, which the system drops when it needs them; 0
 * where the system does not tell. This process is not the engine's to measure: it may be anyone's program.
 */
function residentOnHost(engine: Engine, plan: ModelPlan): number {
  if (engine.processId === undefined) return 0;
  return residentBytes(engine.processId, { mappedFiles: plan.engine.loadMode === "mlock" })?.now ?? 0;
}

async function hasReading(engine: Engine): Promise<boolean> {
  return (await deviceReadings(engine)).size > 0;
}

/** Bytes of the host process on each device, as its driver tells them. */
async function deviceReadings(engine: Engine): Promise<Map<string, number>> {
  const readings = new Map<string, number>();
  if (!engine.plan.devices?.length) return readings;
  for (const { name, ownBytes } of await engine.devices()) if (ownBytes) readings.set(name, ownBytes);
  return readings;
}
