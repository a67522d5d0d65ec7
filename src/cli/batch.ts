import { randomInt } from "node:crypto";
import { Command } from "@commander-js/extra-typings";
import { usualAnswer } from "../batch/estimate.js";
import { type BatchSource, openSource, type SourceOptions } from "../batch/input/source.js";
import { Template } from "../batch/input/template.js";
import { Job, type JobEnd, together } from "../batch/job.js";
import { outputFile } from "../batch/output.js";
import { profileOf } from "../batch/profile.js";
import type { AnswerOptions } from "../batch/request.js";
import { type JobSettings, readSettings } from "../batch/settings.js";
import { JaugeError } from "../errors.js";
import type { ModelOutline } from "../gguf/outline.js";
import { batchMessages } from "../messages/batch-view.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { defaultModelPath, type LoadOptions, type Model } from "../model.js";
import type { JobProfile } from "../plan/job.js";
import { openModelFile } from "../planner/sources/open.js";
import { countEnergy, type EnergyCount, energyTogether, type JobEnergy } from "./batch-energy.js";
import { Interrupt } from "./batch-interrupt.js";
import {
  type BatchValues,
  batchOptions,
  batchPromptOptions,
  embeddingWishes,
  mostContext,
  recordedOptions,
} from "./batch-options.js";
import { type BatchView, batchView } from "./batch-view.js";
import { exitCodes } from "./errors.js";
import { examples } from "./examples.js";
import { readTextFile } from "./input.js";
import { budgetOptionsOf, generateOptions, loadOptions } from "./library-options.js";
import { openModel, openTokenizer } from "./open-model.js";
import { addOptions, type CommandPart } from "./option-spec.js";
import { answerOptions, budgetOptions, modelOptions, outputOptions, samplingOptions } from "./options.js";
import { formatNumber, oneLine } from "./plan-format.js";
import { reportedDevices } from "./stats.js";
import { note } from "./terminal.js";

const texts = localized(batchMessages);
const descriptions = localized(optionMessages);

/** `jauge batch [INPUT] -m MODEL -o OUTPUT`: a file of prompts, answered within the budget whatever happens. */
export function batchCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("batch").description(texts.description).argument("[input]", texts.input);
  addOptions(command, texts.heading, batchOptions, texts.options);
  addOptions(command, headings.prompt, batchPromptOptions, descriptions.prompt);
  addOptions(command, headings.answer, answerOptions, descriptions.answer);
  addOptions(command, headings.output, outputOptions, descriptions.output);
  addOptions(command, headings.budget, budgetOptions, descriptions.budget);
  addOptions(command, headings.model, modelOptions, descriptions.model);
  addOptions(command, headings.sampling, samplingOptions, descriptions.sampling);
  command.addHelpText(
    "after",
    `\n${texts.note}\n${examples(
      "jauge batch prompts.jsonl -m model.gguf -o answers.jsonl",
      "jauge batch prompts.jsonl -m model.gguf -o answers.jsonl --vram 11.5GB --ram 56GiB",
      'jauge batch sentences.csv -m model.gguf -o french.jsonl --template "Translate into French: {text}"',
      "cat questions.txt | jauge batch -m model.gguf -o answers.jsonl -n 200 --temp 0 --ordered",
      "jauge batch prompts.jsonl -m model.gguf --estimate",
    )}`,
  );
  command.action((input, values) => batch(input, values as BatchValues));
  return {
    command,
    tables: [
      ...[batchOptions, batchPromptOptions, answerOptions, outputOptions],
      ...[budgetOptions, modelOptions, samplingOptions],
    ],
  };
}

async function batch(argument: string | undefined, values: BatchValues): Promise<void> {
  const interrupt = new Interrupt();
  const modelPath = values.model ?? defaultModelPath;
  const system = values.systemPromptFile ? await readTextFile(values.systemPromptFile) : values.systemPrompt;
  const { timeLimitMs: _, ...answers } = await generateOptions({ ...values });
  const defaults: AnswerOptions = {
    ...answers,
    ...(values.timeLimit && { timeLimitMs: values.timeLimit * 1000 }),
  };
  const reading = readingOptions(values, system);
  const name = argument ?? "-";
  if (name === "-" && process.stdin.isTTY) note(texts.waiting);
  const { fingerprint, outline } = await openModelFile(modelPath);
  const load: LoadOptions = {
    objective: "batch",
    ...loadOptions({ ...values, template: values.chatTemplate }),
    ...(await budgetOptionsOf(values)),
    ...(values.deterministic && { exact: true, sequences: 1, speculation: false }),
    signal: interrupt.signal,
  };
  if (values.estimate) {
    const { estimateJob } = await import("./batch-estimate.js");
    const source = await openSource(name, reading);
    await estimateJob(source, modelPath, load, { values, defaults, outline });
    return;
  }
  const { output } = values;
  if (output === undefined)
    throw new JaugeError("option-missing", { command: "jauge batch", option: "--output" });
  const given: Given = {
    ...{ name, reading, modelPath, outline, load, values, defaults, output, interrupt },
    file: await outputFile(output, name),
    view: batchView({ json: values.json ?? false }),
    settings: {
      model: { name: outline.name ?? modelPath, fingerprint },
      options: recordedOptions(values, system),
      seed: values.seed ?? randomInt(2 ** 32 - 1),
    },
  };
  try {
    // Texts and embeddings have plans of their own: where a file has both, the others follow.
    let before: Answered | undefined;
    do before = await runPart(given, before);
    while (before && before.end.deferred > 0 && !before.end.isInterrupted);
    const line = before.end.unreadFrom;
    if (line !== undefined) {
      process.exitCode = exitCodes.file;
      if (!values.json) note(texts.unread({ path: name, line: formatNumber(line) }));
    }
  } finally {
    interrupt.done();
  }
}

