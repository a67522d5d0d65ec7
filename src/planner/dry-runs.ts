import { Measurer } from "../engine/engine.js";
import type { LibraryWish } from "../engine/native/libraries.js";
import type { ModelOutline } from "../gguf/outline.js";
import type { HardwareFacts } from "../hardware/facts.js";
import type { Measure } from "../plan/fit.js";
import { computeEstimate, type PlaceMemory } from "../plan/memory.js";
import type { ModelPlan } from "../plan/model-plan.js";
import type { MemoryUse, Plan } from "../plan/plan.js";

/** Dry runs of one model, given as a file that has its header. */
export interface DryRuns extends AsyncDisposable {
  measure: Measure;
  exactness: ModelPlan["exactness"];
}

/**
 * Exact bytes from this machine's own devices, in a host that the caller keeps or one of its own. Where the libraries
 * cannot report them (Windows), formulas stand in, and `exactness` says so.
 */
export function hereMeasure(
  modelPath: string,
  libraries: LibraryWish,
  outline: ModelOutline,
  given?: Pick<Measurer, "measure">,
): DryRuns {
  const own = given ? undefined : new Measurer({ libraries });
  const measurer = given ?? own!;
  const runs: DryRuns = {
    exactness: "measured",
    measure: async (plan, modelled) => {
      const uses = await measurer.measure(asDryRun(plan, modelPath));
      if (uses.length === 0) {
        runs.exactness = "formula";
        return byFormula(plan, modelled, outline);
      }
      return uses;
    },
    [Symbol.asyncDispose]: async () => {
      await own?.[Symbol.asyncDispose]();
    },
  };
  return runs;
}

/** Bytes where no dry run tells them; compute buffers with room for what the estimate may miss. */
function byFormula(
  plan: Plan,
  modelled: readonly (PlaceMemory & { device: string })[],
  outline: ModelOutline,
): MemoryUse[] {
  const computeBytes = Math.ceil(1.5 * computeEstimate(plan, outline));
  return modelled
    .filter(({ weights, kv }) => weights + kv > 0)
    .map(({ device, weights, kv }) => ({
      ...{ device, weightsBytes: weights, kvBytes: kv, computeBytes },
    }));
}

/** A whole graph on a device needs a little more than on the CPU: copies of inputs, coarser alignment. */
const deviceMargin = 1.05;

/**
 * For a machine that is not this one: the KV cache is exact and the compute buffer that of the same graph on a CPU;
 * weights follow from their list. What a device that is not here would really allocate can only be close to that.
 */
export function foreignMeasure(
  modelPath: string,
  facts: HardwareFacts,
  usable: readonly number[],
  given?: Measurer,
): DryRuns {
  const measurer = given ?? new Measurer({ libraries: { backend: "cpu" } });
  const known = new Map<string, Promise<MemoryUse>>();
  const onCpu = (plan: Plan) => {
    const settings: Plan = { ...asDryRun(plan, modelPath), gpuLayers: 0, devices: [], tensorOverrides: [] };
    delete settings.tensorSplit;
    delete settings.hostMemory;
    delete settings.streamWeights;
    const key = JSON.stringify(settings);
    const found = known.get(key) ?? measurer.measure(settings).then((uses) => uses[0]!);
    known.set(key, found);
    return found;
  };
  return {
    exactness: "formula",
    async measure(plan, modelled) {
      const cpu = await onCpu(plan);
      const kvModelled = modelled.reduce((sum, { kv }) => sum + kv, 0);
      return modelled.map(({ weights, kv, device: name }, index) => {
        const device = facts.devices[index - 1];
        const isUsed = index === 0 || (usable.includes(index - 1) && weights + kv > 0);
        return {
          device: name,
          weightsBytes: weights,
          kvBytes: kvModelled === 0 ? 0 : Math.round((kv / kvModelled) * cpu.kvBytes),
          computeBytes: isUsed ? Math.ceil(cpu.computeBytes * (device ? deviceMargin : 1)) : 0,
        };
      });
    },
    [Symbol.asyncDispose]: async () => {
      if (!given) await measurer[Symbol.asyncDispose]();
    },
  };
}

/** Without adapters, which the dry run does not count, and from a file without weights. */
function asDryRun(plan: Plan, modelPath: string): Plan {
  return { ...plan, modelPath, adapters: [], loadMode: "read" };
}
