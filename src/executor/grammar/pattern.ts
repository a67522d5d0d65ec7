import { type CodePoints, characterClass, emptyLiteral, type Grammar, literal, oneOf } from "./gbnf.js";
import { escapedCharacters, type JsonRules } from "./json-values.js";

/** A regular expression says something that a grammar cannot. */
export class PatternUnsupported extends Error {}

/**
 * The JSON strings that a regular expression (ECMA-262 with the `u` flag) matches, as the rule of a string.
 * As JSON Schema has it, the expression may match anywhere unless it is anchored. Covered: literals, classes, groups,
 * alternatives, quantifiers, and anchors at the ends of the alternatives.
 * Errors: `PatternUnsupported`, for the rest (look-around, back references, `\b`, `\p{…}`).
 */
export function patternString(json: JsonRules, pattern: string): string {
  const any = json.character();
  const alternatives = new PatternParser(pattern).parse().map((alternative) => {
    const writer = new PatternWriter(json.grammar);
    const inside = writer.sequence(alternative.items);
    return [...(alternative.start ? [] : [`${any}*`]), inside, ...(alternative.end ? [] : [`${any}*`])].join(
      " ",
    );
  });
  return json.grammar.rule("string", `"\\"" ${oneOf(alternatives)} "\\""`);
}

type Node =
  | { kind: "characters"; ranges: CodePoints[] }
  | { kind: "group"; alternatives: Node[][] }
  | { kind: "repeat"; item: Node; min: number; max: number };

interface TopAlternative {
  start: boolean;
  end: boolean;
  items: Node[];
}

class PatternWriter {
  constructor(private readonly grammar: Grammar) {}

  sequence(nodes: readonly Node[]): string {
    return nodes.length === 0 ? emptyLiteral : nodes.map((node) => this.node(node)).join(" ");
  }

  private node(node: Node): string {
    if (node.kind === "characters") return jsonCharacter(node.ranges);
    if (node.kind === "group")
      return `(${node.alternatives.map((items) => this.sequence(items)).join(" | ")})`;
    const item = this.grammar.rule("part", this.node(node.item));
    return this.grammar.repeat(item, node.min, node.max);
  }
}

/** One character of these ranges as it stands in a JSON string. */
function jsonCharacter(ranges: readonly CodePoints[]): string {
  const raw = subtract(ranges, [...escapedCharacters, surrogates]);
  const alternatives = raw.length > 0 ? [characterClass(raw)] : [];
  for (const [first, last] of escapedCharacters) {
    for (let codePoint = first; codePoint <= last; codePoint++) {
      if (!ranges.some(([from, to]) => codePoint >= from && codePoint <= to)) continue;
      alternatives.push(literal(JSON.stringify(String.fromCodePoint(codePoint)).slice(1, -1)));
    }
  }
  if (alternatives.length === 0) throw new PatternUnsupported("has a class without characters");
  return oneOf(alternatives);
}

