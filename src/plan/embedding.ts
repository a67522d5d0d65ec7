import type { ModelOutline } from "../gguf/outline.js";
import { type Plan, sharedCells, streamFromRows, streamsFrom } from "./plan.js";

type Pooling = NonNullable<Plan["embeddings"]>["pooling"];

/** Sequences of a context that embeds: enough to fill micro-batches with short texts. */
const usualSequences = 16;
/** Tokens that a context beside a text's own takes at once, where no text is longer. */
const usualMicroBatch = 512;
/** Contexts beside the text's own differ in steps of so many tokens, so that most calls need the same. */
const stepOfLengths = 256;
/** What `checkPlan` lets through. */
const mostTokens = 2 ** 16;

/**
 * The settings of a plan that embeds, with what the person fixed: a micro-batch holds a text as long as the context,
 * since pooling needs the whole of it, and short texts share it, one sequence each, in one cache. libllama aborts where its
 * tokens do not divide into the sequences. Other plans stay as they are.
 */
export function withEmbeddings(settings: Plan, fixed: Partial<Plan> = {}): Plan {
  if (!settings.embeddings) return settings;
  const sequences = fixed.sequences ?? divisorOf(fixed.microBatch);
  const least = Math.max(settings.microBatch, settings.contextLength);
  const microBatch = fixed.microBatch ?? Math.min(mostTokens, Math.ceil(least / sequences) * sequences);
  const kvLayout = fixed.kvLayout ?? "unified";
  return {
    ...{ ...settings, sequences, microBatch, kvLayout },
    ...(kvLayout === "unified" && { kvCells: fixed.kvCells ?? microBatch }),
  };
}

/** The model's own pooling; of a model that was not made for embeddings, the mean. */
export function usualPooling({ pooling }: Pick<ModelOutline, "pooling">): Pooling {
  return pooling === undefined ? "mean" : "model";
}

/** Most tokens of a text that the context of a plan embeds by itself; 0 of a plan for text. */
export function longestEmbedded(plan: Plan): number {
  if (!plan.embeddings) return 0;
  return Math.min(plan.microBatch, plan.kvLayout === "unified" ? sharedCells(plan) : plan.contextLength);
}

/** Texts that the context of a plan embeds at once: separate caches would be filled by parts of texts. */
export function embeddedAtOnce({ kvLayout, sequences }: Plan): number {
  return kvLayout === "unified" ? sequences : 1;
}

/**
 * The plan of a context that is made beside that of `plan` to embed texts of so many tokens: of the same model, at the same
 * places. Undefined where the plan's own context embeds them so.
 */
export function planBeside(plan: Plan, tokens: number, pooling: Pooling): Plan | undefined {
  if (plan.embeddings?.pooling === pooling && tokens <= longestEmbedded(plan)) return undefined;
  const { kvCells: _, outputs: __, ...rest } = plan;
  const settings: Plan = {
    ...{ ...rest, embeddings: { pooling } },
    contextLength: Math.ceil(tokens / stepOfLengths) * stepOfLengths,
    microBatch: Math.min(usualMicroBatch, plan.contextLength),
  };
  // The host streams batches from as many rows on as its own plan does.
  return withEmbeddings(settings, streamsFrom(plan) === streamFromRows ? {} : { sequences: plan.sequences });
}

/** The usual number of sequences, or the largest power of two below it that divides a micro-batch. */
function divisorOf(microBatch: number | undefined): number {
  return microBatch === undefined ? usualSequences : Math.min(usualSequences, microBatch & -microBatch);
}
