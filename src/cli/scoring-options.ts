import { fileURLToPath } from "node:url";
import type { ScoringRequest } from "../compare/scoring-model.js";
import { scoringRequestOf } from "../model.js";
import { budgetOptionsOf, loadOptions } from "./library-options.js";
import type { Values } from "./option-spec.js";
import { budgetOptions, type ModelValues, modelOptions, type OutputValues, pick } from "./options.js";
import { note } from "./terminal.js";

const { model: _, ctxSize: __, parallel: ___, kvUnified: ____, speculation: _____, ...others } = modelOptions;

/** Where a model that is scored goes and how it runs: its context is one window. */
export const scoringModelOptions = others;
export const scoringBudgetOptions = pick(budgetOptions, "vram", "ram", "allowDisk");

export type ScoringValues = Values<typeof scoringModelOptions> & Values<typeof scoringBudgetOptions>;

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

/** Ends what runs when the person asks for it: Ctrl-C, or the end of the session. */
export function interruptSignal(): AbortSignal {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  return interrupt.signal;
}
