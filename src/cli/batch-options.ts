import { inputFormats } from "../batch/input/source.js";
import type { ModelOutline } from "../gguf/outline.js";
import type { LoadOptions } from "../model.js";
import { usualPooling } from "../plan/embedding.js";
import { type OptionSpec, optionName, toggle, type Values, value } from "./option-spec.js";
import { anyText, fileName, integer, oneOf } from "./option-values.js";
import {
  type AnswerValues,
  answerOptions,
  type BudgetValues,
  type ModelValues,
  modelOptions,
  type OutputValues,
  type PromptValues,
  pick,
  promptOptions,
  type SamplingValues,
  samplingOptions,
} from "./options.js";

/** What `jauge batch` takes beside what `jauge run` does. */
export const batchOptions = {
  output: value("-o, --output <FILE>", fileName),
  template: value("--template <TEXT>", anyText),
  chatTemplate: value("--chat-template <NAME|FILE>", anyText, ["--chat-template-file"]),
  inputFormat: value("--input-format <jsonl|csv|tsv|text>", oneOf(inputFormats)),
  ordered: toggle("--ordered"),
  failFast: toggle("--fail-fast"),
  force: toggle("--force"),
  deterministic: toggle("--deterministic"),
  estimate: toggle("--estimate"),
  expectTokens: value("--expect-tokens <N>", integer(1, 10_000_000)),
  lookAhead: value("--look-ahead <N>", integer(1, 100_000)),
};
export const batchPromptOptions = pick(
  promptOptions,
  ...(["systemPrompt", "systemPromptFile", "escape", "conversation"] as const),
);

export type BatchValues = Values<typeof batchOptions> &
  Omit<PromptValues, "template"> &
  BudgetValues &
  ModelValues &
  AnswerValues &
  SamplingValues &
  OutputValues;

/** What a job of embeddings asks of its plan. */
export function embeddingWishes(outline: ModelOutline): Pick<LoadOptions, "embeddings"> {
  return { embeddings: { pooling: usualPooling(outline) } };
}

/** The longest context that a plan can have: what is asked for, else what the model was trained for. */
export function mostContext(
  { savedPlan, contextLength }: LoadOptions,
  outline: ModelOutline,
): number | undefined {
  return savedPlan?.engine.contextLength ?? (contextLength || outline.contextLength);
}

/** Settings of the model that change what it answers, not only how fast. */
const answeringModelOptions = pick(
  modelOptions,
  ...(["ctxSize", "cacheTypeK", "cacheTypeV", "lora", "loraScaled"] as const),
  ...(["ropeFreqBase", "ropeFreqScale", "ropeScale"] as const),
);

/**
 * All options that a job's answers depend on, as they were given, by the names that a person knows: what another run of
 * the same job must have too. `system` is the system prompt itself, wherever it came from.
 */
export function recordedOptions(values: BatchValues, system: string | undefined): Record<string, unknown> {
  const tables: Record<string, OptionSpec<unknown>> = {
    ...pick(batchOptions, "template", "chatTemplate", "inputFormat", "deterministic"),
    ...pick(promptOptions, "conversation"),
    ...answerOptions,
    ...samplingOptions,
    ...answeringModelOptions,
  };
  const given = Object.entries(tables).flatMap(([key, spec]) => {
    const option = values[key as keyof BatchValues];
    return option === undefined ? [] : [[optionName(spec).slice(2), option]];
  });
  return { ...Object.fromEntries(given), ...(system !== undefined && { "system-prompt": system }) };
}
