import { type CodePoints, characterClass, type Grammar, literal } from "./gbnf.js";

/**
 * The rules for JSON (RFC 8259) that know no schema.
 * Whitespace is nothing, one space, or one line end and an indentation, and none ends the text: a model cannot write
 * blanks for ever.
 */
export class JsonRules {
  constructor(readonly grammar: Grammar) {}

  whitespace(): string {
    return this.grammar.rule("ws", `(" " | "\\n" (" "{0,64} | "\\t"{0,32}))?`);
  }

  colon(): string {
    return `":" ${this.whitespace()}`;
  }

  comma(): string {
    return `"," ${this.whitespace()}`;
  }

  /** One character of a string, in any of its spellings: two escaped halves of a surrogate pair are one character. */
  character(): string {
    const hex = "[0-9a-fA-F]";
    const unit = `([0-9a-cA-CeEfF] ${hex}{3} | [dD] [0-7] ${hex}{2})`;
    const pair = `[dD] [89abAB] ${hex}{2} "\\\\u" [dD] [c-fC-F] ${hex}{2}`;
    return this.grammar.rule(
      "char",
      `${characterClass(escapedCharacters, true)} | "\\\\" (["\\\\/bfnrt] | "u" (${unit} | ${pair}))`,
    );
  }

  string(minLength = 0, maxLength = Number.POSITIVE_INFINITY): string {
    const characters = this.grammar.repeat(this.character(), minLength, maxLength);
    return this.grammar.rule("string", `"\\"" ${characters} "\\""`);
  }

  /** Any integer, without fraction or exponent. */
  integer(): string {
    return this.grammar.rule("integer", `"-"? ("0" | [1-9] [0-9]{0,20})`);
  }

  /** Any number. Digits are bounded, so that a model cannot write them for ever; JavaScript writes no more of them. */
  number(): string {
    return this.grammar.rule("number", `${this.integer()} ("." [0-9]{1,24})? ([eE] [-+]? [0-9]{1,3})?`);
  }

  boolean(): string {
    return this.grammar.rule("boolean", `"true" | "false"`);
  }

  value(): string {
    if (this.anyValue === undefined) {
      this.anyValue = this.grammar.reserve("value");
      const alternatives = [
        this.object(),
        this.array(),
        this.string(),
        this.number(),
        this.boolean(),
        `"null"`,
      ];
      this.grammar.define(this.anyValue, alternatives.join(" | "));
    }
    return this.anyValue;
  }
  private anyValue: string | undefined;

  /** Any object. */
  object(): string {
    const member = this.grammar.rule("member", `${this.string()} ${this.colon()} ${this.value()}`);
    return this.grammar.rule(
      "object",
      this.enclosed("{", this.list(member, 0, Number.POSITIVE_INFINITY), "}"),
    );
  }

  /** Any array. */
  array(): string {
    const items = this.list(this.value(), 0, Number.POSITIVE_INFINITY);
    return this.grammar.rule("array", this.enclosed("[", items, "]"));
  }

  /** `min` to `max` of the rule `item`, with commas. */
  list(item: string, min: number, max: number): string {
    if (max <= 0) return `""`;
    const further = this.furtherItems(item, Math.max(0, min - 1), max - 1);
    return min > 0 ? `${item} ${further}` : `(${item} ${further})?`;
  }

  /** `min` to `max` more of the rule `item`, each after a comma. */
  furtherItems(item: string, min: number, max: number): string {
    if (max <= 0) return `""`;
    const next = this.grammar.rule(`${item}-next`, `${this.comma()} ${item}`);
    return this.grammar.repeat(next, min, max);
  }

  /** What stands between brackets. */
  enclosed(open: string, inside: string, close: string): string {
    const ws = this.whitespace();
    return inside === `""` ? `"${open}" ${ws} "${close}"` : `"${open}" ${ws} ${inside} ${ws} "${close}"`;
  }

  /** Exactly this value, with any whitespace between its parts. */
  exactly(value: unknown): string {
    if (Array.isArray(value)) {
      const items = value.map((item) => this.exactly(item)).join(` ${this.comma()} `);
      return this.enclosed("[", items || `""`, "]");
    }
    if (typeof value === "object" && value !== null) {
      const members = Object.entries(value).map(([key, item]) => this.member(key, this.exactly(item)));
      return this.enclosed("{", members.join(` ${this.comma()} `) || `""`, "}");
    }
    return literal(JSON.stringify(value));
  }

  /** A member of an object, its key as `JSON.stringify` writes it. */
  member(key: string, value: string): string {
    return `${literal(JSON.stringify(key))} ${this.colon()} ${value}`;
  }

  /** A string, written without escapes, that is none of `keys`. */
  stringExcept(keys: readonly string[]): string {
    if (keys.length === 0) return this.string();
    const plain = this.grammar.rule("plain", characterClass(escapedCharacters, true));
    return this.grammar.rule("key", `"\\"" ${this.suffixExcept(keys, plain)} "\\""`);
  }

  /** What may follow a common beginning of `suffixes` without ending in one of them. */
  private suffixExcept(suffixes: readonly string[], plain: string): string {
    const byFirst = new Map<number, string[]>();
    for (const suffix of suffixes) {
      const first = suffix.codePointAt(0);
      if (first === undefined) continue;
      byFirst.set(first, [...(byFirst.get(first) ?? []), suffix.slice(String.fromCodePoint(first).length)]);
    }
    const alternatives: string[] = suffixes.includes("") ? [] : [`""`];
    // A key with a character that needs an escape cannot be written here in the first place.
    const writable = [...byFirst].filter(
      ([first]) => !escapedCharacters.some(([a, b]) => first >= a && first <= b),
    );
    for (const [first, rests] of writable) {
      alternatives.push(`${literal(String.fromCodePoint(first))} ${this.suffixExcept(rests, plain)}`);
    }
    const others: CodePoints[] = [
      ...escapedCharacters,
      ...writable.map(([first]): CodePoints => [first, first]),
    ];
    alternatives.push(`${characterClass(others, true)} ${plain}*`);
    return this.grammar.rule("suffix", alternatives.join(" | "));
  }
}

/** The characters that a JSON string has to escape. */
export const escapedCharacters: readonly CodePoints[] = [
  [0x00, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];
