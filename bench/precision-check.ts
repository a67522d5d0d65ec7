import type { Measurer } from "../src/engine/engine.js";
import type { ModelPlan, PlannedDevice } from "../src/plan/model-plan.js";
import type { MemoryUse, Plan } from "../src/plan/plan.js";
import type { ModelSource } from "../src/plan/source.js";

/** A place where plan and engine differ, or where a budget does not hold. */
export interface Finding {
  device: string;
  what: string;
  planned: number;
  found: number;
}

/** Where what the engine allocated is not what was planned, per device and kind. */
export function unequal(plan: ModelPlan, uses: readonly MemoryUse[]): Finding[] {
  return placesOf(plan).flatMap(({ name, breakdown }) => {
    const use = uses.find(({ device }) => device === name);
    const found = {
      weights: use?.weightsBytes ?? 0,
      kv: use?.kvBytes ?? 0,
      compute: use?.computeBytes ?? 0,
    };
    return (["weights", "kv", "compute"] as const)
      .filter((kind) => breakdown[kind] !== found[kind])
      .map((kind) => ({ device: name, what: kind, planned: breakdown[kind], found: found[kind] }));
  });
}

/** Where the plan, or what was allocated and the runtime beside it, is over the budget. */
export function overBudget(plan: ModelPlan, uses: readonly MemoryUse[]): Finding[] {
  return placesOf(plan).flatMap(({ name, plannedBytes, budgetBytes, breakdown }) => {
    const use = uses.find(({ device }) => device === name);
    const allocated = use ? use.weightsBytes + use.kvBytes + use.computeBytes : 0;
    const used = allocated === 0 ? 0 : allocated + breakdown.runtime;
    const found: Finding[] = [];
    if (plannedBytes > budgetBytes)
      found.push({ device: name, what: "planned", planned: plannedBytes, found: budgetBytes });
    if (used > budgetBytes)
      found.push({ device: name, what: "allocated", planned: plannedBytes, found: used });
    return found;
  });
}

function placesOf({ host, devices }: ModelPlan): PlannedDevice[] {
  return [host, ...devices];
}

/** How a device's budget was used. */
export interface Filling {
  /** All of the model that can be on a device is there. */
  isWhole: boolean;
  share: number;
  leftBytes: number;
  /** Matrices outside that are no bigger than what is left, smallest first. */
  smaller: string[];
  /** The first of these that a dry run shows to fit the budgets, with what it brings along. */
  fitting?: string;
  /** The same without what would draw the KV cache or state of a layer over that has it on the host. */
  fittingFreely?: string;
}

/**
 * What of the first device's budget is used and, below 99 %, whether a matrix that is still outside would fit. Not
 * counted as outside are token embeddings, which are looked up row by row on the host, and vectors (norms, biases),
 * which go where their matrices are.
 */
export async function fillingOf(plan: ModelPlan, source: ModelSource, measurer: Measurer): Promise<Filling> {
  const device = plan.devices[0]!;
  const leftBytes = device.budgetBytes - device.plannedBytes;
  const share = device.budgetBytes === 0 ? 1 : device.plannedBytes / device.budgetBytes;
  const matrices = source.tensors.filter(
    ({ name, shape }) => name.endsWith(".weight") && shape.filter((length) => length > 1).length > 1,
  );
  const on = new Map(plan.placement.map((placed) => [placed.tensor, placed.on]));
  const outside = matrices
    .filter(({ name }) => on.get(name) === "host" && !/^(token_embd|position_embd|token_types)/.test(name))
    .sort((a, b) => a.bytes - b.bytes);
  const isKvOutside = plan.settings.kvOn.includes("host") && plan.host.breakdown.kv > 0;
  const isWhole = outside.length === 0 && !isKvOutside;
  const smaller = outside.filter(({ bytes }) => bytes <= leftBytes).map(({ name }) => name);
  const filling = { isWhole, share, leftBytes, smaller };
  if (isWhole || share >= 0.99) return filling;
  const fitting = await firstFitting(plan, smaller, measurer);
  const free = smaller.filter((name) => !drawsCache(plan, name));
  const fittingFreely = fitting && (await firstFitting(plan, free, measurer));
  return { ...filling, ...(fitting && { fitting }), ...(fittingFreely && { fittingFreely }) };
}

/**
 * ggml computes an operation without weights where its neighbours' weights are: the projection behind attention takes
 * attention to the device, the convolution of a recurrent layer what is read of its state, and the cache is copied for
 * every token.
 */
function drawsCache(plan: ModelPlan, name: string): boolean {
  const layer = /^blk\.(\d+)\.(attn_output|ssm_conv1d)/.exec(name)?.[1];
  return layer !== undefined && plan.settings.kvOn[Number(layer)] === "host";
}

/** Of each kind of matrix the first and the last one are tried: others of the kind differ in nothing but the layer. */
async function firstFitting(
  plan: ModelPlan,
  names: readonly string[],
  measurer: Measurer,
): Promise<string | undefined> {
  const device = plan.devices[0]!;
  const kinds = new Map<string, string[]>();
  for (const name of names) {
    const kind = name.replace(/^blk\.\d+\./, "");
    kinds.set(kind, [...(kinds.get(kind) ?? []), name]);
  }
  for (const ofKind of kinds.values()) {
    for (const name of new Set([ofKind[0]!, ofKind.at(-1)!])) {
      const uses = await measurer.measure(withTensor(plan.engine, name, device.name)).catch(() => []);
      const use = uses.find((one) => one.device === device.name);
      if (!use) continue;
      const bytes = use.weightsBytes + use.kvBytes + use.computeBytes;
      // A device that the plan leaves empty has its runtime to carry as well.
      const runtime = device.breakdown.runtime || runtimeOfEmpty;
      if (bytes + runtime <= device.budgetBytes) return name;
    }
  }
  return undefined;
}

const runtimeOfEmpty = 3 * 2 ** 20;

function withTensor(plan: Plan, name: string, device: string): Plan {
  const pattern = `^${name.replaceAll(".", "\\.")}$`;
  return {
    ...plan,
    devices: plan.devices?.includes(device) ? plan.devices : [device],
    tensorOverrides: [{ pattern, placement: device }, ...plan.tensorOverrides],
  };
}
