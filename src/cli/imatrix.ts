import { existsSync } from "node:fs";
import { Command } from "@commander-js/extra-typings";
import { computeImportance, type ImportanceProgress } from "../compare/importance.js";
import { isJaugeError, JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { optionMessages } from "../messages/cli-options.js";
import { compareTexts } from "../messages/compare-texts.js";
import { localized } from "../messages/locale.js";
import { formatDecimal } from "../units.js";
import { commandAgain } from "./command-again.js";
import { examples } from "./examples.js";
import { readTextFile } from "./input.js";
import { requireModel } from "./open-model.js";
import { addOptions, type CommandPart, list, toggle, type Values, value } from "./option-spec.js";
import { fileName, integer, oneOf } from "./option-values.js";
import { type OutputValues, outputOptions } from "./options.js";
import {
  addScoringOptions,
  interruptSignal,
  type ScoringValues,
  scoringRequest,
  scoringTables,
  shippedTextPath,
} from "./scoring-options.js";
import { note, print, showStatus } from "./terminal.js";

const { imatrix: texts, stopping } = localized(compareTexts);
const { labels } = localized(cliMessages);
const descriptions = localized(optionMessages);

// The names are those of llama-imatrix, where it has the option.
const imatrixOptions = {
  output: value("-o, --output <FILE>", fileName, ["--output-file"]),
  format: value("--format <gguf|legacy>", oneOf(["gguf", "legacy"])),
  ctxSize: value("-c, --ctx-size <N>", integer(32, 65_536)),
  chunks: value("--chunks <N>", integer(1, 1_000_000)),
  saveEvery: value("--save-every <N>", integer(0, 1_000_000), ["--save-frequency", "--output-frequency"]),
  processOutput: toggle("--process-output"),
  parseSpecial: toggle("--parse-special"),
  inFile: list("--in-file <FILE>", (path) => [path]),
  resume: toggle("--resume"),
  force: toggle("--force"),
};

type ImatrixValues = Values<typeof imatrixOptions> & ScoringValues & OutputValues;

/** `jauge imatrix MODEL [TEXT]` */
export function imatrixCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("imatrix")
    .description(texts.description)
    .argument("<model>", texts.model)
    .argument("[text]", texts.text);
  addOptions(command, headings.command, imatrixOptions, texts);
  addOptions(command, headings.output, outputOptions, descriptions.output);
  addScoringOptions(command);
  command.addHelpText(
    "after",
    examples(
      "jauge imatrix model-F16.gguf",
      "jauge imatrix model-F16.gguf letters.txt -o letters.imatrix.gguf --chunks 100",
      "jauge imatrix model-F16.gguf letters.txt -o letters.imatrix.gguf --resume",
      "jauge imatrix model-F16.gguf more.txt --in-file letters.imatrix.gguf -o both.gguf --vram 8GB",
    ),
  );
  command.action((model, text, values) => imatrix(model, text, values as ImatrixValues));
  return { command, tables: [imatrixOptions, outputOptions, ...scoringTables] };
}

async function imatrix(
  modelPath: string,
  textPath: string | undefined,
  values: ImatrixValues,
): Promise<void> {
  requireModel(modelPath, { isPromptless: true });
  const outputPath = values.output ?? "imatrix.gguf";
  if (values.resume && values.inFile?.length)
    throw new JaugeError("options-conflict", { option: "--resume", other: "--in-file" });
  if (!values.resume && !values.force && existsSync(outputPath))
    throw new JaugeError("importance-exists", { path: outputPath });
  const text = await readTextFile(textPath ?? shippedTextPath);
  try {
    const result = await computeImportance({
      ...{ modelPath, text, outputPath },
      dataset: textPath ?? "jauge: texts/english-french.txt",
      format: values.format ?? (/\.(dat|imatrix)$/i.test(outputPath) ? "legacy" : "gguf"),
      windowSize: values.ctxSize ?? 512,
      ...(values.chunks !== undefined && { chunks: values.chunks }),
      saveEvery: values.saveEvery ?? 10,
      output: values.processOutput ?? false,
      parseSpecial: values.parseSpecial ?? false,
      resume: values.resume ?? false,
      inFiles: values.inFile ?? [],
      request: await scoringRequest(values, interruptSignal(values.json ? undefined : stopping)),
      onProgress: (progress) => showStatus(progressText(progress)),
    });
    showStatus("");
    if (values.json) {
      await print(`${JSON.stringify(result)}\n`);
      return;
    }
    const { path, matrices, chunks, computed, perplexity, partial } = result;
    // Resumed behind its last window, a run has nothing to read.
    const found = perplexity === undefined ? {} : { perplexity: formatDecimal(perplexity, 4) };
    await print(`${texts.done({ path, matrices, chunks, computed, ...found })}\n`);
    if (partial.length > 0)
      note(`${labels.warning} ${texts.partial({ count: partial.length, example: partial[0]! })}`);
  } catch (error) {
    throw explained(error, outputPath);
  } finally {
    showStatus("");
  }
}

/** An interruption, with what is kept and how to go on. */
function explained(error: unknown, path: string): unknown {
  if (isJaugeError(error, "cancelled"))
    return new JaugeError("importance-interrupted", { path, kept: 0, total: 0, isResumable: false });
  if (!isJaugeError(error, "importance-interrupted") || !error.facts.isResumable) return error;
  const command = commandAgain({ without: "--force", add: "--resume" });
  return new JaugeError("importance-interrupted", { ...error.facts, command });
}

function progressText({ chunk, chunks, perplexity, tokensPerSecond }: ImportanceProgress): string {
  return texts.progress({
    ...{ chunk, chunks, perplexity: formatDecimal(perplexity, 2), speed: formatDecimal(tokensPerSecond, 0) },
  });
}
