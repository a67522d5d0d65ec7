import { Command } from "@commander-js/extra-typings";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import type { LoadOptions, Model } from "../model.js";
import { openModelFile } from "../planner/sources/open.js";
import { formatDecimal } from "../units.js";
import { examples } from "./examples.js";
import { offeredInput, readTextFile } from "./input.js";
import { budgetOptionsOf, loadOptions } from "./library-options.js";
import { openModel, openTokenizer, requireModel } from "./open-model.js";
import { addOptions, type CommandPart, list, toggle, type Values, value } from "./option-spec.js";
import { anyText, invalid, oneOf } from "./option-values.js";
import {
  type BudgetValues,
  budgetOptions,
  type ModelValues,
  modelOptions,
  type OutputValues,
  outputOptions,
} from "./options.js";
import { columns, note, print } from "./terminal.js";

const { embed: texts, expected, run: runTexts, usage } = localized(cliMessages);
const descriptions = localized(optionMessages);

const embedOptions = {
  prompt: list("-p, --prompt <TEXT>", (text) => [text]),
  file: value("-f, --file <FILE>", anyText),
  pooling: value("--pooling <NAME>", oneOf(["none", "mean", "cls", "last", "rank"])),
  normalize: toggle("--no-normalize"),
  similarity: toggle("--similarity"),
};

type EmbedValues = Values<typeof embedOptions> & BudgetValues & ModelValues & OutputValues;

/** Texts computed between two prints, and counted at once. */
const textsAtOnce = 64;

/** `jauge embed MODEL [TEXT...]` */
export function embedCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("embed")
    .description(texts.description)
    .argument("[model]", runTexts.model)
    .argument("[text...]", texts.text);
  addOptions(command, headings.command, embedOptions, {
    prompt: texts.text,
    file: texts.file,
    pooling: texts.pooling,
    normalize: texts.noNormalize,
    similarity: texts.similarity,
  });
  addOptions(command, headings.budget, budgetOptions, descriptions.budget);
  addOptions(command, headings.model, modelOptions, descriptions.model);
  addOptions(command, headings.output, outputOptions, descriptions.output);
  command.addHelpText(
    "after",
    examples(
      'jauge embed model.gguf "A cat sleeps."',
      'jauge embed model.gguf "A cat sleeps." "A kitten naps." "Rain falls." --similarity',
      "jauge embed model.gguf --file sentences.txt > vectors.jsonl",
    ),
  );
  command.action((model, words, values) => embed(model, words, values as EmbedValues));
  return { command, tables: [embedOptions, budgetOptions, modelOptions, outputOptions] };
}

async function embed(first: string | undefined, others: string[], values: EmbedValues): Promise<void> {
  const modelPath = values.model ?? first;
  if (modelPath === undefined) {
    throw new JaugeError("usage-wrong", {
      problem: usage.missingArgument({ name: "MODEL" }),
      command: "jauge embed",
    });
  }
  const positional = values.model === undefined || first === undefined ? others : [first, ...others];
  const given = [...positional, ...(values.prompt ?? [])];
  const sentences = given.length > 0 ? given : await readLines(values.file);
  if (values.similarity && sentences.length < 2)
    invalid("--similarity", String(sentences.length), expected.texts());
  const load = { ...loadOptions(values), ...(await budgetOptionsOf(values)) };
  await using model = await openModel(modelPath, await planFor(sentences, modelPath, load, values), values);
  if (values.similarity) await printSimilarity(await vectors(model, sentences, values), values);
  else await printVectors(model, sentences, values);
}

async function vectors(model: Model, sentences: string[], values: EmbedValues): Promise<Float32Array[]> {
  const normalize = values.similarity || values.normalize !== false;
  return await model.embed(sentences, { pooling: values.pooling ?? "model", normalize });
}

/** What the texts ask of their plan: a context as long as the longest of them, where nothing else is said. */
async function planFor(
  sentences: string[],
  modelPath: string,
  load: LoadOptions,
  values: EmbedValues,
): Promise<LoadOptions> {
  if (load.savedPlan) return load;
  const wishes: LoadOptions = { ...load, embeddings: { pooling: values.pooling ?? "model" } };
  if (load.contextLength !== undefined) return wishes;
  requireModel(modelPath);
  const { outline } = await openModelFile(modelPath);
  await using tokenizer = await openTokenizer(modelPath, load, values);
  let [longest, total] = [0, 0];
  for (let start = 0; start < sentences.length; start += textsAtOnce) {
    const some = sentences.slice(start, start + textsAtOnce);
    const tokens = await Promise.all(some.map((text) => tokenizer.tokenize(text, { parseSpecial: false })));
    for (const { length } of tokens) {
      longest = Math.max(longest, length);
      total += length;
    }
  }
  const promptTokens = Math.max(1, Math.round(total / sentences.length));
  return {
    ...wishes,
    // A longer text than the model takes is refused as such.
    contextLength: Math.max(1, Math.min(longest, outline.contextLength ?? longest)),
    job: { promptTokens, answerTokens: 0, longest, requests: sentences.length },
  };
}

/** One JSON object a line, or one array of them. */
async function printVectors(model: Model, sentences: string[], values: EmbedValues): Promise<void> {
  const [open, between, close] = values.json ? ["[", ",\n", "]\n"] : ["", "\n", "\n"];
  let separator = open;
  for (let start = 0; start < sentences.length; start += textsAtOnce) {
    const some = sentences.slice(start, start + textsAtOnce);
    const embeddings = await vectors(model, some, values);
    for (const [index, text] of some.entries()) {
      await print(`${separator}${JSON.stringify({ text, embedding: [...embeddings[index]!].map(float32) })}`);
      separator = between;
    }
  }
  await print(close);
}

/** The cosine of each pair: a matrix in the order of the texts. */
async function printSimilarity(embeddings: Float32Array[], values: EmbedValues): Promise<void> {
  const matrix = embeddings.map((a) => embeddings.map((b) => dot(a, b)));
  if (values.json) return await print(`${JSON.stringify(matrix.map((row) => row.map(float32)))}\n`);
  const rows = matrix.map((row) => row.map((cosine) => formatDecimal(cosine, 3)));
  const right = rows.map((_, index) => index);
  for (const line of columns(rows, right)) await print(`${line}\n`);
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}

/** Nine digits are all that a 32-bit number has. */
function float32(value: number): number {
  return Number(value.toPrecision(9));
}

async function readLines(file: string | undefined): Promise<string[]> {
  const text =
    file === undefined ? await offeredInput(() => note(runTexts.waiting)) : await readTextFile(file);
  const lines = (text ?? "").split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new JaugeError("text-missing", {});
  return lines;
}
