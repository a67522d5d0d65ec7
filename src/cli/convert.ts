import { Command } from "@commander-js/extra-typings";
import { newRowRules } from "../convert/adapters/delta.js";
import type { ConversionRequest } from "../convert/conversion.js";
import { JaugeError } from "../errors.js";
import { tensorTypes } from "../gguf/tensor-types.js";
import { mergingMessages } from "../messages/adapters.js";
import { optionMessages } from "../messages/cli-options.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { localized } from "../messages/locale.js";
import { mixes } from "../quantize/mixes.js";
import { expectMatrixUsed, runJob, showPlan, typeWishes, writingWishes } from "./conversion.js";
import {
  addLibraryOptions,
  dryRunOption,
  libraryOptions,
  mixOrAuto,
  type TypeValues,
  typeOptions,
  type WritingValues,
  writingOptions,
} from "./conversion-options.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, list, type Values, value } from "./option-spec.js";
import { anyText, commaList, fileName, integer, oneOf, positive, scaledFolders } from "./option-values.js";

const texts = localized(conversionMessages);
const mergingTexts = localized(mergingMessages);
const descriptions = localized(optionMessages);
const convertOptions = {
  output: value("-o, --output <FILE>", fileName, ["--outfile"]),
  type: value("--type <TYPE>", mixOrAuto, ["--outtype"]),
};
// The names are those of a run with adapters.
const adapterOptions = {
  lora: list("--lora <FOLDER,...>", commaList(anyText)),
  loraScaled: list("--lora-scaled <FOLDER:SCALE,...>", scaledFolders),
  base: value("--base <MODEL>", anyText),
  newRows: value("--new-rows <RULE>", oneOf(newRowRules)),
};
/** What a source may leave unsaid. */
const sourceOptions = {
  tokenizer: value("--tokenizer <FILE-OR-FOLDER>", anyText),
  pre: value("--pre <NAME>", anyText),
  name: value("--name <TEXT>", anyText),
  contextLength: value("--context-length <N>", integer(1, 2 ** 31 - 1)),
  rmsEpsilon: value("--rms-epsilon <N>", positive),
  ropeFreqBase: value("--rope-freq-base <N>", positive),
};

type ConvertValues = Values<typeof convertOptions> &
  Values<typeof adapterOptions> &
  Values<typeof sourceOptions> &
  TypeValues &
  WritingValues &
  Values<typeof dryRunOption>;

/** `jauge convert SOURCE -o OUT.gguf` */
export function convertCommand(): CommandPart {
  const command = new Command("convert")
    .description(texts.convert.description)
    .argument("<source>", texts.convert.source);
  addOptions(command, descriptions.headings.command, { ...convertOptions, ...dryRunOption }, texts.options);
  addOptions(command, mergingTexts.heading, adapterOptions, mergingTexts.options);
  addOptions(command, texts.headings.types, typeOptions, texts.options);
  addOptions(command, texts.headings.source, sourceOptions, texts.options);
  addOptions(command, texts.headings.writing, writingOptions, texts.options);
  addLibraryOptions(command);
  command.addHelpText(
    "after",
    examples(
      "jauge convert Llama-3.2-1B/ -o llama.gguf",
      "jauge convert Mixtral-8x7B/ -o mixtral.gguf --type Q3_K_M --imatrix mixtral.imatrix.gguf",
      "jauge convert ggml-alpaca-7b-q4.bin -o alpaca.gguf --type auto",
      "jauge convert llama-7b-hf/ --lora alpaca-lora-7b/ -o alpaca.gguf",
      "jauge convert LLaMA/7B/ --lora alpaca-lora-7b/ -o alpaca.gguf",
      "jauge convert vicuna-7b-delta-v1.1/ --base llama-7b-hf/ -o vicuna.gguf",
      "jauge convert alpaca-7b-wdiff/ --base llama-7b-hf/ --new-rows mean -o alpaca.gguf",
      "jauge convert koala_7b_diff_v2 --base LLaMA/7B/ -o koala.gguf",
      "jauge convert Qwen3-8B/ --type Q5_K_M --dry-run",
    ),
  );
  command.action((source, values) => convert(source, values as ConvertValues));
  return {
    command,
    tables: [
      ...[convertOptions, adapterOptions, dryRunOption, typeOptions, sourceOptions, writingOptions],
      ...[libraryOptions],
    ],
  };
}

/** Errors: `option-needs`; those of `expectMatrixUsed` and `runConversion`. */
async function convert(source: string, values: ConvertValues): Promise<void> {
  const type = values.type ?? "Q4_K_M";
  if (values.newRows !== undefined && values.base === undefined)
    throw new JaugeError("option-needs", { option: "--new-rows", other: "--base" });
  const isQuantised = type !== "auto" && tensorTypes[mixes[type]].quantised;
  const request: ConversionRequest = {
    source,
    sourceOptions: { ...merged(values), ...unsaid(values, type) },
    ...(values.output === undefined ? {} : { output: values.output }),
    wishes: { type, ...typeWishes(values) },
    // as llama.cpp's converter writes what is not quantised, and its quantiser what is
    division: { kind: "whole", order: isQuantised ? "layers" : "source" },
    ...(values.imatrix === undefined ? {} : { importance: values.imatrix }),
    ...writingWishes(values),
  };
  expectMatrixUsed(request);
  await (values.dryRun ? showPlan(request, values) : runJob(request, values));
}

/** What is merged into the source. */
function merged({
  base,
  newRows,
  lora = [],
  loraScaled = [],
}: ConvertValues): ConversionRequest["sourceOptions"] {
  const loras = [...lora.map((path) => ({ path, scale: 1 })), ...loraScaled];
  return {
    ...(base === undefined ? {} : { base }),
    ...(newRows === undefined ? {} : { newRows }),
    ...(loras.length > 0 ? { loras } : {}),
  };
}

/** What the options say of the source. */
function unsaid(values: ConvertValues, type: string): ConversionRequest["sourceOptions"] {
  const { tokenizer, pre, name, contextLength, rmsEpsilon, ropeFreqBase, allowRequantize } = values;
  return {
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(pre === undefined ? {} : { pre }),
    ...(name === undefined ? {} : { name }),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(rmsEpsilon === undefined ? {} : { rmsEpsilon }),
    ...(ropeFreqBase === undefined ? {} : { ropeFrequencyBase: ropeFreqBase }),
    // what is quantised anew from a GGML file of 2023 is made from its own, finer scales, not from today's
    ...(allowRequantize && !["auto", "Q4_0", "Q4_1", "Q8_0"].includes(type) ? { exact: true } : {}),
  };
}
