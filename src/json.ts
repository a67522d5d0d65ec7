import * as z from "zod";
import { JaugeError } from "./errors.js";
import { jsonTexts } from "./messages/json.js";
import { locale, localized } from "./messages/locale.js";

const texts = localized(jsonTexts);

if (locale === "fr") z.config(z.locales.fr());

/** The value of a JSON text; `source` names it for people. Errors: `json-invalid`, with where it breaks. */
export function parseJson(source: string, text: string): unknown {
  // Some editors begin a file with a byte order mark.
  const json = text.replace(/^\uFEFF/, "");
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new JaugeError("json-invalid", { source, problem: problemOf(json, cause) }, { cause });
  }
}

function problemOf(text: string, cause: unknown): string {
  if (text.trim() === "") return texts.empty;
  const position = breakOf(cause as SyntaxError);
  if (position === undefined) return texts.other;
  if (position === "end") return texts.ends;
  const before = text.slice(0, position).split("\n");
  return texts.at({ line: before.length, column: before.at(-1)!.length + 1 });
}

/** The character at which a JSON text breaks, counted from 0, or that it ends too early; undefined where V8 tells neither. */
export function breakOf({ message }: SyntaxError): number | "end" | undefined {
  const position = / at position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return Number(position);
  return /end of JSON/.test(message) ? "end" : undefined;
}

/** The first field of a value that is not as its schema says, and why. */
export function firstProblem(value: unknown, { issues }: z.ZodError): { field: string; problem: string } {
  const { path, message } = issues[0]!;
  const found = path.reduce((inner: unknown, key) => (inner as Record<PropertyKey, unknown>)?.[key], value);
  const problem =
    found === undefined ? texts.missing : message.replace(/^(Invalid input|Entrée invalide) ?: /, "");
  return { field: path.join(".") || "JSON", problem };
}
