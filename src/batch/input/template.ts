import { JaugeError } from "../../errors.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";

const problems = localized(batchProblems);

/** A prompt with places for fields: `Traduis : {text}`. `{{` and `}}` are braces. */
export class Template {
  /** The fields it has places for. */
  readonly fields: readonly string[];
  /** Text and field names in turn, text first. */
  private readonly parts: readonly string[];

  /** Errors: `batch-template-invalid`. */
  constructor(readonly source: string) {
    this.parts = partsOf(source);
    this.fields = [...new Set(this.parts.filter((_, index) => index % 2 === 1))];
    if (this.fields.length === 0)
      throw new JaugeError("batch-template-invalid", { template: source, problem: "{}" });
  }

  /** Errors: `line-invalid` for a field that is missing or no text. */
  fill(values: Readonly<Record<string, unknown>>): string {
    let text = "";
    for (let index = 0; index < this.parts.length; index++) {
      const part = this.parts[index]!;
      text += index % 2 === 0 ? part : fieldText(values, part);
    }
    return text;
  }
}

function fieldText(values: Readonly<Record<string, unknown>>, field: string): string {
  const value = Object.hasOwn(values, field) ? values[field] : undefined;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new JaugeError("line-invalid", {
    field,
    problem: value === undefined ? problems.missingField : problems.notTextOrNumber,
  });
}

function partsOf(source: string): string[] {
  const parts: string[] = [];
  let text = "";
  let rest = source;
  while (rest !== "") {
    const place = /^\{([^{}]+)\}/.exec(rest);
    if (rest.startsWith("{{") || rest.startsWith("}}")) {
      text += rest[0];
      rest = rest.slice(2);
    } else if (place) {
      parts.push(text, place[1]!.trim());
      text = "";
      rest = rest.slice(place[0].length);
    } else if (rest[0] === "{" || rest[0] === "}") {
      throw new JaugeError("batch-template-invalid", { template: source, problem: rest[0] });
    } else {
      text += rest[0];
      rest = rest.slice(1);
    }
  }
  parts.push(text);
  return parts;
}
