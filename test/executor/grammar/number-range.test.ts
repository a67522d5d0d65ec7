import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonSchemaToGrammar } from "../../../src/executor/grammar/json-schema.js";
import { nativeGrammar } from "./native-grammar.js";

const bound = (value: fc.Arbitrary<number>) => fc.option(fc.tuple(value, fc.boolean()), { nil: undefined });

/** A range around numbers, with what to try: the bounds, their neighbours, and anything. */
function ranges(value: fc.Arbitrary<number>, step: number) {
  return fc
    .tuple(bound(value), bound(value), fc.array(value, { minLength: 4 }))
    .map(([low, high, others]) => {
      const schema: Record<string, number> = {};
      if (low) schema[low[1] ? "exclusiveMinimum" : "minimum"] = low[0];
      if (high) schema[high[1] ? "exclusiveMaximum" : "maximum"] = high[0];
      const near = [low, high].flatMap((bound) =>
        bound ? [bound[0], bound[0] + step, bound[0] - step, -bound[0]] : [],
      );
      const inside = (value: number) =>
        (!low || (low[1] ? value > low[0] : value >= low[0])) &&
        (!high || (high[1] ? value < high[0] : value <= high[0]));
      return { schema, inside, tries: [...others, ...near, 0, 1, -1, step, -step] };
    });
}

function check({
  schema,
  inside,
  tries,
}: {
  schema: object;
  inside: (value: number) => boolean;
  tries: number[];
}) {
  const written = (value: number) => JSON.stringify(value); // -0 is written 0
  const writable = tries.filter((value) => !/e|\d{22}|\.\d{25}/.test(written(value)));
  let text: string;
  try {
    text = jsonSchemaToGrammar(schema);
  } catch {
    expect(writable.filter(inside)).toEqual([]);
    return;
  }
  const grammar = nativeGrammar(text);
  for (const value of writable) {
    expect([value, grammar.accepts(written(value))]).toEqual([value, inside(Number(written(value)))]);
  }
}

const integers = fc.oneof(fc.integer({ min: -30, max: 30 }), fc.integer(), fc.maxSafeInteger());
const decimals = fc.oneof(
  fc.integer({ min: -300, max: 300 }).map((value) => value / 100),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true, min: -1e15, max: 1e15 }),
);

it("holds integers within their bounds", () => {
  fc.assert(
    fc.property(ranges(integers, 1), ({ schema, ...rest }) =>
      check({ schema: { type: "integer", ...schema }, ...rest }),
    ),
    { numRuns: 300 },
  );
});

it("holds numbers within their bounds", () => {
  fc.assert(
    fc.property(ranges(decimals, 0.01), ({ schema, ...rest }) =>
      check({ schema: { type: "number", ...schema }, ...rest }),
    ),
    { numRuns: 300 },
  );
});

it("holds bounds with more digits than can be written", () => {
  const above = nativeGrammar(jsonSchemaToGrammar({ type: "number", minimum: 1e-123 }));
  const below = nativeGrammar(jsonSchemaToGrammar({ type: "number", exclusiveMaximum: -1.5e-30 }));
  for (const text of ["0.000000000000000000000001", "1"]) expect(above.accepts(text)).toBe(true);
  for (const text of ["0", "0.0", "-1"]) expect(above.accepts(text)).toBe(false);
  for (const text of ["-0.000000000000000000000001", "-1"]) expect(below.accepts(text)).toBe(true);
  for (const text of ["0", "-0", "-0.0", "1"]) expect(below.accepts(text)).toBe(false);
});

it("writes zeros after the last digit and no others", () => {
  const grammar = nativeGrammar(jsonSchemaToGrammar({ type: "number", minimum: 0, maximum: 1 }));
  for (const text of ["0", "1", "0.5", "0.50", "1.000", "0.0"]) expect(grammar.accepts(text)).toBe(true);
  for (const text of ["1.001", "-0.1", "00.5", "2", "01", "1e0", "0."])
    expect(grammar.accepts(text)).toBe(false);
});
