import { describe, expect, it } from "vitest";
import { jsonGrammar, jsonSchemaToGrammar } from "../../../src/executor/grammar/json-schema.js";
import { nativeGrammar } from "./native-grammar.js";

const person = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Person",
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 20, description: "Full name", examples: ["Ada"] },
    age: { type: "integer", minimum: 0, maximum: 150 },
    mail: { type: "string", format: "email" },
  },
  required: ["name"],
  additionalProperties: false,
};
const tree = {
  $ref: "#/$defs/node",
  $defs: {
    node: {
      type: "object",
      properties: {
        value: { type: "integer" },
        children: { type: "array", items: { $ref: "#/$defs/node" } },
      },
      required: ["value"],
    },
  },
};
const cat = {
  type: "object",
  properties: { kind: { const: "cat" }, lives: { type: "integer" } },
  required: ["kind"],
};
const dog = {
  type: "object",
  properties: { kind: { const: "dog" }, tricks: { type: "array" } },
  required: ["kind"],
};

/** Schemas with JSON texts that are in the grammar, and that are not. */
const cases: Record<string, [schema: unknown, valid: string[], invalid: string[]]> = {
  everything: [true, ["1", '{"a":[null,true,"x"]}', "[]", "{ }"], ["", "nul", "1 ", "[1,]", "{a:1}", "'x'"]],
  "nothing said": [{}, ['"x"', "[1,[2]]"], ["x"]],
  null: [{ type: "null" }, ["null"], ["0", "nulll"]],
  boolean: [{ type: "boolean" }, ["true", "false"], ["True", "1"]],
  "several types": [{ type: ["string", "null"] }, ['"x"', "null"], ["1", "true"]],
  integer: [{ type: "integer" }, ["0", "-7", "123456789012345678901"], ["01", "-", "1.0", "+1", "1e3"]],
  number: [
    { type: "number" },
    ["0", "-0.5", "1e-7", "6.02E+23", "1.7976931348623157e+308"],
    ["01", ".5", "1.", "1e"],
  ],
  string: [
    { type: "string" },
    ['""', '"é 😀 \\n \\u00e9 \\ud83d\\ude00 \\/"', '"\u007f"'],
    ['"', '"\n"', '"\\x"', '"\\u12"', '"\\ud83d"', "x"],
  ],
  "string lengths": [
    { type: "string", minLength: 2, maxLength: 3 },
    ['"ab"', '"abc"', '"😀😀😀"', '"\\ud83d\\ude00\\n"'],
    ['"a"', '"abcd"', '"😀"', '"\\ud83d\\ude00"'],
  ],
  "long strings": [
    { type: "string", minLength: 1500, maxLength: 2500 },
    [`"${"a".repeat(1500)}"`, `"${"a".repeat(2500)}"`],
    [`"${"a".repeat(1499)}"`, `"${"a".repeat(2501)}"`],
  ],
  enum: [
    { enum: ["red", 'gr"een\n', 3, null, { a: [1, "x"] }] },
    ['"red"', '"gr\\"een\\n"', "3", "null", '{"a":[1,"x"]}', '{\n  "a": [\n    1,\n    "x"\n  ]\n}'],
    ['"blue"', "4", '{"a":[1]}', '"gr"'],
  ],
  "enum of a type": [{ type: "string", enum: ["a", 1] }, ['"a"'], ["1"]],
  const: [{ const: -1.5 }, ["-1.5"], ["-1.50", "1.5"]],
  "an object": [
    person,
    [
      '{"name":"Ada"}',
      '{"name":"Ada","age":36,"mail":"ada@example.org"}',
      '{\n  "name": "Ada",\n  "mail": "a@b.c"\n}',
    ],
    [
      "{}",
      '{"name":""}',
      '{"age":36}',
      '{"age":36,"name":"Ada"}',
      '{"name":"Ada","age":151}',
      '{"name":"Ada","x":1}',
      '{"name":"Ada",}',
    ],
  ],
  "optional properties only": [
    { properties: { a: { type: "null" }, b: { type: "null" }, c: { type: "null" } } },
    ["{}", '{"a":null}', '{"b":null}', '{"a":null,"c":null}', '{"a":null,"b":null,"c":null}'],
    ['{"b":null,"a":null}', '{"a":null,}', '{,"a":null}', '{"d":null}', "[]"],
  ],
  "required without properties": [{ type: "object", required: ["a"] }, ['{"a":[1]}'], ["{}", '{"b":1}']],
  "a forbidden property": [
    { type: "object", properties: { a: false, b: { type: "null" } } },
    ["{}", '{"b":null}'],
    ['{"a":null}'],
  ],
  "free objects": [{ type: "object" }, ["{}", '{"a":1,"b":{}}'], ["[]", '{"a"}']],
  "a map": [
    { type: "object", additionalProperties: { type: "integer" }, minProperties: 1, maxProperties: 2 },
    ['{"a":1}', '{"a":1,"b":2}'],
    ["{}", '{"a":"x"}', '{"a":1,"b":2,"c":3}'],
  ],
  "additional properties": [
    {
      properties: {
        name: { type: "string" },
        names: { type: "null" },
        'na"me': { type: "null" },
        "": { type: "null" },
      },
      required: ["name"],
      additionalProperties: { type: "integer" },
    },
    [
      '{"name":"x"}',
      '{"name":"x","nam":1}',
      '{"name":"x","namer":1,"n":2,"other":3}',
      '{"name":"x","names":null,"x":1}',
    ],
    [
      '{"nam":1}',
      '{"name":"x","name":1}',
      '{"name":"x","names":1}',
      '{"name":"x","":1}',
      '{"name":"x","n":"y"}',
    ],
  ],
  "only additional properties": [
    { properties: { a: { type: "null" } }, additionalProperties: true },
    ["{}", '{"a":null}', '{"b":1,"c":2}', '{"a":null,"b":1}'],
    ['{"b":1,"a":null}', '{"a":1}'],
  ],
  arrays: [
    { type: "array", items: { type: "integer" } },
    ["[]", "[1]", "[1, 2,3]", "[\n  1,\n  2\n]"],
    ["[1,]", "[,1]", '["x"]'],
  ],
  "array lengths": [
    { items: { type: "null" }, minItems: 1, maxItems: 2 },
    ["[null]", "[null,null]"],
    ["[]", "[null,null,null]"],
  ],
  "empty arrays": [{ type: "array", maxItems: 0 }, ["[]", "[ ]"], ["[1]"]],
  tuples: [
    { prefixItems: [{ type: "integer" }, { type: "string" }], items: false, minItems: 1 },
    ["[1]", '[1,"x"]'],
    ["[]", '["x"]', '[1,"x",2]', "[1,2]"],
  ],
  "tuples with a tail": [
    { prefixItems: [{ type: "integer" }], items: { type: "string" }, minItems: 2, maxItems: 3 },
    ['[1,"a"]', '[1,"a","b"]'],
    ["[1]", '[1,"a","b","c"]', "[1,2]"],
  ],
  "tuples of draft 7": [
    { type: "array", items: [{ type: "integer" }, { type: "null" }], additionalItems: false, minItems: 2 },
    ["[1,null]"],
    ["[1]", "[1,null,1]"],
  ],
  "any of": [
    { anyOf: [{ type: "string" }, { type: "array", items: { type: "null" } }] },
    ['"x"', "[null]"],
    ["1"],
  ],
  "one of, with a discriminator": [
    { oneOf: [cat, dog] },
    ['{"kind":"cat","lives":9}', '{"kind":"dog","tricks":["sit"]}'],
    ['{"kind":"cat","tricks":[]}', '{"kind":"cow"}'],
  ],
  "any of, beside properties": [
    {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
    ["{}", '{"c":1}'],
  ],
  "all of": [
    {
      allOf: [
        { $ref: "#/$defs/base" },
        { properties: { b: { type: "integer" }, a: { minimum: 3 } }, required: ["b"] },
      ],
      $defs: {
        base: { type: "object", properties: { a: { type: "integer", maximum: 5 } }, required: ["a"] },
      },
    },
    ['{"a":3,"b":1}', '{"a":5,"b":1}'],
    ['{"a":1,"b":1}', '{"a":6,"b":1}', '{"a":3}', '{"b":1}'],
  ],
  "all of with alternatives": [
    {
      allOf: [
        { anyOf: [{ type: "integer" }, { type: "string" }] },
        { anyOf: [{ type: "string" }, { type: "null" }] },
      ],
    },
    ['"x"'],
    ["1", "null"],
  ],
  nullable: [{ type: "integer", nullable: true }, ["1", "null"], ['"x"']],
  "a nullable reference to itself": [
    { type: "object", properties: { next: { nullable: true, $ref: "#" } }, required: ["next"] },
    ['{"next":null}', '{"next":{"next":null}}'],
    ['{"next":1}', "{}", "null"],
  ],
  "a recursive schema": [
    tree,
    ['{"value":1}', '{"value":1,"children":[{"value":2,"children":[]},{"value":3}]}'],
    ['{"value":1,"children":[{}]}', "{}"],
  ],
  "a reference through a pointer with escapes": [
    { $ref: "#/definitions/a~1b%20c", definitions: { "a/b c": { type: "null" } } },
    ["null"],
    ["1"],
  ],
  pattern: [
    { type: "string", pattern: '^(?:[A-Z]{2,3}-\\d+|x\\.y|"\\\\)$' },
    ['"AB-1"', '"ABC-123"', '"x.y"', '"\\"\\\\"'],
    ['"A-1"', '"ABCD-1"', '"xzy"', '"AB-1 "', '"AB-"'],
  ],
  "a pattern without anchors": [{ pattern: "ab+" }, ['"ab"', '"xxabbbyy"'], ['"a"', '"xba"']],
  "a pattern with anchors of its own alternatives": [
    { pattern: "^a|b$" },
    ['"axx"', '"xxb"'],
    ['"xax"', '"bx"'],
  ],
  "a pattern with classes": [
    { pattern: '^[^\\s\\d"]\\w*[\\]\\-x-z]?\\u00e9.$' },
    ['"A_b9]éx"', '"\\\\é\\""', '"-é\\t"'],
    ['"\\"é1"', '" éx"', '"1éx"', '"Aé\\n"', '"Aé"'],
  ],
  "date-time": [
    { type: "string", format: "date-time" },
    ['"2024-02-29T23:59:59Z"', '"1999-12-31T00:00:00.123+02:00"'],
    ['"2024-02-30T00:00:00Z"', '"2024-13-01T00:00:00Z"', '"2024-01-01"', '"2024-01-01T24:00:00Z"'],
  ],
  date: [{ format: "date" }, ['"2024-04-30"'], ['"2024-04-31"', '"2024-4-3"']],
  time: [{ format: "time" }, ['"12:30:00Z"', '"12:30:00-08:00"'], ['"12:60:00Z"', '"12:30"']],
  uuid: [{ format: "uuid" }, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']],
  ipv4: [{ format: "ipv4" }, ['"192.168.0.255"'], ['"256.1.1.1"', '"1.1.1"', '"01.1.1.1"']],
  uri: [{ format: "uri" }, ['"https://example.org/a?b=c#d"'], ['"example"', '"http://a b"']],
};

describe("the grammar of", () => {
  it.each(Object.keys(cases))("%s", (name) => {
    const [schema, valid, invalid] = cases[name]!;
    const grammar = nativeGrammar(jsonSchemaToGrammar(schema));
    expect(valid.filter((text) => !grammar.accepts(text))).toEqual([]);
    expect(invalid.filter((text) => grammar.accepts(text))).toEqual([]);
    for (const text of valid) JSON.parse(text);
  });

  it("any JSON", () => {
    const grammar = nativeGrammar(jsonGrammar());
    expect(grammar.accepts('{"a": [1, {"b": null}], "c": "d"}')).toBe(true);
    expect(grammar.accepts('{"a": 1')).toBe(false);
  });

  it("anything stops whitespace that goes on", () => {
    const grammar = nativeGrammar(jsonGrammar());
    expect(grammar.begins(`[\n${" ".repeat(64)}`)).toBe(true);
    expect(grammar.begins(`[${" ".repeat(400)}`)).toBe(false);
    expect(grammar.begins(`[${"\n".repeat(400)}`)).toBe(false);
    expect(grammar.begins("1\n")).toBe(false);
  });
});

describe("a schema that cannot be held is refused:", () => {
  it.each<[unknown, string, string]>([
    [{ type: "string", contains: 1 }, "#", "contains"],
    [{ properties: { a: { not: { type: "null" } } } }, "#/properties/a", "not"],
    [{ items: { uniqueItems: true, type: "array" } }, "#/items", "uniqueItems"],
    [{ if: {}, else: {} }, "#", "if"],
    [{ type: "integer", multipleOf: 2 }, "#", "multipleOf"],
    [{ patternProperties: {} }, "#", "patternProperties"],
    [{ minLenght: 2 }, "#", "minLenght"],
    [{ $ref: "https://example.org/schema" }, "#", "$ref: https://example.org/schema"],
    [{ $ref: "#/$defs/none" }, "#", "$ref: #/$defs/none"],
    [{ $ref: "#/__proto__" }, "#", "$ref: #/__proto__"],
    [{ $ref: "#/%" }, "#", "$ref: #/%"],
    [{ $ref: "#/%ff" }, "#", "$ref: #/%ff"],
    [{ $ref: "#" }, "#", "$ref"],
    [{ anyOf: [{ type: "null" }, { $ref: "#" }] }, "#", "$ref"],
    [{ allOf: [{ $ref: "#" }, { type: "object" }] }, "#", "allOf"],
    [{ type: "object", properties: { a: { $ref: "#", minProperties: 0 } } }, "#/properties/a", "schema"],
    [{ type: "text" }, "#", "type"],
    [{ type: 3 }, "#", "type"],
    [{ minLength: -1 }, "#", "minLength"],
    [{ properties: [] }, "#", "properties"],
    [false, "#", "false"],
    [null, "#", "schema"],
    ["string", "#", "schema"],
    [{ enum: [] }, "#", "enum"],
    [{ enum: ["a"], minLength: 2 }, "#", "minLength"],
    [{ type: "integer", enum: ["a"] }, "#", "enum"],
    [{ type: "integer", minimum: 3, maximum: 2 }, "#", "minimum"],
    [{ type: "string", minLength: 3, maxLength: 2 }, "#", "minLength"],
    [{ type: "string", format: "iri" }, "#/format", "iri"],
    [{ pattern: "a(?=b)" }, "#", "pattern: looks ahead or behind"],
    [{ pattern: "(a*)*" }, "#", "pattern: repeats what may be empty"],
    [{ pattern: "(a)\\1" }, "#", "pattern: has \\1"],
    [{ pattern: "(" }, "#", "pattern: has a group without end"],
    [{ pattern: "[z-a]" }, "#", "pattern: has a range out of order"],
    [{ pattern: "a", maxLength: 3 }, "#", "pattern"],
    [{ allOf: [{ type: "string" }, { type: "null" }] }, "#", "allOf"],
    [
      { allOf: [{ properties: { a: {} }, additionalProperties: false }, { properties: { b: {} } }] },
      "#",
      "additionalProperties",
    ],
    [{ allOf: [{ pattern: "a" }, { pattern: "b" }] }, "#", "pattern"],
  ])("%j", (schema, path, keyword) => {
    expect(() => jsonSchemaToGrammar(schema)).toThrow(
      expect.objectContaining({
        code: "json-schema-unsupported",
        facts: expect.objectContaining({ keyword }),
      }),
    );
    expect(() => jsonSchemaToGrammar(schema)).toThrow(
      expect.objectContaining({ facts: expect.objectContaining({ path: expect.stringContaining(path) }) }),
    );
  });

  it("alternatives that multiply", () => {
    const option = (index: number) => ({ properties: { [`p${index}`]: { type: "null" } } });
    const anyOf = Array.from({ length: 10 }, (_, index) => option(index));
    const schema = { allOf: Array.from({ length: 10 }, () => ({ anyOf })) };
    expect(() => jsonSchemaToGrammar(schema)).toThrow(
      expect.objectContaining({ code: "json-schema-unsupported" }),
    );
  });

  it("one of great depth", () => {
    let schema: unknown = { type: "null" };
    for (let depth = 0; depth < 5000; depth++) schema = { type: "array", items: schema };
    expect(() => jsonSchemaToGrammar(schema)).toThrow(
      expect.objectContaining({ code: "json-schema-unsupported" }),
    );
  });
});
