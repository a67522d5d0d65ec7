import { checkOutput } from "../convert/check-output.js";
import { type ConversionRequest, type CopyRequest, planConversion } from "../convert/conversion.js";
import { type PlannedSummary, runConversion } from "../convert/job.js";
import { openModelSource } from "../convert/open.js";
import { summaryOf } from "../convert/summary.js";
import { JaugeError } from "../errors.js";
import { tensorTypes } from "../gguf/tensor-types.js";
import { defaultThreads } from "../hardware/cpu.js";
import { conversionMessages } from "../messages/conversion-cli.js";
import { sourceNotes } from "../messages/convert.js";
import { localized } from "../messages/locale.js";
import { readImportanceMatrix } from "../quantize/importance-matrix.js";
import { mixes } from "../quantize/mixes.js";
import { formatBytes, formatDecimal } from "../units.js";
import type { TypeValues, WritingValues } from "./conversion-options.js";
import { columns, LoadProgress, note, print } from "./terminal.js";
import { jaugeVersion } from "./version.js";

const texts = localized(conversionMessages);
const sourceTexts = localized(sourceNotes);

/** What the options say about types. */
export function typeWishes(values: TypeValues): Omit<ConversionRequest["wishes"], "type"> {
  const { tensorType, outputTensorType, tokenEmbeddingType, pure, allowRequantize } = values;
  return {
    ...(tensorType ? { tensorTypes: tensorType } : {}),
    ...(outputTensorType ? { outputType: outputTensorType } : {}),
    ...(tokenEmbeddingType ? { embeddingType: tokenEmbeddingType } : {}),
    ...(pure ? { pure } : {}),
    ...(allowRequantize ? { allowRequantize } : {}),
  };
}

/** Refuses a matrix where nothing is quantised that it could weigh. Errors: `option-unused`. */
export function expectMatrixUsed({ source, wishes, importance }: ConversionRequest): void {
  const { type, tensorTypes: named = [], outputType, embeddingType } = wishes;
  const types = [type === "auto" ? "BF16" : mixes[type], outputType, embeddingType];
  const isQuantised = [...types, ...named.map((wish) => wish.type)].some(
    (type) => type !== undefined && tensorTypes[type].quantised,
  );
  if (importance !== undefined && !isQuantised)
    throw new JaugeError("option-unused", { path: source, option: "--imatrix", reason: "plain" });
}

/** What the options say about writing. */
export function writingWishes({ restart, force, threads }: WritingValues) {
  return {
    threads: threads ?? defaultThreads(),
    ...(restart ? { restart } : {}),
    ...(force ? { overwrite: true } : {}),
  };
}

/**
 * Does a conversion, and shows how far it is: a bar on a terminal, else a line for each tenth; with --json events.
 * Ctrl-C ends it so that the same command continues it; a second Ctrl-C at once. Errors: those of `runConversion`.
 */
export async function runJob(request: ConversionRequest | CopyRequest, values: WritingValues): Promise<void> {
  const interrupt = new AbortController();
  const onSignal = () => {
    if (!values.json) note(texts.stopping);
    interrupt.abort();
  };
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const started = performance.now();
  const view = values.json ? new EventView() : new PersonView(request.output);
  try {
    const directory = values.libDir ?? process.env.JAUGE_LIB_DIR;
    const backend = values.backend ?? (process.env.JAUGE_BACKEND || undefined);
    const result = await runConversion(request, {
      version: jaugeVersion(),
      libraries: { ...(backend ? { backend: backend as "cpu" } : {}), ...(directory ? { directory } : {}) },
      signal: interrupt.signal,
      onPlanned: (plan) => view.planned(plan),
      onProgress: (progress) => view.progress(progress),
      onVerifying: () => view.verifying(),
      ...(values.verbose ? { onLog: note } : {}),
    });
    await view.done(result, (performance.now() - started) / 1000);
  } finally {
    view.end();
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** Shows what a conversion would write. Errors: those of opening and planning. */
export async function showPlan(request: ConversionRequest, values: WritingValues): Promise<void> {
  const model = await openModelSource(request.source, request.sourceOptions);
  const importance =
    request.importance === undefined ? undefined : await readImportanceMatrix(request.importance);
  try {
    const plan = planConversion(model, request, importance);
    await checkOutput(model.path, plan.files);
    const summary = summaryOf(plan);
    if (values.json) return await print(`${JSON.stringify(summary, undefined, 2)}\n`);
    const names = texts.columns;
    const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape.join("×")]));
    const rows = summary.tensors.map(({ name, from, type, bytes, weighted }) => [
      ...[name, shapes.get(name) ?? "", from, type, formatBytes(bytes), weighted ? names.weighted : ""],
    ]);
    const head = [names.tensor, names.shape, names.from, names.type, names.bytes, ""];
    for (const line of columns([head, ...rows], [4])) await print(`${line}\n`);
    await print(`${totalOf(summary, model.tensors)}\n`);
    for (const each of plan.notes) note(sourceTexts[each.kind](each));
  } finally {
    await model.close();
  }
}

