import { Command } from "@commander-js/extra-typings";
import { Measurer } from "../engine/engine.js";
import type { LibraryWish } from "../engine/native/libraries.js";
import { JaugeError } from "../errors.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { defaultModelPath } from "../model.js";
import type { ModelPlan } from "../plan/model-plan.js";
import { savePlan } from "../plan/saved-plan.js";
import { cachedFacts } from "../planner/cached-facts.js";
import { type PlanRequest, planModel } from "../planner/plan-model.js";
import { openSource } from "../planner/sources/open.js";
import { exitCodes } from "./errors.js";
import { examples } from "./examples.js";
import { loadOptions } from "./library-options.js";
import { addOptions, type CommandPart } from "./option-spec.js";
import {
  type ModelValues,
  modelOptions,
  type OutputValues,
  outputOptions,
  type PlanValues,
  pick,
  planOptions,
} from "./options.js";
import { planPicture, terminalCanvas } from "./plan-picture.js";
import { note, print, showStatus } from "./terminal.js";
import { whatIf, whatIfTables } from "./what-if.js";

const texts = localized(planViewMessages);
const descriptions = localized(optionMessages);
const jsonOption = pick(outputOptions, "json");

type Values = PlanValues & ModelValues & Pick<OutputValues, "json">;

/** `jauge plan [MODEL]`: what a load would take and how fast it would be; nothing is loaded. */
export function planCommand(): CommandPart {
  const { headings } = descriptions;
  const command = new Command("plan").description(texts.description).argument("[model]", texts.model);
  addOptions(command, headings.budget, planOptions, { ...descriptions.budget, ...descriptions.plan });
  addOptions(command, headings.output, jsonOption, descriptions.output);
  addOptions(command, headings.model, modelOptions, descriptions.model);
  command.addHelpText(
    "after",
    `\n${texts.helpNote}\n${examples(
      "jauge plan model.gguf",
      "jauge plan model.gguf --vram 11.5GB --ram 56GiB -c 8192",
      "jauge plan model.gguf --vram 0=11.5GB,1=8GiB --for batch --save plan.json",
      "jauge plan https://example.com/model.gguf --hardware rtx-3060-12gb",
      "jauge plan config.json --type Q4_K_M --json",
      "jauge plan model.gguf --what-if --vram 8GB,12GB,16GB,24GB",
    )}`,
  );
  command.action((model, values) => showPlan(model, values as Values));
  return { command, tables: [planOptions, jsonOption, modelOptions] };
}

async function showPlan(argument: string | undefined, values: Values): Promise<void> {
  refuseConflicts(values);
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const request = requestOf(argument ?? defaultModelPath, values, interrupt.signal);
  try {
    if (values.whatIf) await answerWhatIf(request, values);
    else await answerPlan(request, values);
  } finally {
    showStatus("");
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** Errors: `option-needs`, `options-conflict`. */
function refuseConflicts({ vram, whatIf: isTable, save }: Values): void {
  if (vram?.kind === "cards" && !isTable)
    throw new JaugeError("option-needs", { option: "--vram SIZE,SIZE,…", other: "--what-if" });
  if (isTable && save !== undefined)
    throw new JaugeError("options-conflict", { option: "--what-if", other: "--save" });
}

function requestOf(argument: string, values: Values, signal: AbortSignal): PlanRequest {
  const {
    backend: _,
    libraryDirectory: __,
    template: ___,
    speculation: ____,
    ...wishes
  } = loadOptions(values);
  const { vram, ram, hardware, allowDisk, type } = values;
  return {
    model: values.model ?? argument,
    budgets: { ...(vram && vram.kind !== "cards" && { vram }), ...(ram && { ram }) },
    wishes,
    objective: values.for ?? "chat",
    libraries: libraryWish(values),
    signal,
    ...(hardware !== undefined && { hardware }),
    ...(allowDisk && { allowDisk }),
    ...(type !== undefined && { mix: type }),
  };
}

/** As for a load: options, then JAUGE_BACKEND and JAUGE_LIB_DIR. */
function libraryWish({ backend, libDir }: Values): LibraryWish {
  const directory = libDir ?? process.env.JAUGE_LIB_DIR;
  return {
    backend: backend ?? ((process.env.JAUGE_BACKEND || "auto") as LibraryWish["backend"]),
    ...(directory && { directory }),
  };
}

/** Nothing is said of a plan that the person no longer waits for. Errors: `cancelled`, those of `planModel`. */
async function planOrCancel(request: PlanRequest): Promise<ModelPlan> {
  const plan = await planModel(request);
  if (request.signal?.aborted) throw new JaugeError("cancelled", {});
  return plan;
}

async function answerPlan(request: PlanRequest, values: Values): Promise<void> {
  const plan = await planOrCancel(request);
  const isSavedToOutput = values.save === "-";
  if (values.json || isSavedToOutput) await print(`${JSON.stringify(plan, undefined, 2)}\n`);
  else await print(`${planPicture(plan, terminalCanvas()).join("\n")}\n`);
  if (!plan.fits) process.exitCode = exitCodes.memory;
  if (values.save === undefined || isSavedToOutput) return;
  const path = values.save;
  if (plan.fits) await savePlan(path, plan);
  note(plan.fits ? texts.saved.written({ path }) : texts.saved.notWritten({ path }));
}

async function answerWhatIf(request: PlanRequest, values: Values): Promise<void> {
  const { mix: _, ...base } = request;
  const { signal } = base;
  const { vram: _budget, ...others } = base.budgets;
  const cards = cardsOf(values);
  // Opened once: a header on the web is fetched for all cells.
  const model =
    typeof base.model === "string" ? await openSource(base.model, { ...(signal && { signal }) }) : base.model;
  // One host for all cells, and one look at the machine.
  await using measurer = new Measurer({ libraries: base.libraries ?? {} });
  const facts =
    base.hardware === undefined
      ? await cachedFacts(base.libraries ?? {}, await measurer.devices())
      : undefined;
  const question = {
    type: values.type,
    contextLength: values.ctxSize,
    cards,
  };
  const rows = await whatIf(
    question,
    ({ mix, contextLength, cardBytes }) =>
      planOrCancel({
        ...base,
        model,
        budgets: cardBytes === undefined ? base.budgets : { ...others, cardBytes },
        wishes: { ...base.wishes, contextLength },
        ...(mix !== undefined && { mix }),
        ...(facts && { facts }),
        measurer,
        withoutAlternatives: true,
      }),
    progress(),
  );
  showStatus("");
  if (values.json) await print(`${JSON.stringify(rows, undefined, 2)}\n`);
  else await print(`${whatIfTables(rows).join("\n")}\n`);
}

/** Sizes of cards that are asked for; a single one is a card, too. */
function cardsOf({ vram }: Values): readonly number[] | undefined {
  if (vram?.kind === "cards") return vram.sizes;
  return vram?.kind === "bytes" ? [vram.bytes] : undefined;
}

/** A line that changes on a terminal; elsewhere one for each tenth, once it takes longer than a moment. */
function progress(): (done: number, all: number, cell: string) => void {
  const start = performance.now();
  let lastTenth = 0;
  return (done, all, cell) => {
    const text = texts.whatIf.progress({ done: done + 1, all, cell });
    if (process.stderr.isTTY) showStatus(text);
    const tenth = Math.floor((done / all) * 10);
    if (process.stderr.isTTY || tenth <= lastTenth || performance.now() - start < silentMs) return;
    lastTenth = tenth;
    note(text);
  };
}

const silentMs = 2000;
