import { Command } from "@commander-js/extra-typings";
import { JaugeError } from "../errors.js";
import { readModel } from "../gguf/model-file.js";
import { optionMessages } from "../messages/cli-options.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { localized } from "../messages/locale.js";
import { runJob, writingWishes } from "./conversion.js";
import { partOptions, type WritingValues, writingOptions } from "./conversion-options.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, type Values } from "./option-spec.js";

const texts = localized(conversionMessages);
const descriptions = localized(optionMessages);
const { threads: _, ...copyOptions } = writingOptions;

/** `jauge split IN OUT` */
export function splitCommand(): CommandPart {
  const command = new Command("split")
    .description(texts.split.description)
    .argument("<input>", texts.split.input)
    .argument("<output>", texts.split.output);
  addOptions(command, descriptions.headings.command, partOptions, texts.options);
  addOptions(command, texts.headings.writing, copyOptions, texts.options);
  command.addHelpText(
    "after",
    examples("jauge split model.gguf model --max-size 2GB", "jauge split model.gguf model --max-tensors 128"),
  );
  command.action((input, output, values) => split(input, output, values as SplitValues));
  return { command, tables: [partOptions, copyOptions] };
}

/** `jauge merge IN-00001-of-N OUT` */
export function mergeCommand(): CommandPart {
  const command = new Command("merge")
    .description(texts.merge.description)
    .argument("<input>", texts.merge.input)
    .argument("<output>", texts.merge.output);
  addOptions(command, texts.headings.writing, copyOptions, texts.options);
  command.addHelpText("after", examples("jauge merge model-00001-of-00003.gguf model.gguf"));
  command.action((input, output, values) => merge(input, output, values as WritingValues));
  return { command, tables: [copyOptions] };
}

type SplitValues = Values<typeof partOptions> & WritingValues;

/** Errors: `option-missing`; those of `runConversion`. */
async function split(source: string, output: string, values: SplitValues): Promise<void> {
  const { maxSize: bytes, maxTensors: tensors } = values;
  if (bytes === undefined && tensors === undefined)
    throw new JaugeError("option-missing", { command: "jauge split", option: texts.split.limits });
  const division = { kind: "limited" as const, ...(bytes ? { bytes } : {}), ...(tensors ? { tensors } : {}) };
  await runJob({ copy: true, source, output, division, ...writingWishes(values) }, values);
}

/** Errors: `split-not`; those of `runConversion`. */
async function merge(source: string, output: string, values: WritingValues): Promise<void> {
  const { shards } = await readModel(source);
  if (shards.length < 2) throw new JaugeError("split-not", { path: source });
  const division = { kind: "whole" as const, order: "source" as const };
  await runJob({ copy: true, source, output, division, ...writingWishes(values) }, values);
}
