import { estimatedSeconds, estimateLines, usualAnswer } from "../batch/estimate.js";
import type { BatchSource } from "../batch/input/source.js";
import { profileOfLines } from "../batch/profile.js";
import type { AnswerOptions } from "../batch/request.js";
import { type LoadOptions, type ModelPlan, plan } from "../index.js";
import { batchMessages } from "../messages/batch-view.js";
import { localized } from "../messages/locale.js";
import { energyEstimate } from "./batch-energy.js";
import { type BatchValues, embeddingWishes } from "./batch-options.js";
import { clock, percent } from "./batch-view.js";
import { exitCodes } from "./errors.js";
import { openTokenizer } from "./open-model.js";
import { formatNumber, formatSpeed, oneLine } from "./plan-format.js";
import { print } from "./terminal.js";

const { estimate: texts } = localized(batchMessages);

/** `jauge batch --estimate`: what the job takes, said before anything runs. */
export async function estimateJob(
  source: BatchSource,
  modelPath: string,
  load: LoadOptions,
  { values, defaults }: { values: BatchValues; defaults: AnswerOptions },
): Promise<void> {
  const expectedTokens = values.expectTokens ?? usualAnswer;
  await using tokenizer = await openTokenizer(modelPath, load, values);
  const lines = await estimateLines(source.items(), (text) => tokenizer.tokenize(text), {
    defaults,
    expectedTokens,
  });
  const job = profileOfLines(lines, true);
  const { savedPlan, onProgress: _, onLog: __, onSpaceTaken: ___, ...wishes } = load;
  const kind = lines.isEmbedding ? embeddingWishes : {};
  const planned = savedPlan ?? (await plan(modelPath, { ...wishes, ...kind, ...(job && { job }) }));
  const seconds = estimatedSeconds(lines, planned.predicted);
  if (values.json) await print(`${JSON.stringify(asJson(lines, planned, seconds), undefined, 2)}\n`);
  else await print(`${asText(lines, planned, seconds, expectedTokens).join("\n")}\n`);
  if (!planned.fits) process.exitCode = exitCodes.memory;
}

type Lines = Awaited<ReturnType<typeof estimateLines>>;

/** A public contract. */
function asJson(lines: Lines, planned: ModelPlan, seconds: number) {
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

function asText(lines: Lines, planned: ModelPlan, seconds: number, expectedTokens: number): string[] {
  const good = Math.max(1, lines.lines - lines.badLines - lines.otherKindLines);
  const { predicted, settings, warnings, notes } = planned;
  const time = clock(seconds * 1000);
  const prefill = formatSpeed(predicted.prefillTokensPerSecond);
  const each = (tokens: number) => formatNumber(tokens / good, tokens / good < 10 ? 1 : 0);
  return [
    texts.lines({ lines: formatNumber(lines.lines), bad: formatNumber(lines.badLines) }),
    ...(lines.otherKindLines > 0 ? [texts.otherKind({ lines: formatNumber(lines.otherKindLines) })] : []),
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
