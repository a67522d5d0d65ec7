import { excessOf, type Fitted, type SolveRequest } from "./fit.js";
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

/** What is read from the disk again and again, in bytes: of the weights, and for each step. */
export interface DiskReads {
  weights: number;
  perStep: number;
}

/**
 * What RAM has no room for is evicted before it is needed again, so each step reads it anew. Of experts, only those used are
 * read; what lies between mapped weights is of no use there, and is dropped first.
 */
export function diskReads({ memory, placement }: Fitted, { layout, machine }: SolveRequest): DiskReads {
  const { budgets, facts } = machine;
  const { outline } = layout.source;
  const [over] = excessOf(memory, [budgets.host, ...budgets.devices], facts);
  const alignments = facts.devices.map(({ alignmentBytes }) => alignmentBytes);
  const [used] = weightBytes(layout, placement, alignments);
  const unused = Math.max(0, memory[0]!.weights - used!);
  const weights = Math.max(0, over! - unused);
  const experts = outline.bytes.experts.reduce((sum, bytes) => sum + bytes, 0);
  const readShare = outline.experts && outline.expertsUsed ? outline.expertsUsed / outline.experts : 1;
  const expertShare = used === 0 ? 0 : Math.min(1, experts / used!);
  return { weights, perStep: weights * (1 - expertShare + expertShare * readShare) };
}
