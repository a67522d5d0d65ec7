import { Command } from "@commander-js/extra-typings";
import type { ConversionRequest } from "../convert/conversion.js";
import { runMeasurement } from "../convert/job.js";
import type { Measurement, MeasureProgress } from "../convert/measure-types.js";
import { isJaugeError, JaugeError } from "../errors.js";
import { type TensorTypeName, tensorElements } from "../gguf/tensor-types.js";
import { defaultThreads } from "../hardware/cpu.js";
import { optionMessages } from "../messages/cli-options.js";
import { compareTexts } from "../messages/compare-texts.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { localized } from "../messages/locale.js";
import { type MixName, mixes, mixNamed, mixNames } from "../quantize/mixes.js";
import { sizesOf, type TargetMix, typesWithin } from "../quantize/target-types.js";
import { formatBytes, formatDecimal, parseBytes } from "../units.js";
import { runJob, writingWishes } from "./conversion.js";
import {
  addLibraryOptions,
  dryRunOption,
  libraryOptions,
  type WritingValues,
  weightType,
  writingOptions,
} from "./conversion-options.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, toggle, type Values, value } from "./option-spec.js";
import { anyText, commaList, fileName, integer, invalid, type ValueParser } from "./option-values.js";
import { described, interruptSignal } from "./scoring-options.js";
import { columns, LoadProgress, note, print } from "./terminal.js";
import { jaugeVersion } from "./version.js";

const { target: texts } = localized(compareTexts);
const conversionTexts = localized(conversionMessages);
const descriptions = localized(optionMessages);

const fileSize: ValueParser<number> = (text, option) => {
  const bytes = parseBytes(text);
  return bytes !== undefined && bytes > 0 ? bytes : invalid(option, text, texts.expectedSize);
};

const targetOptions = {
  size: value("--size <SIZE>", fileSize),
  output: value("-o, --output <FILE>", fileName),
  imatrix: value("--imatrix <FILE>", anyText),
  types: value("--types <TYPE,...>", commaList(weightType)),
  sampledElements: value("--sampled-elements <N>", integer(256, 2 ** 24)),
  allowRequantize: toggle("--allow-requantize"),
  ...dryRunOption,
};

type TargetValues = Values<typeof targetOptions> & WritingValues;

/** `jauge target MODEL --size SIZE -o OUT.gguf` */
export function targetCommand(): CommandPart {
  const command = new Command("target").description(texts.description).argument("<model>", texts.model);
  addOptions(command, descriptions.headings.command, targetOptions, described(targetOptions, texts));
  addOptions(
    command,
    conversionTexts.headings.writing,
    writingOptions,
    described(writingOptions, conversionTexts.options),
  );
  addLibraryOptions(command);
  command.addHelpText(
    "after",
    examples(
      "jauge target model-F16.gguf --size 11.2GB -o model-11.2GB.gguf",
      "jauge target model-F16.gguf --size 5GiB -o model-5GiB.gguf --imatrix model.imatrix.gguf",
      "jauge target model-F16.gguf --size 8GB --types Q3_K,Q4_K,Q5_K,Q6_K --dry-run",
    ),
  );
  command.action((model, values) => target(model, values as TargetValues));
  return { command, tables: [targetOptions, writingOptions, libraryOptions] };
}

/** Errors: `option-missing`, `target-too-small`, `target-interrupted`; those of `runMeasurement` and `runConversion`. */
async function target(source: string, values: TargetValues): Promise<void> {
  const { size, output, imatrix } = values;
  if (size === undefined)
    throw new JaugeError("option-missing", { command: "jauge target", option: "--size" });
  if (output === undefined && !values.dryRun)
    throw new JaugeError("option-missing", { command: "jauge target", option: "--output" });
  const measured = await measure(source, values);
  const mix = typesWithin(measured.tensors, measured.fixedBytes, size);
  const { least, most } = sizesOf(measured.tensors, measured.fixedBytes);
  if (!mix) throw new JaugeError("target-too-small", { size, leastBytes: least });
  if (values.dryRun && !values.json) await printTypes(measured, mix);
  await tell(measured, mix, size, values);
  if (size > most && !values.json) note(texts.largest({ bytes: formatBytes(most) }));
  if (values.dryRun) return;
  const request: ConversionRequest = {
    ...{ source, output: output! },
    wishes: {
      type: mixLike(measured, mix),
      tensorTypes: measured.tensors.map(({ name }, index) => ({
        pattern: `^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`,
        type: mix.types[index]!,
      })),
      ...(values.allowRequantize && { allowRequantize: true }),
    },
    division: { kind: "whole", order: "layers" },
    ...(imatrix !== undefined && { importance: imatrix }),
    ...writingWishes(values),
  };
  await runJob(request, values);
}

