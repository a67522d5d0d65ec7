/** A schema: everything, nothing, or what its keywords say. */
export type Schema = boolean | SchemaObject;
/** The keywords that are held. Annotations have been left out. */
export interface SchemaObject {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  nullable?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  minProperties?: number;
  maxProperties?: number;
  items?: Schema;
  prefixItems?: Schema[];
  minItems?: number;
  maxItems?: number;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
}

/** The types of a schema's values: those it names, else those that its keywords speak of, else all. */
export function schemaTypes(own: SchemaObject): string[] {
  if (own.type !== undefined) {
    const types = [own.type].flat();
    return types.includes("number") ? types.filter((type) => type !== "integer") : types;
  }
  const implied = Object.entries(typeKeywords).filter(([, names]) => names.some((name) => name in own));
  return implied.length > 0 ? implied.map(([type]) => type) : knownTypes.filter((type) => type !== "integer");
}

const typeKeywords: Record<string, (keyof SchemaObject)[]> = {
  object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
};

/** The types there are. */
export const knownTypes = ["object", "array", "string", "number", "integer", "boolean", "null"];
