import type { SolveRequest } from "./fit.js";
import { type Plan, simplePlan } from "./plan.js";

/** Tokens of context that a plan tries first, where the person does not say. */
const usualContext = { chat: 8192, batch: 4096, context: 8192 };
/** The same of embeddings, whose micro-batches are as long, each token with an output. */
const usualText = 2048;

/**
 * The settings that a plan tries first: what the person fixed, and else what serves the objective best whatever the
 * memory. Weights are read rather than mapped: a mapped file counts twice where the CPU lays weights out anew, and a
 * device streams faster from pinned memory.
 */
export function defaultFields({ layout, machine, objective, wishes, job }: SolveRequest): Plan {
  const trained = layout.source.outline.contextLength ?? 4096;
  const usual = wishes.embeddings ? usualText : usualContext[objective];
  const contextLength =
    wishes.contextLength === 0 ? trained : (wishes.contextLength ?? Math.min(trained, job?.longest ?? usual));
  const given = Object.fromEntries(Object.entries(wishes).filter(([, value]) => value !== undefined));
  return simplePlan({
    threads: machine.facts.host.threads,
    loadMode: "read",
    // Devices compute with the fused kernel wherever they can.
    flashAttention: "auto",
    ...given,
    contextLength,
    modelPath: layout.source.path ?? "",
  });
}
