import { isDeepStrictEqual } from "node:util";
import type { Schema, SchemaObject } from "./schema.js";
import { schemaTypes } from "./schema.js";
import { unsupported } from "./schema-error.js";

/**
 * One schema for what two say, both without references and combining keywords; false where they contradict.
 * @param both Merges two schemas of any kind.
 * Errors: `json-schema-unsupported` where one schema cannot say it.
 */
export function mergeSchemas(
  first: SchemaObject,
  second: SchemaObject,
  path: string,
  both: (first: Schema, second: Schema) => Schema,
): Schema {
  const merged: SchemaObject = { ...first, ...second };
  for (const name of Object.keys(first) as (keyof SchemaObject)[]) {
    const [a, b] = [first[name], second[name]] as [never, never];
    if (b === undefined || isDeepStrictEqual(a, b)) {
      merged[name] = a;
      continue;
    }
    const rule = rules[name];
    if (!rule) throw unsupported(path, name, "combination");
    merged[name] = rule(a, b, both) as never;
  }
  if (first.type !== undefined || second.type !== undefined) merged.type = commonTypes(first, second);
  if (merged.enum?.length === 0 || (merged.type as string[] | undefined)?.length === 0) return false;
  if (merged.enum) {
    const beside = Object.keys(merged).find((keyword) => !["enum", "type"].includes(keyword));
    if (beside) throw unsupported(path, beside, "combination");
  }
  closedTogether(first, second, merged, path);
  return merged;
}

type Rule = (a: never, b: never, both: (first: Schema, second: Schema) => Schema) => unknown;

const larger: Rule = (a, b) => Math.max(a, b);
const smaller: Rule = (a, b) => Math.min(a, b);
const rules: Partial<Record<keyof SchemaObject, Rule>> = {
  type: (a) => a, // settled with commonTypes
  enum: (a: unknown[], b: unknown[]) =>
    a.filter((value) => b.some((other) => isDeepStrictEqual(value, other))),
  minimum: larger,
  exclusiveMinimum: larger,
  minLength: larger,
  minItems: larger,
  minProperties: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  maxLength: smaller,
  maxItems: smaller,
  maxProperties: smaller,
  required: (a: string[], b: string[]) => [...new Set([...a, ...b])],
  items: (a: Schema, b: Schema, both) => both(a, b),
  additionalProperties: (a: Schema, b: Schema, both) => both(a, b),
  properties: (a: Record<string, Schema>, b: Record<string, Schema>, both) => {
    const properties = { ...a, ...b };
    for (const [key, schema] of Object.entries(a))
      if (Object.hasOwn(b, key)) properties[key] = both(schema, b[key]!);
    return properties;
  },
};

function commonTypes(first: SchemaObject, second: SchemaObject): string[] {
  const [a, b] = [first, second].map((schema) =>
    schema.type === undefined ? undefined : schemaTypes(schema),
  );
  if (!a || !b) return (a ?? b)!;
  return [
    ...a.filter((type) => b.includes(type) || (type === "integer" && b.includes("number"))),
    ...(a.includes("number") && b.includes("integer") ? ["integer"] : []),
  ];
}

/** `additionalProperties` speaks of the properties that its own schema does not name, those of the other among them. */
function closedTogether(first: SchemaObject, second: SchemaObject, merged: SchemaObject, path: string): void {
  for (const [one, other] of [
    [first, second],
    [second, first],
  ] as const) {
    if (one.additionalProperties === undefined || one.additionalProperties === true) continue;
    const foreign = Object.keys(other.properties ?? {}).find(
      (key) => !Object.hasOwn(one.properties ?? {}, key),
    );
    if (foreign !== undefined) throw unsupported(path, "additionalProperties", "combination");
  }
  // `prefixItems` of one and `items` of the other speak of the same items in the same way.
  if (merged.prefixItems && (first.prefixItems === undefined || second.prefixItems === undefined)) {
    const without = first.prefixItems === undefined ? first : second;
    if (without.items !== undefined && without.items !== true)
      throw unsupported(path, "prefixItems", "combination");
  }
}
