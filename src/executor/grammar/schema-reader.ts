import { mergeSchemas } from "./merge.js";
import { knownTypes, type Schema, type SchemaObject } from "./schema.js";
import { unsupported } from "./schema-error.js";

/** Reads schemas of one document: checks their keywords, follows their references, and spells out their branches. */
export class SchemaReader {
  private readonly checked = new Map<unknown, SchemaObject>();
  private merges = 0;

  constructor(private readonly root: unknown) {}

  /** The keywords of a schema as the rest reads them. One schema gives one object. */
  check(raw: unknown, path: string): SchemaObject {
    const known = this.checked.get(raw);
    if (known) return known;
    if (typeof raw !== "object" || raw === null || Array.isArray(raw))
      throw unsupported(path, "schema", "malformed");

    const own: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(raw)) {
      if (
        annotations.has(keyword) ||
        keyword.startsWith("x-") ||
        (keyword === "uniqueItems" && value === false)
      )
        continue;
      if (
        !Object.hasOwn(keywords, keyword) &&
        !(keyword === "additionalItems" && Array.isArray((raw as SchemaObject).items))
      ) {
        throw unsupported(path, keyword, "unsupported");
      }
      own[keyword] = value;
    }
    asCurrentDraft(own);
    for (const [keyword, value] of Object.entries(own)) {
      if (!keywords[keyword as keyof SchemaObject](value)) throw unsupported(path, keyword, "malformed");
    }
    const types = [(own as SchemaObject).type ?? []].flat();
    if (types.some((type) => !knownTypes.includes(type))) throw unsupported(path, "type", "malformed");
    if ("const" in own) {
      if ("enum" in own) throw unsupported(path, "const", "combination");
      own.enum = [own.const];
      delete own.const;
    }
    if (own.enum) {
      const beside = Object.keys(own).find(
        (keyword) => !["enum", "type", "nullable", ...combining].includes(keyword),
      );
      if (beside) throw unsupported(path, beside, "combination");
    }
    this.checked.set(raw, own as SchemaObject);
    return own as SchemaObject;
  }

  /** Where a schema that is nothing but a reference points to. */
  plainReference(own: SchemaObject, path: string): { schema: Schema; path: string } | undefined {
    if (own.$ref === undefined || Object.keys(own).length > 1) return undefined;
    return { schema: this.resolve(own.$ref, path), path: own.$ref };
  }

  /**
   * The alternatives that a schema stands for, with what it says besides them: none has `$ref` beside other keywords,
   * `allOf`, `anyOf`, `oneOf` or `nullable`. A schema without these is its own only branch.
   */
  branches(own: SchemaObject, path: string): { schema: Schema; path: string }[] {
    if (![...combining, "nullable"].some((keyword) => keyword in own)) return [{ schema: own, path }];
    const { $ref, allOf, anyOf, oneOf, nullable, ...rest } = own;

    let base: Schema = rest;
    for (const part of [...($ref === undefined ? [] : [{ $ref }]), ...(allOf ?? [])]) {
      base = this.merge(base, part, path);
    }
    let branches: { schema: Schema; path: string }[] = [{ schema: base, path }];
    for (const [keyword, options] of [
      ["anyOf", anyOf],
      ["oneOf", oneOf],
    ] as const) {
      if (!options) continue;
      branches = branches.flatMap((branch) =>
        options.map((option, index) => {
          const place = `${path}/${keyword}/${index}`;
          return { schema: this.merge(branch.schema, option, place), path: place };
        }),
      );
    }
    if (nullable) branches.push({ schema: { type: "null" }, path });
    const possible = branches.filter((branch) => branch.schema !== false);
    if (possible.length === 0) throw unsupported(path, combining.find((keyword) => keyword in own)!, "never");
    return possible;
  }

  /** Both schemas at once. Where one says nothing it is the other, untouched, so that references stay references. */
  private merge(first: Schema, second: Schema, path: string, depth = 0): Schema {
    if (first === true || second === false) return second;
    if (second === true || first === false) return first;
    const [a, b] = [this.check(first, path), this.check(second, path)];
    if (Object.keys(a).length === 0) return second;
    if (Object.keys(b).length === 0) return first;
    // Alternatives multiply.
    if (++this.merges > mostMerges) throw unsupported(path, "allOf", "large");
    if (depth > 32) throw unsupported(path, "allOf", "recursion");
    const deeper = (one: Schema, other: Schema) => this.merge(one, other, path, depth + 1);

    if (a.$ref !== undefined) {
      const { $ref, ...rest } = a;
      return deeper(deeper(this.resolve($ref, path), rest), b);
    }
    if (b.$ref !== undefined) {
      const { $ref, ...rest } = b;
      return deeper(deeper(a, this.resolve($ref, path)), rest);
    }
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const keyword = (["allOf", "anyOf", "oneOf"] as const).find((name) => one[name]);
      if (!keyword) continue;
      const { [keyword]: parts, ...rest } = one;
      if (keyword === "allOf") return parts!.reduce(deeper, deeper(rest, other));
      const options = parts!
        .map((part) => deeper(deeper(rest, part), other))
        .filter((option) => option !== false);
      return options.length > 0 ? { anyOf: options } : false;
    }
    return mergeSchemas(a, b, path, deeper);
  }

  private resolve(reference: string, path: string): Schema {
    const keys = pointerKeys(reference);
    let target: unknown = keys && this.root;
    for (const key of keys ?? []) {
      const holder = target;
      const found = typeof holder === "object" && holder !== null && Object.hasOwn(holder, key);
      target = found ? (holder as Record<string, unknown>)[key] : undefined;
    }
    if (target === undefined) throw unsupported(path, `$ref: ${reference}`, "unresolved");
    return target as Schema;
  }
}

