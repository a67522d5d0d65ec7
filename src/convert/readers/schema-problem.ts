import type { z } from "zod";
import { schemaProblems } from "../../messages/checkpoint.js";
import { localized } from "../../messages/locale.js";
import { printable } from "./problems.js";

const problems = localized(schemaProblems);
const longestShown = 40;

/** The first thing that a schema found wrong with a value of JSON: the field's path, and the problem in words. */
export function schemaProblem(
  error: z.ZodError,
  value: unknown,
): { field: string | undefined; problem: string } {
  const issue = error.issues[0]!;
  const field = issue.path.length > 0 ? printable(issue.path.join(".")) : undefined;
  const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], value);
  if (found === undefined) return { field, problem: problems.missing() };
  const shown = shownValue(found);
  if (issue.code === "invalid_type" && Object.hasOwn(problems.types, issue.expected)) {
    const type = problems.types[issue.expected as keyof typeof problems.types];
    return { field, problem: problems.wrongType({ shown, type }) };
  }
  if (issue.code === "too_small" && typeof found === "number")
    return { field, problem: problems.tooSmall({ shown, least: String(issue.minimum) }) };
  if (issue.code === "too_big" && typeof found === "number")
    return { field, problem: problems.tooLarge({ shown, most: String(issue.maximum) }) };
  return { field, problem: problems.notAllowed({ shown }) };
}

function shownValue(value: unknown): string {
  const text = printable(JSON.stringify(value));
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