async function measure(source: string, values: TargetValues): Promise<Measurement> {
  const { imatrix, types, allowRequantize } = values;
  const directory = values.libDir ?? process.env.JAUGE_LIB_DIR;
  const backend = values.backend ?? (process.env.JAUGE_BACKEND || undefined);
  let bar: LoadProgress | undefined;
  const onMeasuring = ({ done, total, tensors, types }: MeasureProgress) => {
    if (values.json) return;
    if (!bar) note(measuringText(tensors, types));
    bar ??= new LoadProgress(texts.measuring, undefined);
    bar.update(done / Math.max(1, total));
  };
  try {
    return await runMeasurement(
      {
        ...{ measure: true, source, threads: values.threads ?? defaultThreads() },
        ...(types && { types }),
        ...(imatrix !== undefined && { importance: imatrix }),
        sampledElements: values.sampledElements ?? 65_536,
        ...(allowRequantize && { allowRequantize }),
      },
      {
        version: jaugeVersion(),
        libraries: { ...(backend ? { backend: backend as "cpu" } : {}), ...(directory ? { directory } : {}) },
        signal: interruptSignal(),
        onMeasuring,
        ...(values.verbose ? { onLog: note } : {}),
      },
    );
  } catch (error) {
    throw explained(error);
  } finally {
    bar?.done();
  }
}

/** What is to be done about it here, where there is no --type and nothing to continue. */
function explained(error: unknown): unknown {
  if (isJaugeError(error, "cancelled")) return new JaugeError("target-interrupted", {});
  if (!isJaugeError(error, "requantise-refused")) return error;
  return new JaugeError("requantise-refused", { ...error.facts, isTarget: true });
}

/** Quantising to these types searches a table of patterns for every block. */
const searchedType = /^IQ[123]_/;

function measuringText(tensors: number, types: readonly TensorTypeName[]): string {
  const searched = types.filter((type) => searchedType.test(type));
  const text = texts.measured({ tensors, types: types.length });
  return searched.length === 0 ? text : text + texts.searched({ types: searched.join(", ") });
}

/** The mix whose name the file gets: that of the type which takes most of its bytes. */
function mixLike({ tensors }: Measurement, mix: TargetMix): MixName {
  const [most] = bytesByType(tensors, mix)[0] ?? ["Q8_0" as const];
  const named = mixNamed(most) ?? mixNamed(`${most}_M`) ?? mixNames.find((name) => mixes[name] === most);
  // Of a mix that quantises nothing, the tensors that have no choice would be other ones.
  return named === undefined || /^B?F(16|32)$/.test(named) ? "Q8_0" : named;
}

function bytesByType(tensors: Measurement["tensors"], mix: TargetMix): [TensorTypeName, number][] {
  const bytes = new Map<TensorTypeName, number>();
  for (const [index, tensor] of tensors.entries()) {
    const type = mix.types[index]!;
    bytes.set(type, (bytes.get(type) ?? 0) + choiceOf(tensor, type).bytes);
  }
  return [...bytes].sort((a, b) => b[1] - a[1]);
}

function choiceOf(tensor: Measurement["tensors"][number], type: TensorTypeName) {
  return tensor.types.find((choice) => choice.type === type)!;
}

async function printTypes({ tensors }: Measurement, mix: TargetMix): Promise<void> {
  const rows = tensors.map((tensor, index) => {
    const { bytes, error, type } = choiceOf(tensor, mix.types[index]!);
    return [tensor.name, tensor.shape.join("×"), tensor.from, type, formatBytes(bytes), percent(error)];
  });
  for (const line of columns([Object.values(texts.columns), ...rows], [4, 5])) await print(`${line}\n`);
}

/** Says what was chosen: a line, or with --json an event. */
async function tell(
  measured: Measurement,
  mix: TargetMix,
  size: number,
  values: TargetValues,
): Promise<void> {
  const { tensors, fixedBytes } = measured;
  if (values.json) {
    const chosen = tensors.map((tensor, index) => ({
      ...{ name: tensor.name, from: tensor.from, weighted: tensor.weighted },
      ...choiceOf(tensor, mix.types[index]!),
    }));
    const { bytes, loss } = mix;
    await print(`${JSON.stringify({ event: "target", size, bytes, loss, fixedBytes, tensors: chosen })}\n`);
    return;
  }
  const byType = bytesByType(tensors, mix);
  const all = byType.reduce((sum, [, bytes]) => sum + bytes, 0);
  const weights = tensors.reduce((sum, { shape }) => sum + tensorElements(shape)!, 0);
  const line = texts.summary({
    ...{ size: formatBytes(size), bytes: formatBytes(mix.bytes) },
    bits: formatDecimal((8 * all) / Math.max(1, weights), 2),
    error: percent(mix.loss),
    types: byType.map(([type, bytes]) => `${type} ${Math.round((100 * bytes) / all)} %`).join(", "),
  });
  if (values.dryRun) await print(`${line}\n`);
  else note(line);
}

function percent(part: number): string {
  return `${formatDecimal(100 * part, part < 0.001 ? 4 : 2)} %`;
}
