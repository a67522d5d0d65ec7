import { Command } from "@commander-js/extra-typings";
import { cliMessages } from "../messages/cli.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import type { Model } from "../model.js";
import { defaultModelPath } from "../model.js";
import { type BenchTest, type Measurement, measure } from "./bench-measure.js";
import { examples } from "./examples.js";
import { budgetOptionsOf, loadOptions } from "./library-options.js";
import { openModel } from "./open-model.js";
import { addOptions, type CommandPart, list, type Values, value } from "./option-spec.js";
import { commaList, integer, invalid, layerCount, type ValueParser } from "./option-values.js";
import {
  type BudgetValues,
  budgetOptions,
  type ModelValues,
  modelOptions,
  type OutputValues,
  outputOptions,
} from "./options.js";
import { markdownTable, note, print, showStatus } from "./terminal.js";

const { bench: texts, expected, run: runTexts } = localized(cliMessages);
const descriptions = localized(optionMessages);

// The names are those of llama-bench.
const benchOptions = {
  nPrompt: value("-p, --n-prompt <N,...>", commaList(integer(0, 1_000_000))),
  nGen: value("-n, --n-gen <N,...>", commaList(integer(0, 1_000_000))),
  pg: list("--pg <N,N>", promptAndGeneration, ["-pg"]),
  repetitions: value("-r, --repetitions <N>", integer(1, 1000)),
  batchSize: value("-b, --batch-size <N,...>", commaList(integer(1, 1_000_000))),
  ubatchSize: value("--ubatch-size <N,...>", commaList(integer(1, 1_000_000)), ["-ub"]),
  threads: value("-t, --threads <N,...>", commaList(integer(1, 4096))),
  nGpuLayers: value("--n-gpu-layers <N,...>", commaList(layerCount), ["-ngl", "--gpu-layers"]),
};
const { batchSize, ubatchSize, threads, nGpuLayers, ctxSize, parallel, ...sharedOptions } = modelOptions;

type BenchValues = Values<typeof benchOptions> & Values<typeof sharedOptions> & BudgetValues & OutputValues;

/** `jauge bench [MODEL]` */
export function benchCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("bench").description(texts.description).argument("[model]", runTexts.model);
  addOptions(command, headings.command, benchOptions, texts);
  addOptions(command, headings.output, outputOptions, descriptions.output);
  addOptions(command, headings.budget, budgetOptions, descriptions.budget);
  addOptions(command, headings.model, sharedOptions, descriptions.model);
  command.addHelpText(
    "after",
    `\n${texts.note}\n${examples(
      "jauge bench model.gguf",
      "jauge bench model.gguf -p 512,2048 -n 128 -r 3",
      "jauge bench model.gguf -pg 512,128 -ub 128,512 --json",
    )}`,
  );
  command.action((model, values) => bench(model, values as BenchValues));
  return { command, tables: [benchOptions, outputOptions, budgetOptions, sharedOptions] };
}

/** What one load of the model is measured with. */
interface Setting {
  batchSize: number;
  ubatchSize: number;
  threads?: number;
  nGpuLayers?: number;
}

interface Row extends Measurement {
  test: BenchTest;
  setting: Setting;
}

async function bench(argument: string | undefined, values: BenchValues): Promise<void> {
  const modelPath = values.model ?? argument ?? defaultModelPath;
  const settings = settingsOf(values);
  const tests = testsOf(values);
  const rows: Row[] = [];
  let info: Model["info"] | undefined;
  for (const setting of settings) {
    const options = {
      ...loadOptions({ ...values, ...setting } as ModelValues),
      ...(await budgetOptionsOf(values)),
    };
    await using model = await openModel(
      modelPath,
      // Speculation would be fed by the repetitions of what a model says to random tokens.
      { ...options, contextLength: contextLength(tests), sequences: 1, speculation: false },
      values,
    );
    info = model.info;
    for (const test of tests) {
      const repetitions = values.repetitions ?? 5;
      const onRun = (repetition: number) => showStatus(`${testName(test)} ${repetition}/${repetitions}`);
      rows.push({ test, setting, ...(await measure(model, test, repetitions, onRun)) });
      showStatus("");
    }
  }
  if (values.json) await print(`${JSON.stringify(asJson(rows, settings))}\n`);
  else if (info) await printTable(info, rows, settings);
}

