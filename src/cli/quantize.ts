import { Command } from "@commander-js/extra-typings";
import type { ConversionRequest } from "../convert/conversion.js";
import { optionMessages } from "../messages/cli-options.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { localized } from "../messages/locale.js";
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
import { addOptions, type CommandPart, toggle, type Values } from "./option-spec.js";
import { fileName } from "./option-values.js";

const texts = localized(conversionMessages);
const descriptions = localized(optionMessages);
const quantizeOptions = { keepSplit: toggle("--keep-split"), ...dryRunOption };

type QuantizeValues = Values<typeof quantizeOptions> & TypeValues & WritingValues;

/** `jauge quantize IN OUT TYPE` */
export function quantizeCommand(): CommandPart {
  const command = new Command("quantize")
    .description(texts.quantize.description)
    .argument("<input>", texts.quantize.input)
    .argument("<output>", texts.quantize.output)
    .argument("<type>", texts.quantize.type);
  addOptions(command, descriptions.headings.command, quantizeOptions, texts.options);
  addOptions(command, texts.headings.types, typeOptions, texts.options);
  addOptions(command, texts.headings.writing, writingOptions, texts.options);
  addLibraryOptions(command);
  command.addHelpText(
    "after",
    examples(
      "jauge quantize model-f16.gguf model-q4.gguf Q4_K_M",
      "jauge quantize model-f16.gguf model-iq2.gguf IQ2_M --imatrix model.imatrix.gguf",
      "jauge quantize model-f16.gguf model.gguf Q4_K_M --tensor-type 'ffn_down=Q6_K' --output-tensor-type Q8_0",
      "jauge quantize model-f16.gguf model.gguf Q5_K_M --dry-run",
    ),
  );
  command.action((input, output, type, values) => quantize(input, output, type, values as QuantizeValues));
  return { command, tables: [quantizeOptions, typeOptions, writingOptions, libraryOptions] };
}

/** Errors: `option-invalid`; those of `expectMatrixUsed` and `runConversion`. */
async function quantize(source: string, output: string, type: string, values: QuantizeValues): Promise<void> {
  const request: ConversionRequest = {
    source,
    output: fileName(output, "OUTPUT"),
    wishes: { type: mixOrAuto(type, "TYPE"), ...typeWishes(values) },
    division: values.keepSplit ? { kind: "as-source" } : { kind: "whole", order: "layers" },
    ...(values.imatrix === undefined ? {} : { importance: values.imatrix }),
    ...writingWishes(values),
  };
  expectMatrixUsed(request);
  await (values.dryRun ? showPlan(request, values) : runJob(request, values));
}
