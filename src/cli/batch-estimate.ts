import {
  estimatedSeconds,
  estimateOf,
  type JobEstimate,
  measureLines,
  usualAnswer,
} from "../batch/estimate.js";
import type { BatchSource } from "../batch/input/source.js";
import { profileOfLines } from "../batch/profile.js";
import type { AnswerOptions } from "../batch/request.js";
import type { ModelOutline } from "../gguf/outline.js";
import { type LoadOptions, type ModelPlan, plan } from "../index.js";
import { batchMessages } from "../messages/batch-view.js";
import { localized } from "../messages/locale.js";
import { energyEstimate } from "./batch-energy.js";
import { type BatchValues, embeddingWishes, mostContext } from "./batch-options.js";
import { clock, percent } from "./batch-view.js";
import { exitCodes } from "./errors.js";
import { openTokenizer } from "./open-model.js";
import { formatNumber, formatSpeed, oneLine } from "./plan-format.js";
import { print } from "./terminal.js";

const batchTexts = localized(batchMessages);
const { estimate: texts } = batchTexts;

/** `jauge batch --estimate`: what the job takes, said before anything runs. */
export async function estimateJob(
  source: BatchSource,
  modelPath: string,
  load: LoadOptions,
  { values, defaults, outline }: { values: BatchValues; defaults: AnswerOptions; outline: ModelOutline },
): Promise<void> {
  const expectedTokens = values.expectTokens ?? usualAnswer;
  await using tokenizer = await openTokenizer(modelPath, load, values);
  const { savedPlan, onProgress: _, onLog: __, onSpaceTaken: ___, ...wishes } = load;
  const estimate = async (from: BatchSource, kind?: "text" | "embedding") => {
    const measured = await measureLines(from.items(), (text) => tokenizer.tokenize(text), {
      ...{ defaults, expectedTokens, ...(kind && { kind }) },
    });
    const job = profileOfLines(estimateOf(measured, mostContext(load, outline)), true);
    const own = measured.isEmbedding ? embeddingWishes(outline) : {};
    const planned = savedPlan ?? (await plan(modelPath, { ...wishes, ...own, ...(job && { job }) }));
    const lines = estimateOf(measured, planned.engine.contextLength);
    if (!planned.fits) process.exitCode = exitCodes.memory;
    return { lines, planned, seconds: estimatedSeconds(lines, planned.predicted) };
  };
  const isFile = source.totalBytes !== undefined;
  const first = await estimate(source);
  const { lines } = first;
  // As the job does it: texts and embeddings one after the other, where the input can be read again.
  const hasSecond = lines.otherKindLines > 0 && isFile && !values.ordered && !savedPlan;
  const second = hasSecond
    ? await estimate(await source.glance(), lines.isEmbedding ? "text" : "embedding")
    : undefined;
  if (values.json) {
    const json = { ...asJson(first), ...(second && { otherKind: asJson(second) }) };
    await print(`${JSON.stringify(json, undefined, 2)}\n`);
    return;
  }
  const others = {
    lines: formatNumber(lines.otherKindLines),
    kind: lines.isEmbedding ? "embedding" : "text",
  };
  const text = [
    texts.lines({ lines: formatNumber(lines.lines), bad: formatNumber(lines.badLines) }),
    ...asText(first, expectedTokens),
    ...(second ? [batchTexts.otherKind(others), ...asText(second, expectedTokens)] : []),
    ...(lines.otherKindLines > 0 && !second ? [texts.otherKind(others)] : []),
  ];
  await print(`${text.join("\n")}\n`);
}

interface Estimate {
  lines: JobEstimate;
  planned: ModelPlan;
  seconds: number;
}

/** A public contract. */
function asJson({ lines, planned, seconds }: Estimate) {
  const { predicted, settings, fits, notes } = planned;
  const { prefillTokensPerSecond, decodeTokensPerSecond, limitedBy, explanation } = predicted;
  const { estimate: energy } = energyEstimate(planned, seconds);
  return {
    ...lines,
    seconds: Number(seconds.toPrecision(3)),
    prefillTokensPerSecond,
    ...(lines.isEmbedding ? {} : { decodeTokensPerSecond }),
    ...{ sequences: settings.sequences, fits },
    regime: { limitedBy, explanation, notes },
    energyJoules: energy ? Number(energy.joules.toPrecision(3)) : null,
    ...(energy && { powers: energy.drawn }),
  };
}

function asText({ lines, planned, seconds }: Estimate, expectedTokens: number): string[] {
  const good = Math.max(1, lines.lines - lines.badLines - lines.otherKindLines);
  const { predicted, settings, warnings, notes } = planned;
  const time = clock(seconds * 1000);
  const prefill = formatSpeed(predicted.prefillTokensPerSecond);
  const each = (tokens: number) => formatNumber(tokens / good, tokens / good < 10 ? 1 : 0);
  return [
    texts.tokensIn({
      tokens: formatNumber(lines.promptTokens),
      each: each(lines.promptTokens),
      sampled: formatNumber(lines.sampledLines),
    }),
    ...(lines.isEmbedding
      ? [texts.timeReading({ time, prefill })]
      : [
          texts.tokensOut({
            tokens: formatNumber(lines.outputTokens),
            each: each(lines.outputTokens),
            assumption: lines.areLimited
              ? texts.assumedLimits
              : texts.assumedDefault({ tokens: formatNumber(expectedTokens) }),
          }),
          ...(lines.sharedTokens > 0
            ? [texts.shared({ percent: percent(lines.sharedTokens, lines.promptTokens) })]
            : []),
          texts.time({
            ...{ time, prefill },
            decode: formatSpeed(predicted.decodeTokensPerSecond),
            sequences: formatNumber(settings.sequences),
          }),
        ]),
    texts.regime({ explanation: predicted.explanation }),
    ...notes.map((line) => `  ${line}`),
    ...energyEstimate(planned, seconds).lines,
    oneLine(planned),
    ...warnings,
  ];
}