/** What every part of a job has in common. */
interface Given {
  name: string;
  reading: SourceOptions;
  modelPath: string;
  outline: ModelOutline;
  load: LoadOptions;
  values: BatchValues;
  defaults: AnswerOptions;
  output: string;
  /** What `output` leads to. */
  file: string;
  interrupt: Interrupt;
  view: BatchView;
  settings: JobSettings;
}

/** What was answered so far, and what it took. */
interface Answered {
  end: JobEnd;
  energy?: JobEnergy;
}

/** Answers the lines of one kind that are left: that of the first of them. */
async function runPart(given: Given, before: Answered | undefined): Promise<Answered> {
  const { name, reading, modelPath, load, values, file, interrupt } = given;
  const known = await readSettings(file).catch(() => undefined);
  const source = await openSource(name, reading, known?.input);
  // A pipe is looked at before it is read.
  const isPipe = source.totalBytes === undefined;
  const beginning = isPipe && !load.savedPlan ? await source.glance() : undefined;
  const { ordered = false, failFast = false } = values;
  const job = await Job.open({
    ...{ source, output: file, ordered, failFast },
    settings: { ...given.settings, ...(source.beginning && { input: source.beginning }) },
    force: values.force ?? false,
    defersOtherKind: !isPipe && !ordered && !load.savedPlan,
  });
  let model: Model | undefined;
  try {
    if (job.finishedBefore > 0 && !before && !values.json)
      note(texts.resumed({ lines: formatNumber(job.finishedBefore) }));
    const kind = await job.peek();
    const { ignoredColumns = [] } = source.table;
    if (ignoredColumns.length > 0 && !before && !values.json)
      note(texts.ignoredColumns({ names: ignoredColumns.join(", ") }));
    if (kind) {
      const profile = load.savedPlan
        ? undefined
        : await profileOfLines(beginning ?? (await source.glance()), kind, given);
      const wishes = kind === "embedding" ? { ...load, ...embeddingWishes(given.outline) } : load;
      model = await openModel(modelPath, { ...wishes, ...(profile && { job: profile }) }, values);
    }
    return await answer(job, model, kind, given, before);
  } finally {
    try {
      await job.close();
    } finally {
      // Whatever the disk says, the engine's process must not outlive the job: this one would wait for it.
      if (interrupt.signal.aborted) await interrupt.leave(model);
      await model?.close();
    }
  }
}

/** What the lines at the beginning of an input are like. */
async function profileOfLines(
  beginning: BatchSource,
  kind: "text" | "embedding",
  { modelPath, outline, load, values, defaults }: Given,
): Promise<JobProfile | undefined> {
  await using tokenizer = await openTokenizer(modelPath, load, values);
  const expectedTokens = values.expectTokens ?? usualAnswer;
  const contextLength = mostContext(load, outline);
  return await profileOf(beginning, (text) => tokenizer.tokenize(text), {
    ...{ kind, defaults, expectedTokens, contextLength },
  });
}

async function answer(
  job: Job,
  model: Model | undefined,
  kind: "text" | "embedding" | undefined,
  { values, defaults, output, interrupt, view }: Given,
  before: Answered | undefined,
): Promise<Answered> {
  if (!model) {
    if (!values.json && job.progress.unreadFrom === undefined) note(texts.nothingLeft({ path: output }));
    const end = await job.run(undefined);
    await view.end(end, output);
    return { end };
  }
  if (!values.json) for (const line of [oneLine(model.modelPlan), ...model.modelPlan.warnings]) note(line);
  const energy = await countEnergy(model);
  const stopWatching = watch(job, model, view, energy, before);
  try {
    const end = await job.run(model, {
      defaults,
      signal: interrupt.signal,
      ...(values.lookAhead !== undefined && { lookAhead: values.lookAhead }),
      ...(values.expectTokens !== undefined && { expectedTokens: values.expectTokens }),
    });
    stopWatching();
    // Who is interrupted does not wait for a step of the engine.
    const taken = end.isInterrupted ? energy.latest : await energy.now();
    const all = { end: together(before?.end, end), energy: energyTogether(before?.energy, taken) };
    if (end.deferred === 0 || end.isInterrupted) await view.end(all.end, output, all.energy);
    else if (!values.json) note(texts.otherKind({ lines: formatNumber(end.deferred), kind: kind ?? "text" }));
    if (end.isInterrupted && !values.json) for (const line of interrupt.continueText()) note(line);
    return all;
  } finally {
    stopWatching();
  }
}

/** Keeps the view up to date; what it could not ask this time it asks the next. */
function watch(
  job: Job,
  model: Model,
  view: BatchView,
  energy: EnergyCount,
  before: Answered | undefined,
): () => void {
  let isAsking = false;
  let isOver = false;
  const timer = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    Promise.all([model.memory(), model.peakMemory(), energy.now()])
      .then(async ([memory, peaks, taken]) => {
        const devices = reportedDevices(memory, model.modelPlan, peaks);
        if (isOver) return;
        await view.update(together(before?.end, job.progress), {
          devices,
          energy: energyTogether(before?.energy, taken),
        });
      })
      .catch(() => {})
      .finally(() => {
        isAsking = false;
      });
  }, view.intervalMs);
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}

function readingOptions(values: BatchValues, system: string | undefined): SourceOptions {
  return {
    ...(values.template !== undefined && { template: new Template(values.template) }),
    ...(system !== undefined && { system }),
    ...(values.conversation === false && { raw: true }),
    ...(values.inputFormat && { format: values.inputFormat }),
  };
}
