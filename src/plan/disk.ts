import type { Fitted, SolveRequest } from "./fit.js";
import type { ModelLayout } from "./layout.js";
import { weightBytes } from "./memory.js";
import type { Plan } from "./plan.js";

/**
 * The same request, where weights on the host may be more than its budget: they are pages of the file, which the system
 * drops and reads again. KV cache, compute buffers and the runtime cannot be. None where the person fixed what
 * excludes it: a way of loading that does not map, or weights laid out anew.
 */
export function readingDisk(request: SolveRequest): SolveRequest | undefined {
  const { wishes, machine } = request;
  const { hostMemory, loadMode = "mmap" } = wishes;
  const excluded = hostMemory === "repacked" || (loadMode !== "mmap" && loadMode !== "auto");
  if (excluded) return undefined;
  const modes = machine.fixed.modes.filter((mode) => mode !== "repacked");
  return {
    ...request,
    wishes: { ...wishes, ...mapped },
    machine: {
      ...machine,
      rereadsWeights: true,
      fixed: { ...machine.fixed, modes: modes.length > 0 ? modes : ["pinned"] },
    },
  };
}

/** What makes weights on the host pages of the file that can be dropped. */
export const mapped = { loadMode: "mmap", hostMemory: "mapped" } as const satisfies Partial<Plan>;

/** Bytes of weights that RAM has no room for, where all that is planned there is `over` its budget by so many. */
export function rereadBytes(over: number, fitted: Fitted, layout: ModelLayout): number {
  // What lies between mapped weights is of no use there: it is dropped first.
  const unused = fitted.memory[0]!.weights - hostWeights(fitted, layout);
  return Math.max(0, over - Math.max(0, unused));
}

function hostWeights({ placement, memory }: Fitted, layout: ModelLayout): number {
  const onDevices = memory.slice(1);
  return weightBytes(
    layout,
    placement,
    onDevices.map(() => 1),
  )[0]!;
}

/**
 * Bytes read from the disk for each step where RAM has no room for so many bytes of weights: what does not fit is
 * evicted before it is needed again, so each step reads it anew. Of experts, only those used are read.
 */
export function diskBytesPerToken(reread: number, fitted: Fitted, layout: ModelLayout): number {
  const { outline } = layout.source;
  const weights = hostWeights(fitted, layout);
  const experts = outline.bytes.experts.reduce((sum, bytes) => sum + bytes, 0);
  const used = outline.experts && outline.expertsUsed ? outline.expertsUsed / outline.experts : 1;
  const expertShare = weights === 0 ? 0 : Math.min(1, experts / weights);
  return reread * (1 - expertShare + expertShare * used);
}
