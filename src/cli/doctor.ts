import { Command } from "@commander-js/extra-typings";
import type { LibraryWish } from "../engine/native/libraries.js";
import { readModel } from "../gguf/model-file.js";
import type { TensorTypeName } from "../gguf/tensor-types.js";
import { cpuFacts, defaultThreads } from "../hardware/cpu.js";
import { optionMessages } from "../messages/cli-options.js";
import { doctorMessages } from "../messages/doctor.js";
import { localized } from "../messages/locale.js";
import type { CalibrationRecord } from "../planner/calibration-cache.js";
import { calibrationFor } from "../planner/doctor.js";
import { describeCalibration } from "./doctor-text.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, toggle, type Values } from "./option-spec.js";
import { type ModelValues, modelOptions, outputOptions, pick } from "./options.js";
import { note, print, showStatus } from "./terminal.js";

const texts = localized(doctorMessages);
const descriptions = localized(optionMessages);
const doctorOptions = { force: toggle("--force"), ...pick(modelOptions, "model", "threads") };
const libraryOptions = pick(modelOptions, "backend", "libDir");

type DoctorValues = Values<typeof doctorOptions> &
  Values<typeof outputOptions> &
  Pick<ModelValues, "backend" | "libDir">;

/** `jauge doctor` */
export function doctorCommand(): CommandPart {
  const { headings, model, output } = descriptions;
  const command = new Command("doctor").description(texts.description);
  addOptions(command, headings.command, doctorOptions, texts.options);
  addOptions(command, headings.output, outputOptions, { ...output, json: texts.options.json });
  addOptions(command, headings.model, libraryOptions, model);
  command.addHelpText(
    "after",
    examples(
      "jauge doctor",
      "jauge doctor --model model.gguf",
      "jauge doctor --force --backend cpu",
      "jauge doctor --json | jq .calibration.host.memoryBytesPerSecond",
    ),
  );
  command.action((values) => doctor(values as DoctorValues));
  return { command, tables: [doctorOptions, outputOptions, libraryOptions] };
}

/** Errors: those of `calibrationFor`, and of reading a model's header. */
async function doctor(values: DoctorValues): Promise<void> {
  const started = Date.now();
  const types = values.model === undefined ? {} : await typesOf(values.model);
  const threads = values.threads && values.threads > 0 ? values.threads : defaultThreads();
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const progress = new Progress();
  let record: CalibrationRecord;
  try {
    record = await calibrationFor({
      libraries: libraryWish(values),
      threads,
      ...types,
      ...(values.force ? { force: true } : {}),
      // Without a model, the program itself: a large file that is always there, most often on the same disk.
      diskFile: values.model ?? process.execPath,
      onProgress: (fraction, place) => progress.update(fraction, place),
      onFailure: (device, error) => progress.note(texts.failed({ device, problem: error.message })),
      onCompiled: (device, seconds) =>
        progress.note(texts.compiled({ device, seconds: Math.round(seconds) })),
      onDisturbed: (share) => progress.note(texts.disturbed({ percent: Math.round(100 * share) })),
      signal: interrupt.signal,
    });
  } finally {
    progress.done();
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
  if (values.json) return await print(`${JSON.stringify(record, undefined, 2)}\n`);
  for (const line of describeCalibration(record, cpuFacts().description, threads)) await print(`${line}\n`);
  if (Date.parse(record.measuredAt) < started && !progress.shown)
    note(texts.known({ date: record.measuredAt.slice(0, 10) }));
}

/** The types of a model's matrices, those that take most bytes first. Errors: those of reading its header. */
async function typesOf(path: string): Promise<{ types: TensorTypeName[]; expertTypes: TensorTypeName[] }> {
  const { tensors } = await readModel(path);
  const bytesOf = (chosen: typeof tensors) => {
    const bytes = new Map<TensorTypeName, number>();
    for (const tensor of chosen) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes);
    return [...bytes.keys()].sort((a, b) => bytes.get(b)! - bytes.get(a)!);
  };
  const matrices = tensors.filter(({ shape }) => shape.length > 1);
  return {
    types: bytesOf(matrices),
    expertTypes: bytesOf(matrices.filter(({ name }) => /_exps\./.test(name))),
  };
}

/** As for a load: options, then JAUGE_BACKEND and JAUGE_LIB_DIR. */
function libraryWish({ backend, libDir }: DoctorValues): LibraryWish {
  const directory = libDir ?? process.env.JAUGE_LIB_DIR;
  return {
    backend: backend ?? ((process.env.JAUGE_BACKEND || "auto") as LibraryWish["backend"]),
    ...(directory ? { directory } : {}),
  };
}

/** Shows how far the measurement is: a bar on a terminal, else one line for each place. */
class Progress {
  /** Whether anything was measured. */
  shown = false;
  private place = "";

  update(fraction: number, place: string): void {
    this.shown = true;
    const name = texts.places[place] ?? place;
    if (process.stderr.isTTY) {
      const full = Math.round(fraction * barWidth);
      const bar = `${"█".repeat(full)}${"░".repeat(barWidth - full)}`;
      showStatus(`${texts.measuring} ${bar} ${Math.floor(100 * fraction)} %  ${name}`);
    } else if (fraction < 1 && name !== this.place) note(`${texts.measuring} ${name}`);
    this.place = name;
  }

  note(text: string): void {
    this.done();
    note(text);
  }

  done(): void {
    showStatus("");
  }
}

const barWidth = 30;
