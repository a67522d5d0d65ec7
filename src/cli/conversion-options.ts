import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import { optionMessages } from "../messages/cli-options.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { localized } from "../messages/locale.js";
import { type MixName, mixNamed, mixNames, type TensorTypeWish } from "../quantize/mixes.js";
import { parseBytes } from "../units.js";
import { addOptions, list, toggle, type Values, value } from "./option-spec.js";
import { anyText, integer, invalid, type ValueParser } from "./option-values.js";
import { modelOptions, outputOptions, pick } from "./options.js";

const { expected } = localized(conversionMessages);
const descriptions = localized(optionMessages);

/** Names that llama-quantize knows beside those of the mixes. */
const aliases: Record<string, MixName> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/** A quantisation mix, or `auto`. */
export const mixOrAuto: ValueParser<MixName | "auto"> = (text, option) => {
  if (text.toLowerCase() === "auto") return "auto";
  return (
    mixNamed(text) ??
    aliases[text.toUpperCase()] ??
    invalid(option, text, expected.mix({ known: ["auto", ...mixNames].join(", ") }))
  );
};

/** The types that weights can be quantised to: no sums, no integers. */
const weightTypes = (Object.keys(tensorTypes) as TensorTypeName[]).filter(
  (type) => !/^(Q8_1|Q8_K|I\d+|F64)$/.test(type),
);

export const weightType: ValueParser<TensorTypeName> = (text, option) =>
  weightTypes.find((type) => type === text.toUpperCase()) ??
  invalid(option, text, expected.mix({ known: weightTypes.join(", ") }));

/** `PATTERN=TYPE` */
const tensorTypeWish: ValueParser<TensorTypeWish[]> = (text, option) => {
  const equals = text.lastIndexOf("=");
  const pattern = text.slice(0, equals);
  const named = text.slice(equals + 1);
  const type = weightTypes.find((name) => name === named.toUpperCase());
  const known = weightTypes.join(", ");
  if (equals < 1) return invalid(option, text, expected.tensorType({ known }));
  try {
    new RegExp(pattern);
  } catch {
    return invalid(option, text, expected.pattern({ pattern }));
  }
  if (!type) return invalid(option, text, expected.typeOfTensors({ named, known }));
  return [{ pattern, type }];
};

const size: ValueParser<number> = (text, option) => {
  // gguf-split's own `2G` and `500M` are decimal
  const bytes = parseBytes(/^\d+[kmg]$/i.test(text) ? `${text}B` : text);
  return bytes !== undefined && bytes > 0 ? bytes : invalid(option, text, expected.size);
};

/** What types the tensors get. */
export const typeOptions = {
  tensorType: list("--tensor-type <PATTERN=TYPE>", tensorTypeWish),
  outputTensorType: value("--output-tensor-type <TYPE>", weightType),
  tokenEmbeddingType: value("--token-embedding-type <TYPE>", weightType),
  pure: toggle("--pure"),
  imatrix: value("--imatrix <FILE>", anyText),
  allowRequantize: toggle("--allow-requantize"),
};

/** How files are written. */
export const writingOptions = {
  restart: toggle("--restart"),
  force: toggle("--force", ["--overwrite"]),
  threads: value("-t, --threads <N>", integer(1, 256)),
  json: toggle("--json"),
};

export const dryRunOption = { dryRun: toggle("--dry-run") };
export const partOptions = {
  maxSize: value("--max-size <SIZE>", size, ["--split-max-size"]),
  maxTensors: value("--max-tensors <N>", integer(1, 1_000_000), ["--split-max-tensors"]),
};
/** Which libraries quantise, and whether their own log is shown. */
export const libraryOptions = {
  ...pick(modelOptions, "backend", "libDir"),
  ...pick(outputOptions, "verbose"),
};

export function addLibraryOptions(command: CommandUnknownOpts): void {
  const { headings, model, output } = descriptions;
  addOptions(command, headings.model, libraryOptions, { ...model, ...output });
}

export type TypeValues = Values<typeof typeOptions>;
export type WritingValues = Values<typeof writingOptions> & Values<typeof libraryOptions>;
