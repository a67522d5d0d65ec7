import { Grammar, oneOf } from "./gbnf.js";
import { JsonRules } from "./json-values.js";
import { integersWithin, type NumberBounds, numbersWithin } from "./number-range.js";
import { PatternUnsupported, patternString } from "./pattern.js";
import { type Schema, type SchemaObject, schemaTypes } from "./schema.js";
import { unsupported } from "./schema-error.js";
import { SchemaReader } from "./schema-reader.js";
import { stringFormats } from "./string-formats.js";

/**
 * The grammar, in GBNF, of the JSON texts that a JSON Schema allows. What it accepts is valid, with two exceptions:
 * `oneOf` is read as `anyOf`, and additional properties may repeat. It accepts less than the schema where that serves a
 * model: properties come in the order of the schema; objects with `properties` have no others unless
 * `additionalProperties` says so; a keyword without `type` implies its type; numbers with bounds have no exponent.
 * Errors: `json-schema-unsupported` with the place and the keyword, for everything that cannot be held.
 */
export function jsonSchemaToGrammar(schema: unknown): string {
  const grammar = new Grammar();
  const root = grammar.reserve("root");
  grammar.define(root, new SchemaCompiler(schema, new JsonRules(grammar)).compile(schema as Schema, "#"));
  return grammar.toString();
}

/** The grammar of any JSON text. */
export function jsonGrammar(): string {
  return jsonSchemaToGrammar(true);
}

const largestSchema = 20_000;
const deepestSchema = 100;

class SchemaCompiler {
  private readonly reader: SchemaReader;
  /** The rule of each schema that something refers to. */
  private readonly referred = new Map<unknown, string>();
  /** References entered since the last bracket: meeting one again means that it says nothing but itself. */
  private open = new Set<unknown>();
  private compiled = 0;
  private depth = 0;

  constructor(
    root: unknown,
    private readonly json: JsonRules,
  ) {
    this.reader = new SchemaReader(root);
  }

  /** What stands in a rule for the values of this schema. Alternatives are in parentheses. */
  compile(schema: Schema, path: string): string {
    if (schema === true) return this.json.value();
    if (schema === false) throw unsupported(path, "false", "never");
    // References with keywords beside them are spelt out each time, so a recursive one would go on for ever.
    if (++this.compiled > largestSchema || this.depth > deepestSchema)
      throw unsupported(path, "schema", "large");
    this.depth++;
    try {
      return this.alternatives(schema, path);
    } finally {
      this.depth--;
    }
  }

  private alternatives(schema: SchemaObject, path: string): string {
    const own = this.reader.check(schema, path);
    const target = this.reader.plainReference(own, path);
    if (target) return this.reference(target.schema, target.path);
    const branches = this.reader.branches(own, path);
    if (branches.length > 1 || branches[0]!.schema !== own) {
      return oneOf(branches.map((branch) => this.compile(branch.schema, branch.path)));
    }
    return this.leaf(own, path);
  }

  private reference(schema: Schema, path: string): string {
    if (typeof schema === "boolean") return this.compile(schema, path);
    if (this.open.has(schema)) throw unsupported(path, "$ref", "recursion");
    const known = this.referred.get(schema);
    if (known !== undefined) return known;
    const name = this.json.grammar.reserve(path.split("/").at(-1)!);
    this.referred.set(schema, name);
    this.open.add(schema);
    this.json.grammar.define(name, this.compile(schema, path));
    this.open.delete(schema);
    return name;
  }

  /** Schemas inside brackets: a reference to what is open is no endless loop there. */
  private inside<T>(compile: () => T): T {
    const before = this.open;
    this.open = new Set();
    try {
      return compile();
    } finally {
      this.open = before;
    }
  }

  private leaf(schema: SchemaObject, path: string): string {
    const types = schemaTypes(schema);
    if (schema.enum !== undefined) {
      const values = schema.enum.filter((value) => types.some((type) => isOfType(value, type)));
      if (values.length === 0) throw unsupported(path, "enum", "never");
      return oneOf(values.map((value) => this.json.exactly(value)));
    }
    return oneOf(types.map((type) => this.ofType(type, schema, path)));
  }

  private ofType(type: string, schema: SchemaObject, path: string): string {
    switch (type) {
      case "null":
        return `"null"`;
      case "boolean":
        return this.json.boolean();
      case "integer":
      case "number":
        return this.numeric(type, schema, path);
      case "string":
        return this.text(schema, path);
      case "array":
        return this.inside(() => this.array(schema, path));
      default:
        return this.inside(() => this.object(schema, path));
    }
  }

  private numeric(type: "integer" | "number", schema: SchemaObject, path: string): string {
    const bounds: NumberBounds = {
      minimum: tighter(schema.minimum, schema.exclusiveMinimum, 1),
      maximum: tighter(schema.maximum, schema.exclusiveMaximum, -1),
    };
    if (!bounds.minimum && !bounds.maximum)
      return type === "integer" ? this.json.integer() : this.json.number();
    const expression = type === "integer" ? integersWithin(bounds) : numbersWithin(this.json.grammar, bounds);
    if (expression === undefined) throw unsupported(path, bounds.minimum ? "minimum" : "maximum", "never");
    return this.json.grammar.rule(nameOf(path), expression);
  }

