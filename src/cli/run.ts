import { Command } from "@commander-js/extra-typings";
import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { defaultModelPath } from "../model.js";
import { readSavedPlan } from "../plan/saved-plan.js";
import { answerOnce } from "./answer.js";
import { examples } from "./examples.js";
import { offeredInput, readTextFile } from "./input.js";
import { budgetOptionsOf, generateOptions, loadOptions, optionOf, unescaped } from "./library-options.js";
import { openModel } from "./open-model.js";
import { addOptions, type CommandPart } from "./option-spec.js";
import {
  answerOptions,
  budgetOptions,
  modelOptions,
  outputOptions,
  type PromptValues,
  promptOptions,
  type RunValues,
  reportOptions,
  samplingOptions,
} from "./options.js";
import { oneLine } from "./plan-format.js";
import { modelAndText } from "./positionals.js";
import { note } from "./terminal.js";

const { run: texts } = localized(cliMessages);
const descriptions = localized(optionMessages);

/** `jauge run [MODEL] [PROMPT]`: a chat, or one answer. */
export function runCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("run")
    .description(texts.description)
    .argument("[model]", texts.model)
    .argument("[prompt]", texts.prompt);
  addOptions(command, headings.prompt, promptOptions, descriptions.prompt);
  addOptions(command, headings.answer, answerOptions, descriptions.answer);
  addOptions(
    command,
    headings.output,
    { ...reportOptions, ...outputOptions },
    {
      ...descriptions.report,
      ...descriptions.output,
    },
  );
  addOptions(command, headings.budget, budgetOptions, descriptions.budget);
  addOptions(command, headings.model, modelOptions, descriptions.model);
  addOptions(command, headings.sampling, samplingOptions, descriptions.sampling);
  command.addHelpText(
    "after",
    examples(
      "jauge run",
      'jauge run "Once upon a time"',
      'jauge run model.gguf "Why is the sky blue?" --temp 0 --stats',
      "jauge run model.gguf --vram 11.5GB --ram 56GiB -c 8192",
      "jauge run model.gguf -sys 'You answer in French.'",
      "cat letter.txt | jauge run model.gguf --json",
      `jauge run model.gguf -p "Three colours" -j '{"type":"array","items":{"type":"string"}}'`,
    ),
  );
  command.action((first, second, values) => run(first, second, values as RunValues));
  return {
    command,
    tables: [
      ...[promptOptions, answerOptions, reportOptions, outputOptions],
      ...[budgetOptions, modelOptions, samplingOptions],
    ],
  };
}

async function run(first: string | undefined, second: string | undefined, values: RunValues): Promise<void> {
  const named = modelAndText(first, second, values.model, "jauge run");
  const { text } = named;
  // Without a model, a saved plan brings its own.
  const modelPath = (named.isEmbedded && (await plannedModel(values))) || named.modelPath;
  if (values.logprobs !== undefined && !values.json) {
    throw new JaugeError("option-needs", { option: "--logprobs", other: "--json" });
  }
  const canChat = process.stdin.isTTY && process.stdout.isTTY && !values.json;
  const prompt = await readPrompt(text, values, canChat);
  const system = values.systemPromptFile ? await readTextFile(values.systemPromptFile) : values.systemPrompt;
  const options = await generateOptions(values);

  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  refuseSettingsBesidePlan(values);
  await using model = await openModel(
    modelPath,
    { ...loadOptions(values), ...(await budgetOptionsOf(values)), signal: interrupt.signal },
    values,
  );
  if (!values.json) for (const line of [oneLine(model.modelPlan), ...model.modelPlan.warnings]) note(line);
  const isChat = canChat && (prompt === undefined || values.conversation === true);
  if (!isChat) {
    await answerOnce(model, { prompt: prompt ?? "", system, options, values, signal: interrupt.signal });
    return;
  }
  process.off("SIGINT", onSignal);
  const { chat } = await import("./chat.js");
  const isEmbedded = modelPath === defaultModelPath;
  await chat(model, { values, options, system, first: prompt, isEmbedded });
}

/** The model of the saved plan, where there is one. */
async function plannedModel({ plan }: RunValues): Promise<string | undefined> {
  return plan === undefined ? undefined : (await readSavedPlan(plan)).engine.modelPath || undefined;
}

/** A saved plan says all about the run. Errors: `options-conflict`. */
function refuseSettingsBesidePlan(values: RunValues): void {
  if (values.plan === undefined) return;
  const {
    backend: _,
    libraryDirectory: __,
    template: ___,
    speculation: ____,
    ...settings
  } = loadOptions(values);
  const [other] = Object.keys(settings);
  if (other !== undefined)
    throw new JaugeError("options-conflict", { option: "--plan", other: optionOf(other) });
}

/**
 * The prompt from the one place that gives it; undefined opens a chat.
 * Errors: `options-conflict`, `prompt-missing`, those of reading.
 */
async function readPrompt(
  argument: string | undefined,
  values: PromptValues,
  canChat: boolean,
): Promise<string | undefined> {
  const sources = { PROMPT: argument, "--prompt": values.prompt, "--file": values.file };
  const [source, other] = Object.entries(sources).filter(([, value]) => value !== undefined);
  if (source && other) throw new JaugeError("options-conflict", { option: source[0], other: other[0] });
  if (argument !== undefined) return argument;
  if (values.prompt !== undefined) return unescaped(values.prompt, values);
  if (values.file !== undefined) return withoutLastNewline(await readTextFile(values.file));
  if (canChat) return undefined;
  const piped = await offeredInput(() => note(texts.waiting));
  if (piped === undefined) throw new JaugeError("prompt-missing", {});
  return withoutLastNewline(piped);
}

/** The newline that every editor and `echo` adds is no part of a prompt. llama.cpp takes it off too. */
function withoutLastNewline(text: string): string {
  return text.replace(/\r?\n$/, "");
}
