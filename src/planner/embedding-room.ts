import type { Engine } from "../engine/engine.js";
import { JaugeError } from "../errors.js";
import type { ModelOutline } from "../gguf/outline.js";
import { kvCells, unreportedHostBytes } from "../plan/memory.js";
import { type ModelPlan, rereadsWeights } from "../plan/model-plan.js";
import type { Plan } from "../plan/plan.js";
import { hereMeasure } from "./dry-runs.js";

/**
 * Holds a context that is made beside the plan's, for as long as texts are embedded, to what the plan leaves of its budgets: its
 * bytes are those of a dry run. Errors: `embeddings-beyond-budget`, those of the dry run.
 */
export async function checkRoomBeside(
  engine: Engine,
  plan: ModelPlan,
  beside: Plan,
  outline: ModelOutline,
): Promise<void> {
  const runs = hereMeasure(plan.engine.modelPath, engine.libraries, outline, engine);
  const cells = kvCells(beside) / kvCells(plan.engine);
  const places = [plan.host, ...plan.devices];
  const modelled = places.map(({ name: device, breakdown: { weights, kv } }) => ({
    ...{ device, weights, kv: Math.ceil(kv * cells), compute: 0, runtime: 0 },
  }));
  const uses = await runs.measure(beside, modelled);
  const needed = new Map(uses.map(({ device, kvBytes, computeBytes }) => [device, kvBytes + computeBytes]));
  // What is on a unified device is in RAM, too.
  const unified = engine.info.devices.filter((device) => device.unified && device.kind !== "cpu");
  const inRam = ["host", ...unified.map(({ name }) => name)];
  const taken = (names: string[]) => names.reduce((sum, name) => sum + (needed.get(name) ?? 0), 0);
  const planned = places.reduce(
    (sum, place) => (inRam.includes(place.name) ? sum + place.plannedBytes : sum),
    0,
  );
  const room = (place: { name: string; budgetBytes: number; plannedBytes: number }, neededBytes: number) => {
    const roomBytes = Math.max(0, place.budgetBytes - place.plannedBytes);
    const { name: device, budgetBytes } = place;
    if (neededBytes > roomBytes)
      throw new JaugeError("embeddings-beyond-budget", { device, neededBytes, roomBytes, budgetBytes });
  };
  for (const device of plan.devices) room(device, taken([device.name]));
  // RAM holds what it can, and the rest is read from the disk.
  if (rereadsWeights(plan)) return;
  room({ ...plan.host, plannedBytes: planned }, taken(inRam) + unreportedHostBytes(beside, outline));
}
