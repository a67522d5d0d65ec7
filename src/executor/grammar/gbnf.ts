/**
 * The rules of a grammar in GBNF, the notation of llama.cpp (`grammars/README.md`).
 * Its parser takes no rule that may be empty under `*` or `+`, no left recursion, and at most 2000 repetitions.
 */
export class Grammar {
  private readonly rules = new Map<string, string>();
  private readonly names = new Map<string, string>();

  /** Reserves a rule name close to `hint`, for rules that refer to themselves. */
  reserve(hint: string): string {
    const base = hint.replace(/[^a-zA-Z0-9]+/g, "-").replace(/^-|-$/g, "") || "rule";
    let name = base;
    for (let count = 2; this.rules.has(name); count++) name = `${base}-${count}`;
    this.rules.set(name, "");
    return name;
  }

  /** Writes the rule of a reserved name. */
  define(name: string, body: string): void {
    this.rules.set(name, body);
  }

  /** The name of a rule with this body; rules with one body are one rule. */
  rule(hint: string, body: string): string {
    if (this.rules.has(body)) return body;
    const known = this.names.get(body);
    if (known !== undefined) return known;
    const name = this.reserve(hint);
    this.define(name, body);
    this.names.set(body, name);
    return name;
  }

  /** Between `min` and `max` of `item`, which is a rule name. More than 1000 are counted in blocks of 1000. */
  repeat(item: string, min: number, max: number): string {
    if (max === 0) return emptyLiteral;
    if (min === 1 && max === 1) return item;
    if (max >= endless) {
      if (min < blockSize) return `${item}{${min},}`;
      return `${this.repeat(item, min, min)} ${item}*`;
    }
    if (max <= blockSize) return min === max ? `${item}{${min}}` : `${item}{${min},${max}}`;

    const block = this.rule(`${item}-block`, `${item}{${blockSize}}`);
    const parts: string[] = [];
    if (min >= blockSize) parts.push(`${block}{${Math.floor(min / blockSize)}}`);
    if (min % blockSize > 0) parts.push(`${item}{${min % blockSize}}`);
    const more = max - min;
    if (more > 0 && more < blockSize) parts.push(`${item}{0,${more}}`);
    if (more >= blockSize) {
      const blocks = Math.floor(more / blockSize);
      const fewer = `${block}{0,${blocks - 1}} ${item}{0,${blockSize - 1}}`;
      const most = `${block}{${blocks}} ${item}{0,${more % blockSize}}`;
      parts.push(`(${fewer} | ${most})`);
    }
    return parts.join(" ");
  }

  /** The grammar's text. */
  toString(): string {
    return [...this.rules].map(([name, body]) => `${name} ::= ${body}\n`).join("");
  }
}

const blockSize = 1000;
/** No context is long enough for a million of anything. */
const endless = 1_000_000;

/** Matches nothing, and always. */
export const emptyLiteral = '""';

/** A literal text. */
export function literal(text: string): string {
  return `"${[...text].map((character) => escaped(character.codePointAt(0)!, /["\\]/)).join("")}"`;
}

/** Alternatives in parentheses, so that they can stand in a sequence. */
export function oneOf(alternatives: readonly string[]): string {
  const distinct = [...new Set(alternatives)];
  return distinct.length === 1 ? distinct[0]! : `(${distinct.join(" | ")})`;
}

/** Code points from `first` to `last`. */
export type CodePoints = readonly [first: number, last: number];

/** One character of these ranges. */
export function characterClass(ranges: readonly CodePoints[], negated = false): string {
  const end = (codePoint: number) => escaped(codePoint, /[[\]\\^-]/);
  const inside = ranges.map(([first, last]) => (first === last ? end(first) : `${end(first)}-${end(last)}`));
  return `[${negated ? "^" : ""}${inside.join("")}]`;
}

function escaped(codePoint: number, special: RegExp): string {
  const character = String.fromCodePoint(codePoint);
  if (codePoint >= 0x20 && codePoint < 0x7f) {
    if (!special.test(character)) return character;
    if (character !== "^") return `\\${character}`; // of these, the one without an escape of its own
  }
  const hex = codePoint.toString(16).toUpperCase();
  if (codePoint < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return codePoint < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
