import { JaugeError } from "../../errors.js";
import { checkpointProblems } from "../../messages/checkpoint.js";
import { localized } from "../../messages/locale.js";

/** What can be wrong with a part of a checkpoint, in the person's language. */
export const problems = localized(checkpointProblems);

/** The error of a file that breaks its format. */
export function malformed(path: string, field: string, problem: string): JaugeError<"checkpoint-malformed"> {
  return new JaugeError("checkpoint-malformed", { path, field: printable(field), problem });
}

/** The error of a file that is well-formed and holds what a model's weights do not need. */
export function unsupported(
  path: string,
  field: string,
  problem: string,
): JaugeError<"checkpoint-unsupported"> {
  return new JaugeError("checkpoint-unsupported", { path, field: printable(field), problem });
}

const longestPrinted = 200;

/** A text of a hostile file, fit for one line of a terminal. */
export function printable(text: string): string {
  const cut = text.length > longestPrinted ? `${text.slice(0, longestPrinted)}…` : text;
  return cut.replace(/\p{C}/gu, "\uFFFD");
}
