import { JaugeError } from "../../errors.js";
import { legacyProblems } from "../../messages/legacy.js";
import { localized } from "../../messages/locale.js";

/** What can be wrong with a field, in the person's language. */
export const problems = localized(legacyProblems);

/** The error of a file whose field makes no sense. */
export function malformed(path: string, field: string, problem: string): JaugeError<"legacy-malformed"> {
  return new JaugeError("legacy-malformed", { path, field, problem });
}
