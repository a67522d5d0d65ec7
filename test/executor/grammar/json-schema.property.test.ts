import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonGrammar, jsonSchemaToGrammar } from "../../../src/executor/grammar/json-schema.js";
import { nativeGrammar } from "./native-grammar.js";

/** A schema, and the values it allows. */
interface Model {
  schema: object;
  values: fc.Arbitrary<unknown>;
}

const name = fc.oneof(
  fc.constantFrom("a", "ab", "b", "é", 'q"', "back\\slash", "line\n"),
  fc.string({ maxLength: 4 }),
);
const text = fc.string({ unit: "grapheme", maxLength: 8 });

const leaves: fc.Arbitrary<Model> = fc.oneof(
  fc.constant<Model>({ schema: { type: "null" }, values: fc.constant(null) }),
  fc.constant<Model>({ schema: { type: "boolean" }, values: fc.boolean() }),
  fc.constant<Model>({ schema: { type: "string" }, values: text }),
  fc.constant<Model>({
    schema: { type: "number" },
    values: fc.double({ noNaN: true, noDefaultInfinity: true }),
  }),
  fc.constant<Model>({ schema: {}, values: fc.jsonValue({ maxDepth: 2 }) }),
  fc.tuple(fc.integer(), fc.nat(1000)).map(
    ([low, size]): Model => ({
      schema: { type: "integer", minimum: low, maximum: low + size },
      values: fc.integer({ min: low, max: low + size }),
    }),
  ),
  fc
    .array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 3 })
    .map((values): Model => ({ schema: { enum: values }, values: fc.constantFrom(...values) })),
  fc.constant<Model>({
    schema: { type: "string", format: "date-time" },
    values: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
      .map((date) => date.toISOString()),
  }),
);

const { models } = fc.letrec<{ models: Model }>((tie) => ({
  models: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaves,
    arrays(tie("models")),
    objects(tie("models")),
    choices(tie("models")),
  ),
}));

function arrays(items: fc.Arbitrary<Model>): fc.Arbitrary<Model> {
  return fc
    .tuple(fc.array(items, { maxLength: 2 }), items, fc.nat(2), fc.nat(3))
    .map(([first, rest, min, more]): Model => {
      const [minItems, maxItems] = [min, min + more];
      const lengths = fc.integer({ min: minItems, max: maxItems });
      return {
        schema: {
          type: "array",
          prefixItems: first.map((item) => item.schema),
          items: rest.schema,
          minItems,
          maxItems,
        },
        values: lengths.chain((length) =>
          fc.tuple(...Array.from({ length }, (_, index) => (first[index] ?? rest).values)),
        ),
      };
    });
}

function objects(members: fc.Arbitrary<Model>): fc.Arbitrary<Model> {
  const properties = fc.uniqueArray(fc.tuple(name, members, fc.boolean()), {
    selector: ([key]) => key,
    maxLength: 4,
  });
  return fc.tuple(properties, fc.option(members)).map(([named, other]): Model => {
    // JavaScript moves integer keys to the front and treats __proto__ apart.
    const own = named.filter(([key]) => !/^\d+$|^__proto__$/.test(key));
    const extraKeys = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { maxLength: 3 });
    return {
      schema: {
        type: "object",
        properties: Object.fromEntries(own.map(([key, model]) => [key, model.schema])),
        required: own.filter(([, , required]) => required).map(([key]) => key),
        additionalProperties: other?.schema ?? false,
      },
      values: fc
        .tuple(
          fc.tuple(
            ...own.map(([key, model, required]) =>
              fc.tuple(fc.constant(key), model.values, required ? fc.constant(true) : fc.boolean()),
            ),
          ),
          extraKeys.chain((keys) =>
            fc.tuple(...keys.map((key) => fc.tuple(fc.constant(key), other?.values ?? fc.constant(0)))),
          ),
        )
        .map(([members, extra]) =>
          Object.fromEntries([
            ...members.filter(([, , present]) => present).map(([key, value]) => [key, value] as const),
            ...(other ? extra.filter(([key]) => !own.some(([known]) => known === key)) : []),
          ]),
        ),
    };
  });
}

function choices(options: fc.Arbitrary<Model>): fc.Arbitrary<Model> {
  return fc.array(options, { minLength: 1, maxLength: 3 }).map(
    (models): Model => ({
      schema: { anyOf: models.map((model) => model.schema) },
      values: fc.oneof(...models.map((model) => model.values)),
    }),
  );
}

const instances = models.chain((model) =>
  fc.tuple(fc.constant(model.schema), fc.array(model.values, { minLength: 1, maxLength: 3 })),
);

it("accepts every value of a schema, as JSON.stringify writes it", () => {
  fc.assert(
    fc.property(instances, ([schema, values]) => {
      const grammar = nativeGrammar(jsonSchemaToGrammar(schema));
      for (const value of values) {
        for (const indentation of [0, 2]) {
          const written = JSON.stringify(value, null, indentation);
          expect([written, grammar.accepts(written)]).toEqual([written, true]);
        }
      }
    }),
    { numRuns: 200 },
  );
});

it("accepts any JSON in the grammar of any JSON, and nothing cut short", () => {
  const grammar = nativeGrammar(jsonGrammar());
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      const written = JSON.stringify(value, null, 1);
      expect(grammar.accepts(written)).toBe(true);
      if (typeof value !== "number") expect(grammar.accepts(written.slice(0, -1))).toBe(false);
    }),
  );
});
