import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import type { ModelFile } from "./model-file.js";

/** What can be wrong with a field, in the person's language. */
export const problems = localized(ggufProblems);

/** The error of a file that is GGUF but no model that llama.cpp can run. */
export function invalid(
  model: Pick<ModelFile, "path">,
  field: string,
  problem: string,
): JaugeError<"gguf-invalid"> {
  return new JaugeError("gguf-invalid", { path: model.path, field, problem });
}

/** Refuses a number outside `low` to `high`. */
export function expectRange(
  model: Pick<ModelFile, "path">,
  field: string,
  value: number,
  low: number,
  high: number,
): void {
  // written so that NaN is refused
  if (!(value >= low && value <= high))
    throw invalid(model, field, problems.outOfRange({ value, low, high }));
}
