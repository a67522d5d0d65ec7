import { basename } from "node:path";
import { Command } from "@commander-js/extra-typings";
import {
  type CompareProgress,
  type Comparison,
  compareModels,
  type ModelFigures,
} from "../compare/compare.js";
import { isJaugeError, JaugeError } from "../errors.js";
import { optionMessages } from "../messages/cli-options.js";
import { compareTexts } from "../messages/compare-texts.js";
import { localized } from "../messages/locale.js";
import { formatBytes, formatDecimal } from "../units.js";
import { examples } from "./examples.js";
import { readTextFile } from "./input.js";
import { requireModel } from "./open-model.js";
import { addOptions, type CommandPart, type Values, value } from "./option-spec.js";
import { anyText, integer } from "./option-values.js";
import { type OutputValues, outputOptions } from "./options.js";
import {
  addScoringOptions,
  interruptSignal,
  type ScoringValues,
  scoringRequest,
  scoringTables,
  shippedTextPath,
} from "./scoring-options.js";
import { markdownTable, note, print, showStatus } from "./terminal.js";

const { compare: texts, stopping } = localized(compareTexts);
const descriptions = localized(optionMessages);

const compareOptions = {
  text: value("-f, --text <FILE>", anyText, ["--file"]),
  ctxSize: value("-c, --ctx-size <N>", integer(8, 65_536)),
  chunks: value("--chunks <N>", integer(1, 1_000_000)),
  temporaryFolder: value("--temporary-folder <FOLDER>", anyText),
};

type CompareValues = Values<typeof compareOptions> & ScoringValues & OutputValues;

/** `jauge compare A.gguf B.gguf …` */
export function compareCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("compare").description(texts.description).argument("<models...>", texts.models);
  addOptions(command, headings.command, compareOptions, texts);
  addOptions(command, headings.output, outputOptions, descriptions.output);
  addScoringOptions(command);
  command.addHelpText(
    "after",
    examples(
      "jauge compare model-F16.gguf model-Q4_K_M.gguf",
      "jauge compare model-Q8_0.gguf model-Q3_K_M.gguf model-Q2_K.gguf --chunks 20",
      "jauge compare model-F16.gguf model-Q4_K_M.gguf --text letters.txt --vram 8GB --json",
    ),
  );
  command.action((models, values) => compare(models, values as CompareValues));
  return { command, tables: [compareOptions, outputOptions, ...scoringTables] };
}

async function compare(paths: string[], values: CompareValues): Promise<void> {
  for (const path of paths) requireModel(path, { isPromptless: true });
  const text = await readTextFile(values.text ?? shippedTextPath);
  const measured: ModelFigures[] = [];
  try {
    const comparison = await compareModels({
      ...{ paths, text, windowSize: values.ctxSize ?? 512 },
      ...(values.chunks !== undefined && { chunks: values.chunks }),
      ...(values.temporaryFolder !== undefined && { temporaryFolder: values.temporaryFolder }),
      request: await scoringRequest(values, interruptSignal(values.json ? undefined : stopping)),
      onProgress: (progress) => showStatus(progressText(progress)),
      onResult: (figures) => measured.push(figures),
    });
    showStatus("");
    if (values.json) await print(`${JSON.stringify(comparison)}\n`);
    else await printTable(comparison);
  } catch (error) {
    if (!isJaugeError(error, "cancelled")) throw error;
    showStatus("");
    const shown = values.json ? [] : measured;
    if (shown.length > 0) await printRows(shown);
    throw new JaugeError("compare-interrupted", { measured: shown.length, models: paths.length });
  } finally {
    showStatus("");
  }
}

function progressText({ path, chunk, chunks, perplexity }: CompareProgress): string {
  return texts.progress({ model: basename(path), chunk, chunks, perplexity: formatDecimal(perplexity, 2) });
}

async function printTable({ models, windows, windowSize, scoredTokens }: Comparison): Promise<void> {
  await printRows(models);
  note(texts.note({ windows, size: windowSize, scored: scoredTokens }));
}

async function printRows(models: readonly ModelFigures[]): Promise<void> {
  const { columns } = texts;
  // A column of dashes says nothing: with one file there is nothing to hold it against.
  const others: (keyof typeof columns)[] =
    models.length > 1 ? ["ratio", "meanDivergence", "percentile99", "greatest", "sameTop"] : [];
  const shown: (keyof typeof columns)[] = [
    ...(["model", "type", "size", "bits", "perplexity"] as const),
    ...others,
    ...(["prompt", "generation"] as const),
  ];
  const rows = models.map((figures) => shown.map((column) => cell(column, figures)));
  const right = shown.map((_, index) => index).filter((index) => index > 1);
  const lines = markdownTable([shown.map((column) => columns[column]), ...rows], right);
  for (const line of lines) await print(`${line}\n`);
}

function cell(column: keyof typeof texts.columns, figures: ModelFigures): string {
  const { divergence } = figures;
  switch (column) {
    case "model":
      return basename(figures.path);
    case "type":
      return figures.fileType ?? "";
    case "size":
      return formatBytes(figures.bytes);
    case "bits":
      return formatDecimal(figures.bitsPerWeight, 2);
    case "perplexity":
      return `${formatDecimal(figures.perplexity, 4)} ± ${formatDecimal(figures.perplexityError, 4)}`;
    case "ratio":
      return divergence
        ? `${formatDecimal(divergence.perplexityRatio, 4)} ± ${formatDecimal(divergence.perplexityRatioError, 4)}`
        : "";
    case "meanDivergence":
      return divergence ? `${nats(divergence.mean)} ± ${nats(divergence.standardError)}` : "";
    case "percentile99":
      return divergence ? nats(divergence.percentile99) : "";
    case "greatest":
      return divergence ? nats(divergence.greatest) : "";
    case "sameTop":
      return divergence ? `${formatDecimal(100 * divergence.topAgreement, 2)} %` : "";
    case "prompt":
      return formatDecimal(figures.promptTokensPerSecond, 1);
    case "generation":
      return formatDecimal(figures.generationTokensPerSecond, 1);
  }
}

/** As many decimals as say something: divergences of Q8_0 and Q2_K are a thousand times apart. */
function nats(value: number): string {
  return value === 0 || value >= 0.01 ? formatDecimal(value, 4) : formatDecimal(value, 6);
}
