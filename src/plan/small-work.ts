import type { Stage } from "./layout.js";

/** What a layer's graph does at a stage beside its matrices: norms, RoPE, copies into the cache, sums. */
export interface SmallWork {
  /** Operations, without the following two. */
  nodes: number;
  /** Norms of the hidden state with their weights, and whether queries and keys are turned by their positions (RoPE). */
  norms: number;
  rope: boolean;
  /** Times that the hidden state is read or written in memory, and the state within the feed-forward part. */
  hiddenPasses: number;
  feedForwardPasses: number;
}

/**
 * The small work of a stage, of a layer whose tokens use so many experts each (0 where it has none). Source: the graphs
 * of src/models and `llm_graph_context::build_moe_ffn` in src/llama-graph.cpp, v0.5.0.
 */
export function smallWorkOf(stage: Stage, expertsUsed: number): SmallWork {
  const work = dense[stage];
  if (expertsUsed === 0) return work;
  if (stage === "feedForwardNorm") return { ...work, nodes: work.nodes + routingNodes };
  if (stage === "feedForwardOut") {
    // What each expert gave is weighed, which is one operation, and added up, which is one for each but the first.
    const passes = 2 * expertsUsed + 3 * (expertsUsed - 1);
    return { ...work, nodes: work.nodes + expertsUsed, hiddenPasses: work.hiddenPasses + passes };
  }
  return work;
}

const none: SmallWork = { nodes: 0, norms: 0, rope: false, hiddenPasses: 0, feedForwardPasses: 0 };
const dense: Record<Stage, SmallWork> = {
  attentionNorm: { ...none, norms: 1 },
  attentionIn: { ...none, nodes: 2, rope: true, hiddenPasses: 2 },
  attentionOut: { ...none, nodes: 1, hiddenPasses: 3 },
  feedForwardNorm: { ...none, norms: 1 },
  feedForwardIn: { ...none, nodes: 1, feedForwardPasses: 3 },
  feedForwardOut: { ...none, nodes: 1, hiddenPasses: 2 },
};

/** Softmax, sorting, the weights of the chosen experts: picked, summed, kept from zero, divided by the sum. */
const routingNodes = 6;

/** Attention over the KV cache, between the stages before and after it. */
export const attentionWork: SmallWork = { ...none, nodes: 1, hiddenPasses: 3 };

/** Norm and the rows that give logits. */
export const outputWork: SmallWork = { ...none, nodes: 1, norms: 1 };
