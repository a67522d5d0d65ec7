import { describe, expect, it } from "vitest";
import { characterClass, Grammar, literal } from "../../../src/executor/grammar/gbnf.js";
import { nativeGrammar } from "./native-grammar.js";

function grammarOf(write: (grammar: Grammar) => string) {
  const grammar = new Grammar();
  const root = grammar.reserve("root");
  grammar.define(root, write(grammar));
  return nativeGrammar(grammar.toString());
}

describe("the native parser reads", () => {
  it("literals with any character", () => {
    const text = 'a"b\\c\n\t\u0001é€😀[]-^';
    const grammar = grammarOf(() => literal(text));
    expect(grammar.accepts(text)).toBe(true);
    expect(grammar.begins(text.slice(0, 5))).toBe(true);
    expect(grammar.accepts(text.slice(0, -1))).toBe(false);
  });

  it("classes with any character", () => {
    const grammar = grammarOf(() =>
      characterClass([
        [0x2d, 0x2d],
        [0x5b, 0x5e],
        [0x1f600, 0x1f64f],
      ]),
    );
    for (const text of ["-", "[", "\\", "]", "^", "😀"]) expect(grammar.accepts(text)).toBe(true);
    for (const text of ["a", "_", "🙐", ""]) expect(grammar.accepts(text)).toBe(false);
  });

  it.each([
    [0, 0],
    [0, 3],
    [2, 2],
    [1, 1000],
    [0, 1001],
    [999, 2500],
    [1500, 1500],
    [2000, 4000],
    [3, Number.POSITIVE_INFINITY],
    [2500, Number.POSITIVE_INFINITY],
  ])("from %d to %d repetitions", (min, max) => {
    const grammar = grammarOf((grammar) => `"<" ${grammar.repeat(grammar.rule("x", '"x"'), min, max)} ">"`);
    const accepts = (count: number) => grammar.accepts(`<${"x".repeat(count)}>`);
    expect(accepts(min)).toBe(true);
    if (min > 0) expect(accepts(min - 1)).toBe(false);
    if (max < 10_000) {
      expect(accepts(max)).toBe(true);
      expect(accepts(max + 1)).toBe(false);
      expect(accepts(Math.floor((min + max) / 2))).toBe(true);
    } else expect(accepts(min + 1500)).toBe(true);
  });
});