function totalOf(summary: PlannedSummary, tensors: readonly { shape: readonly number[] }[]): string {
  const sum = (key: "bytes" | "bytesBefore") =>
    summary.tensors.reduce((total, tensor) => total + tensor[key], 0);
  const weights = tensors.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);
  return texts.total({
    tensors: tensors.length,
    before: formatBytes(sum("bytesBefore")),
    bytes: formatBytes(sum("bytes")),
    bits: formatDecimal((8 * sum("bytes")) / Math.max(1, weights), 2),
  });
}

type Progress = { bytes: number; totalBytes: number; earlierBytes: number; tensor: string };
type Result = { bytes: number; peakBytes: number };

/** Tells a person. */
class PersonView {
  private bar: LoadProgress | undefined;
  private path = "";
  private files = 1;
  private readBytes = 0;

  /** `output` is what the person named, who may have left the name open. */
  constructor(private readonly output: string | undefined) {}

  planned({ format, notes, files, tensors }: PlannedSummary): void {
    this.files = files.length;
    this.path = this.output ?? files[0]!.path;
    const sum = (key: "bytes" | "bytesBefore") => tensors.reduce((total, tensor) => total + tensor[key], 0);
    note(`${format}: ${formatBytes(sum("bytesBefore"))} → ${formatBytes(sum("bytes"))}`);
    for (const each of notes) note(sourceTexts[each.kind](each));
  }

  progress({ bytes, totalBytes, earlierBytes }: Progress): void {
    const left = totalBytes - earlierBytes;
    if (!this.bar && earlierBytes > 0)
      note(texts.continuing({ percent: Math.floor((100 * earlierBytes) / totalBytes) }));
    this.bar ??= new LoadProgress(texts.converting({ path: this.path }), left);
    this.readBytes = bytes - earlierBytes;
    if (left > 0) this.bar.update(this.readBytes / left);
  }

  verifying(): void {
    this.end();
  }

  async done({ bytes, peakBytes }: Result, seconds: number): Promise<void> {
    this.end();
    const path = this.files > 1 ? `${this.path} (${texts.parts({ count: this.files })})` : this.path;
    const line = texts.done({
      ...{ path, bytes: formatBytes(bytes), seconds: formatDecimal(seconds, 1) },
      rate: formatBytes(Math.round(this.readBytes / seconds)),
      peak: formatBytes(peakBytes),
    });
    await print(`${line}\n`);
  }

  end(): void {
    this.bar?.done();
  }
}

/** Tells a program: one JSON object in each line. */
class EventView {
  planned(plan: PlannedSummary): void {
    this.tell({ event: "planned", ...plan });
  }

  progress(progress: Progress): void {
    this.tell({ event: "progress", ...progress });
  }

  verifying(): void {
    this.tell({ event: "verifying" });
  }

  async done(result: Result, seconds: number): Promise<void> {
    this.tell({ event: "done", ...result, seconds });
  }

  end(): void {}

  private tell(event: Record<string, unknown>): void {
    process.stdout.write(`${JSON.stringify(event)}\n`);
  }
}
