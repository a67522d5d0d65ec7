import { JaugeError } from "../../errors.js";
import { localized } from "../../messages/locale.js";
import { sourceProblems } from "../../messages/source.js";

const problems = localized(sourceProblems);

/** Bounds of sizes in a configuration: those of src/llama-hparams.h, or far above any model. */
export const limits = {
  layers: 512,
  experts: 1024,
  hidden: 2 ** 20,
  heads: 2 ** 16,
  vocabulary: 2 ** 24,
  tokens: 2 ** 30,
};

/**
 * The values of a model's config.json. Each is asked for under the names that it has had; a missing one takes the
 * fallback, where there is one, and a wrong one is refused by name. Errors: `source-config-invalid`.
 */
export class Config {
  /** `path` is for errors. */
  constructor(
    readonly path: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  /** The names of all values. */
  names(): string[] {
    return Object.keys(this.values);
  }

  integer(names: string, high: number, fallback?: number, low = 1): number {
    const [name, value] = this.find(names);
    if (value === undefined && fallback !== undefined) return fallback;
    if (value === undefined) throw this.invalid(name, problems.missing());
    if (!Number.isInteger(value)) throw this.invalid(name, problems.notA({ expected: "integer" }));
    if ((value as number) < low || (value as number) > high)
      throw this.invalid(name, problems.outOfRange({ value: value as number, low, high }));
    return value as number;
  }

  /** A finite number; undefined where there is none and no fallback. */
  number(names: string): number | undefined;
  number(names: string, fallback: number): number;
  number(names: string, fallback?: number): number | undefined {
    const [name, value] = this.find(names);
    if (value === undefined) return fallback;
    if (typeof value !== "number" || !Number.isFinite(value))
      throw this.invalid(name, problems.notA({ expected: "number" }));
    return value;
  }

  boolean(names: string, fallback: boolean): boolean {
    const [name, value] = this.find(names);
    if (value === undefined) return fallback;
    if (typeof value !== "boolean") throw this.invalid(name, problems.notA({ expected: "boolean" }));
    return value;
  }

  string(names: string): string | undefined {
    const [name, value] = this.find(names);
    if (value !== undefined && typeof value !== "string")
      throw this.invalid(name, problems.notA({ expected: "string" }));
    return value;
  }

  strings(names: string): string[] | undefined {
    const [name, value] = this.find(names);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string"))
      throw this.invalid(name, problems.notA({ expected: "list of strings" }));
    return value;
  }

  /** A list of `count` finite numbers. */
  numbers(names: string, count: number): number[] {
    const [name, value] = this.find(names);
    if (value === undefined) throw this.invalid(name, problems.missing());
    if (!Array.isArray(value) || value.length !== count || !value.every((item) => Number.isFinite(item)))
      throw this.invalid(name, problems.notNumbers({ count }));
    return value;
  }

  /** The number of items of a list; 0 where there is none. */
  count(names: string): number {
    const [name, value] = this.find(names);
    if (value === undefined) return 0;
    if (!Array.isArray(value)) throw this.invalid(name, problems.notA({ expected: "list" }));
    return value.length;
  }

  /** The object of one of these names; an empty one where there is none. */
  object(names: string): Config {
    const [name, value] = this.find(names);
    if (value === undefined) return new Config(this.path, {});
    if (typeof value !== "object" || Array.isArray(value))
      throw this.invalid(name, problems.notA({ expected: "object" }));
    return new Config(this.path, value as Record<string, unknown>);
  }

  /** These values, and those of `other` over them. */
  with(other: Config): Config {
    return new Config(this.path, { ...this.values, ...other.values });
  }

  /** Refuses a setting that llama.cpp has no graph for. */
  expect(isSupported: boolean, field: string): void {
    if (!isSupported)
      throw this.invalid(
        field,
        problems.unsupported({ value: JSON.stringify(this.values[field]) ?? "null" }),
      );
  }

  /** `value` / `of`. Errors: `source-config-invalid` where it is no whole number. */
  quotient(field: string, value: number, what: string, of: number): number {
    if (value % of !== 0) throw this.invalid(field, problems.notMultiple({ value, of, what }));
    return value / of;
  }

  invalid(field: string, problem: string): JaugeError<"source-config-invalid"> {
    return new JaugeError("source-config-invalid", { path: this.path, field, problem });
  }

  /** The first of the names, split at spaces, that has a value; the first name where none has. */
  private find(names: string): [name: string, value: unknown] {
    const all = names.split(" ");
    const name = all.find((candidate) => this.has(candidate)) ?? all[0]!;
    return [name, this.values[name] ?? undefined];
  }
}