  private text(schema: SchemaObject, path: string): string {
    const { pattern, format, minLength, maxLength } = schema;
    const keyword = pattern !== undefined ? "pattern" : "format";
    const expression = pattern ?? (format === undefined ? undefined : stringFormats[format]);
    if (expression === undefined) {
      if (format !== undefined) throw unsupported(`${path}/format`, format, "unsupported");
      if ((minLength ?? 0) > (maxLength ?? Number.POSITIVE_INFINITY))
        throw unsupported(path, "minLength", "never");
      return this.json.string(minLength, maxLength);
    }
    if (pattern !== undefined && format !== undefined) throw unsupported(path, "format", "combination");
    if (minLength || maxLength !== undefined) throw unsupported(path, keyword, "combination");
    try {
      return patternString(this.json, expression);
    } catch (error) {
      if (!(error instanceof PatternUnsupported)) throw error;
      throw unsupported(path, `pattern: ${error.message}`, "unsupported");
    }
  }

  private array(schema: SchemaObject, path: string): string {
    const { prefixItems = [], items = true, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
    const most = items === false ? Math.min(maxItems, prefixItems.length) : maxItems;
    if (minItems > most) throw unsupported(path, "minItems", "never");
    const first = prefixItems
      .slice(0, most)
      .map((item, index) => this.named(item, `${path}/prefixItems/${index}`));
    const further = Math.max(0, most - first.length);
    const rest = further > 0 ? this.named(items, `${path}/items`) : "";

    if (first.length === 0) return this.json.enclosed("[", this.json.list(rest, minItems, further), "]");
    let inside = this.json.furtherItems(rest, Math.max(0, minItems - first.length), further);
    for (let index = first.length - 1; index >= 0; index--) {
      const item = `${index > 0 ? `${this.json.comma()} ` : ""}${first[index]} ${inside}`;
      inside = index < minItems ? item : `(${item})?`;
    }
    return this.json.enclosed("[", inside, "]");
  }

  private object(schema: SchemaObject, path: string): string {
    const { required = [], minProperties, maxProperties } = schema;
    const properties = new Map(Object.entries(schema.properties ?? {}));
    const additional =
      schema.additionalProperties ?? (schema.properties === undefined && required.length === 0);
    for (const key of required)
      if (!properties.has(key)) properties.set(key, schema.additionalProperties ?? true);

    if (properties.size === 0 && additional !== false) {
      const member = this.additionalMember([], additional, path);
      const most = maxProperties ?? Number.POSITIVE_INFINITY;
      return this.json.enclosed("{", this.json.list(member, minProperties ?? 0, most), "}");
    }
    if ((minProperties ?? 0) > required.length) throw unsupported(path, "minProperties", "combination");
    if (maxProperties !== undefined && (additional !== false || maxProperties < properties.size)) {
      throw unsupported(path, "maxProperties", "combination");
    }

    const members = [...properties]
      .filter(([key, value]) => value !== false || required.includes(key))
      .map(([key, value]) => {
        const rule = this.named(value, `${path}/properties/${key}`);
        return { member: this.json.member(key, rule), required: required.includes(key) };
      });
    const more =
      additional === false ? undefined : this.additionalMember([...properties.keys()], additional, path);
    return this.json.enclosed("{", this.members(members, more, nameOf(path)), "}");
  }

  /** Members in order, the optional ones there or not. The rules go from the last member to the first. */
  private members(
    members: { member: string; required: boolean }[],
    more: string | undefined,
    hint: string,
  ): string {
    const { json } = this;
    // What may follow when nothing has been written yet, and when something has.
    let atStart = more ? json.list(more, 0, Number.POSITIVE_INFINITY) : `""`;
    let later = more ? json.furtherItems(more, 0, Number.POSITIVE_INFINITY) : `""`;
    for (const { member, required } of members.toReversed()) {
      const started = `${member} ${later}`;
      const continued = `${json.comma()} ${member} ${later}`;
      atStart = json.grammar.rule(
        `${hint}-start`,
        required || started === atStart ? started : `${started} | ${atStart}`,
      );
      later = json.grammar.rule(`${hint}-more`, required ? continued : `${continued} | ${later}`);
    }
    return atStart;
  }

  private additionalMember(keys: string[], schema: Schema, path: string): string {
    const value = this.named(schema, `${path}/additionalProperties`);
    return this.json.grammar.rule("member", `${this.json.stringExcept(keys)} ${this.json.colon()} ${value}`);
  }

  /** The name of the rule of a schema, for places that need a name. */
  private named(schema: Schema, path: string): string {
    return this.json.grammar.rule(nameOf(path), this.compile(schema, path));
  }
}

function nameOf(path: string): string {
  const name = path.split("/").at(-1)!;
  return /^(\d+|items|#)$/.test(name) ? "item" : name;
}

function tighter(inclusive: number | undefined, exclusive: number | undefined, sign: 1 | -1) {
  if (exclusive !== undefined && (inclusive === undefined || sign * exclusive >= sign * inclusive)) {
    return { value: exclusive, exclusive: true };
  }
  return inclusive === undefined ? undefined : { value: inclusive, exclusive: false };
}

function isOfType(value: unknown, type: string): boolean {
  if (value === null) return type === "null";
  if (Array.isArray(value)) return type === "array";
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
