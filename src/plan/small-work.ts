import type { Stage } from "./layout.js";

/** What a layer's graph does at a stage beside its matrices: norms, RoPE, copies into the cache, sums. */
export interface SmallWork {
  /** Operations. */
  nodes: number;
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
    const { nodes, hiddenPasses, feedForwardPasses } = work;
    const passes = 2 * expertsUsed + 3 * (expertsUsed - 1);
    return { nodes: nodes + expertsUsed, hiddenPasses: hiddenPasses + passes, feedForwardPasses };
  }
  return work;
}

const dense: Record<Stage, SmallWork> = {
  attentionNorm: { nodes: 2, hiddenPasses: 4, feedForwardPasses: 0 },
  attentionIn: { nodes: 4, hiddenPasses: 6, feedForwardPasses: 0 },
  attentionOut: { nodes: 1, hiddenPasses: 3, feedForwardPasses: 0 },
  feedForwardNorm: { nodes: 2, hiddenPasses: 4, feedForwardPasses: 0 },
  feedForwardIn: { nodes: 1, hiddenPasses: 0, feedForwardPasses: 3 },
  feedForwardOut: { nodes: 1, hiddenPasses: 2, feedForwardPasses: 0 },
};

/** Softmax, sorting, the weights of the chosen experts: picked, summed, kept from zero, divided by the sum. */
const routingNodes = 6;

/** Attention over the KV cache, between the stages before and after it. */
export const attentionWork: SmallWork = { nodes: 1, hiddenPasses: 3, feedForwardPasses: 0 };

/** Norm and the rows that give logits. */
export const outputWork: SmallWork = { nodes: 3, hiddenPasses: 4, feedForwardPasses: 0 };
