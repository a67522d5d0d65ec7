import { fileURLToPath } from "node:url";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { ScoringRequest } from "../compare/scoring-model.js";
import { optionMessages } from "../messages/cli-options.js";
import { localized } from "../messages/locale.js";
import { scoringRequestOf } from "../model.js";
import { budgetOptionsOf, loadOptions } from "./library-options.js";
import { addOptions, type Values } from "./option-spec.js";
import { budgetOptions, type ModelValues, modelOptions, type OutputValues, pick } from "./options.js";
import { note, showStatus } from "./terminal.js";

const descriptions = localized(optionMessages);
const { model: _, ctxSize: __, parallel: ___, kvUnified: ____, speculation: _____, ...others } = modelOptions;

/** Where a model that is scored goes and how it runs: its context is one window. */
const scoringModelOptions = others;
const scoringBudgetOptions = pick(budgetOptions, "vram", "ram", "allowDisk");

export type ScoringValues = Values<typeof scoringModelOptions> & Values<typeof scoringBudgetOptions>;

export const scoringTables = [scoringBudgetOptions, scoringModelOptions];

/** Adds the options of a command that scores models: budgets, and how a model runs. */
export function addScoringOptions(command: CommandUnknownOpts): void {
  const { headings, budget, model } = descriptions;
  addOptions(command, headings.budget, scoringBudgetOptions, described(scoringBudgetOptions, budget));
  addOptions(command, headings.model, scoringModelOptions, described(scoringModelOptions, model));
}

/** English and French prose in the public domain; see texts/README.md. */
export const shippedTextPath = fileURLToPath(new URL("../../texts/english-french.txt", import.meta.url));

/** What the command line says about loading. Errors: `budget-…`, `plan-invalid`. */
export async function scoringRequest(
  values: ScoringValues & OutputValues,
  signal: AbortSignal,
): Promise<ScoringRequest> {
  const options = { ...loadOptions(values as ModelValues), ...(await budgetOptionsOf(values)), signal };
  return scoringRequestOf(values.verbose ? { ...options, onLog: note } : options);
}

/** The descriptions of these options alone. */
export function described<Table extends object>(
  table: Table,
  descriptions: Record<keyof Table, string>,
): Record<keyof Table, string> {
  const names = Object.keys(table) as (keyof Table)[];
  return Object.fromEntries(names.map((name) => [name, descriptions[name]])) as Record<keyof Table, string>;
}

/** Ends what runs when the person asks for it: Ctrl-C, or the end of the session. What is `said` then may take a while. */
export function interruptSignal(said?: string): AbortSignal {
  const interrupt = new AbortController();
  const onSignal = () => {
    if (said !== undefined) {
      showStatus("");
      note(said);
    }
    interrupt.abort();
  };
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  return interrupt.signal;
}