const mostMerges = 20_000;
const combining = ["$ref", "allOf", "anyOf", "oneOf"];

/** The keys of a JSON pointer into this document, as a fragment (RFC 6901, section 6). */
function pointerKeys(reference: string): string[] | undefined {
  if (!/^#(\/|$)/.test(reference)) return undefined;
  try {
    const keys = decodeURIComponent(reference).split("/").slice(1);
    return keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  } catch {
    return undefined;
  }
}

/** Drafts 4 to 2019-09 wrote tuples as arrays of `items`, and draft 4 exclusive bounds as booleans. */
function asCurrentDraft(own: Record<string, unknown>): void {
  if (Array.isArray(own.items)) {
    own.prefixItems = own.items;
    own.items = own.additionalItems ?? true;
    delete own.additionalItems;
  }
  for (const [exclusive, inclusive] of [
    ["exclusiveMinimum", "minimum"],
    ["exclusiveMaximum", "maximum"],
  ] as const) {
    if (typeof own[exclusive] !== "boolean") continue;
    if (own[exclusive] && inclusive in own) {
      own[exclusive] = own[inclusive];
      delete own[inclusive];
    } else delete own[exclusive];
  }
}

type Check = (value: unknown) => boolean;
const isSchema: Check = (value) => typeof value === "boolean" || isRecord(value);
const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isRecord: Check = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf =
  (check: Check, least = 0): Check =>
  (value) =>
    Array.isArray(value) && value.length >= least && value.every(check);

const keywords: Record<keyof SchemaObject, Check> = {
  type: (value) => isText(value) || listOf(isText, 1)(value),
  enum: listOf(() => true, 1),
  const: () => true,
  nullable: (value) => typeof value === "boolean",
  minimum: isNumber,
  maximum: isNumber,
  exclusiveMinimum: isNumber,
  exclusiveMaximum: isNumber,
  minLength: isCount,
  maxLength: isCount,
  pattern: isText,
  format: isText,
  properties: (value) => isRecord(value) && Object.values(value as object).every(isSchema),
  required: listOf(isText),
  additionalProperties: isSchema,
  minProperties: isCount,
  maxProperties: isCount,
  items: isSchema,
  prefixItems: listOf(isSchema),
  minItems: isCount,
  maxItems: isCount,
  anyOf: listOf(isSchema, 1),
  oneOf: listOf(isSchema, 1),
  allOf: listOf(isSchema, 1),
  $ref: isText,
};
/** Keywords that constrain nothing, or nothing by themselves. */
const annotations = new Set(
  (
    "title description default examples example deprecated readOnly writeOnly $schema $id id $comment $defs definitions " +
    "contentEncoding contentMediaType discriminator externalDocs"
  ).split(" "),
);