function testsOf(values: BenchValues): BenchTest[] {
  const prompts = (values.nPrompt ?? [512]).map((prompt) => ({ prompt, generated: 0 }));
  const generations = (values.nGen ?? [128]).map((generated) => ({ prompt: 0, generated }));
  return [...prompts, ...generations, ...(values.pg ?? [])].filter(
    (test) => test.prompt + test.generated > 0,
  );
}

function settingsOf(values: BenchValues): Setting[] {
  const each = <T>(given: T[] | undefined, fallback: T) => (given?.length ? given : [fallback]);
  const settings: Setting[] = [];
  for (const nGpuLayers of each(values.nGpuLayers, undefined)) {
    for (const threads of each<number | undefined>(values.threads, undefined)) {
      for (const batchSize of each(values.batchSize, 2048)) {
        for (const ubatchSize of each(values.ubatchSize, 512))
          settings.push({ batchSize, ubatchSize, threads, nGpuLayers });
      }
    }
  }
  return settings;
}

/** Room for the longest test, and the token that starts or ends it. In whole blocks of 256, as llama.cpp pads it. */
function contextLength(tests: BenchTest[]): number {
  const longest = Math.max(...tests.map((test) => test.prompt + test.generated)) + 2;
  return Math.ceil(longest / 256) * 256;
}

function testName({ prompt, generated }: BenchTest): string {
  if (prompt > 0 && generated > 0) return `pp${prompt}+tg${generated}`;
  return prompt > 0 ? `pp${prompt}` : `tg${generated}`;
}

/** A public contract. Where several settings were asked for, the test's name says which one it is. */
function asJson(rows: Row[], settings: Setting[]) {
  return rows.map(({ test, setting, tokensPerSecond, spread }) => {
    const name = [testName(test), ...varied(settings).map((key) => `${shortNames[key]}=${setting[key]}`)];
    return { test: name.join(" "), tokensPerSecond, spread };
  });
}

async function printTable(info: Model["info"], rows: Row[], settings: Setting[]): Promise<void> {
  const names = varied(settings);
  const { model, description, backend, systemInfo: _ } = info;
  const size = `${(model.bytes / 2 ** 30).toFixed(2)} GiB`;
  const parameters =
    model.parameters >= 1e9
      ? `${(model.parameters / 1e9).toFixed(2)} B`
      : `${(model.parameters / 1e6).toFixed(2)} M`;
  const columns = ["model", "size", "params", "backend", ...names.map((key) => headings[key]), "test", "t/s"];
  const lines = rows.map(({ test, setting, tokensPerSecond, spread }) => [
    description,
    size,
    parameters,
    backend,
    ...names.map((key) => String(setting[key] ?? "")),
    testName(test),
    `${tokensPerSecond.toFixed(2)} ± ${spread.toFixed(2)}`,
  ]);
  const right = columns.map((_, index) => index).filter((index) => index > 0 && index !== 3);
  for (const line of markdownTable([columns, ...lines], right)) await print(`${line}\n`);
  note(texts.note);
}

const headings = { nGpuLayers: "ngl", threads: "threads", batchSize: "n_batch", ubatchSize: "n_ubatch" };
const shortNames = { nGpuLayers: "ngl", threads: "t", batchSize: "b", ubatchSize: "ub" };

/** The settings that differ between rows. */
function varied(settings: Setting[]): (keyof typeof headings)[] {
  const keys = Object.keys(headings) as (keyof typeof headings)[];
  return keys.filter((key) => new Set(settings.map((setting) => setting[key])).size > 1);
}

function promptAndGeneration(text: string, option: string): BenchTest[] {
  const [prompt, generated, ...others] = commaList(integer(1, 1_000_000) as ValueParser<number>)(
    text,
    option,
  );
  if (prompt === undefined || generated === undefined || others.length > 0)
    return invalid(option, text, expected.promptAndGeneration());
  return [{ prompt, generated }];
}