const surrogates: CodePoints = [0xd800, 0xdfff];
const lastCodePoint = 0x10ffff;
const digitRanges: CodePoints[] = [[0x30, 0x39]];
const wordRanges: CodePoints[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** WhiteSpace and LineTerminator of ECMA-262. */
const spaceRanges: CodePoints[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const lineEnds: CodePoints[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const classEscapes: Record<string, CodePoints[]> = {
  d: digitRanges,
  w: wordRanges,
  s: spaceRanges,
  D: complement(digitRanges),
  W: complement(wordRanges),
  S: complement(spaceRanges),
};
const characterEscapes: Record<string, number> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };

class PatternParser {
  private readonly characters: string[];
  private at = 0;

  constructor(pattern: string) {
    this.characters = [...pattern];
  }

  parse(): TopAlternative[] {
    const alternatives: TopAlternative[] = [];
    do {
      const start = this.take("^");
      const items = this.items();
      const end = this.take("$");
      alternatives.push({ start, end, items });
    } while (this.take("|"));
    if (this.at < this.characters.length)
      throw new PatternUnsupported(`has "${this.characters[this.at]}" in its middle`);
    return alternatives;
  }

  private items(): Node[] {
    const items: Node[] = [];
    while (this.at < this.characters.length && !"|)$".includes(this.peek())) items.push(this.quantified());
    return items;
  }

  private quantified(): Node {
    const item = this.atom();
    const quantifier = this.quantifier();
    if (!quantifier) return item;
    this.take("?"); // lazy or greedy: the same strings
    if (mayBeEmpty(item) && quantifier.max > 1) throw new PatternUnsupported("repeats what may be empty");
    return { kind: "repeat", item, ...quantifier };
  }

  private quantifier(): { min: number; max: number } | undefined {
    if (this.take("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.take("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.take("?")) return { min: 0, max: 1 };
    const match = /^\{(\d+)(,(\d*))?\}/.exec(this.characters.slice(this.at, this.at + 24).join(""));
    if (!match) return undefined;
    this.at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (min > max || min > 100_000) throw new PatternUnsupported(`repeats ${match[0]}`);
    return { min, max };
  }

  private atom(): Node {
    const character = this.next();
    if (character === "(") return this.group();
    if (character === "[") return { kind: "characters", ranges: this.characterSet() };
    if (character === ".") return { kind: "characters", ranges: complement(lineEnds) };
    if (character === "\\") return { kind: "characters", ranges: this.escape() };
    if ("^*+?{}]".includes(character))
      throw new PatternUnsupported(`has "${character}" where it stands for nothing`);
    return { kind: "characters", ranges: [single(character)] };
  }

  private group(): Node {
    if (this.take("?")) {
      const named = this.take("<") && !"=!".includes(this.peek());
      if (named) while (this.next() !== ">");
      else if (!this.take(":")) throw new PatternUnsupported("looks ahead or behind");
    }
    const alternatives: Node[][] = [];
    do alternatives.push(this.items());
    while (this.take("|"));
    if (this.peek() === "$") throw new PatternUnsupported('has "$" in its middle');
    if (!this.take(")")) throw new PatternUnsupported("has a group without end");
    return { kind: "group", alternatives };
  }

  private characterSet(): CodePoints[] {
    const negated = this.take("^");
    const ranges: CodePoints[] = [];
    while (!this.take("]")) {
      const first = this.setMember();
      if (this.peek() === "-" && this.characters[this.at + 1] !== "]") {
        this.next();
        const last = this.setMember();
        if (!isSingle(first) || !isSingle(last) || first[0]![0] > last[0]![0]) {
          throw new PatternUnsupported("has a range out of order");
        }
        ranges.push([first[0]![0], last[0]![0]]);
      } else ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  }

  private setMember(): CodePoints[] {
    const character = this.next();
    if (character !== "\\") return [single(character)];
    return this.take("b") ? [[8, 8]] : this.escape();
  }

  private escape(): CodePoints[] {
    const character = this.next();
    const known = classEscapes[character];
    if (known) return known;
    const control = characterEscapes[character];
    if (control !== undefined) return [[control, control]];
    if (character === "x" || character === "u") {
      const rest = this.characters.slice(this.at, this.at + 10).join("");
      const hex =
        character === "x"
          ? /^([0-9a-f]{2})/i.exec(rest)
          : /^(?:\{([0-9a-f]{1,6})\}|([0-9a-f]{4}))/i.exec(rest);
      const codePoint = Number.parseInt(hex?.[1] ?? hex?.[2] ?? "", 16);
      if (!hex || !(codePoint <= lastCodePoint)) throw new PatternUnsupported(`has a broken \\${character}`);
      this.at += hex[0].length;
      return [[codePoint, codePoint]];
    }
    if (/[a-zA-Z0-9]/.test(character)) throw new PatternUnsupported(`has \\${character}`);
    return [single(character)];
  }

  private peek(): string {
    return this.characters[this.at] ?? "";
  }

  private next(): string {
    const character = this.characters[this.at++];
    if (character === undefined) throw new PatternUnsupported("ends too early");
    return character;
  }

  private take(character: string): boolean {
    if (this.peek() !== character) return false;
    this.at++;
    return true;
  }
}

function mayBeEmpty(node: Node): boolean {
  if (node.kind === "characters") return false;
  if (node.kind === "group") return node.alternatives.some((items) => items.every(mayBeEmpty));
  return node.min === 0 || mayBeEmpty(node.item);
}

function single(character: string): CodePoints {
  const codePoint = character.codePointAt(0)!;
  return [codePoint, codePoint];
}

function isSingle(ranges: readonly CodePoints[]): boolean {
  return ranges.length === 1 && ranges[0]![0] === ranges[0]![1];
}

function complement(ranges: readonly CodePoints[]): CodePoints[] {
  return subtract([[0, lastCodePoint]], ranges);
}

function subtract(ranges: readonly CodePoints[], others: readonly CodePoints[]): CodePoints[] {
  let left: CodePoints[] = [...ranges];
  for (const [first, last] of others) {
    left = left.flatMap(([from, to]): CodePoints[] => {
      if (last < from || first > to) return [[from, to]];
      const parts: CodePoints[] = [];
      if (from < first) parts.push([from, first - 1]);
      if (to > last) parts.push([last + 1, to]);
      return parts;
    });
  }
  return left;
}
