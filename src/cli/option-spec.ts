import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { ValueParser } from "./option-values.js";

/** One option of a command: how it is written, and how its value is read. */
export interface OptionSpec<T> {
  /** As commander reads it: at most one letter, then the name, then the value's name. */
  flags: string;
  /** Other names that llama.cpp gives it. */
  aliases: readonly string[];
  /** A switch has none. */
  parse?: ValueParser<T>;
  /** The values it knows, where it may also be given without one: it then means the first. */
  bareOr?: readonly string[];
  /** Each time it is given adds to what it has. */
  many?: boolean;
  /** The spellings that turn a switch off. */
  negative?: { flags: string; aliases: readonly string[] };
}

/** A command, and the options whose llama.cpp spellings it takes. */
export interface CommandPart {
  command: CommandUnknownOpts;
  tables: readonly OptionTable[];
}

/** Options by the name under which commander keeps their value: the long flag in camelCase. */
export type OptionTable = Record<string, OptionSpec<unknown>>;
/** What was given on the command line, by option. */
export type Values<Table extends OptionTable> = {
  [Name in keyof Table]?: Table[Name] extends OptionSpec<infer T> ? T : never;
};

export function value<T>(
  flags: string,
  parse: ValueParser<T>,
  aliases: readonly string[] = [],
): OptionSpec<T> {
  return { flags, aliases, parse };
}

export function list<T>(
  flags: string,
  parse: ValueParser<T[]>,
  aliases: readonly string[] = [],
): OptionSpec<T[]> {
  return { flags, aliases, parse, many: true };
}

export function toggle(
  flags: string,
  aliases: readonly string[] = [],
  negative?: { flags: string; aliases: readonly string[] },
): OptionSpec<boolean> {
  return { flags, aliases, negative };
}

/** The name a person knows an option by: `--n-gpu-layers`. */
export function optionName(spec: OptionSpec<unknown>): string {
  return longName(spec.flags);
}

/** Adds options to a command, under a heading of its help. */
export function addOptions<Table extends OptionTable>(
  command: CommandUnknownOpts,
  heading: string,
  table: Table,
  descriptions: Record<keyof Table, string>,
): void {
  for (const [name, spec] of Object.entries(table)) {
    const option = new Option(spec.flags, withAliases(descriptions[name]!, spec)).helpGroup(heading);
    const { parse } = spec;
    if (parse) option.argParser((text: string, previous: unknown) => collect(spec, text, previous));
    command.addOption(option);
    if (spec.negative) command.addOption(new Option(spec.negative.flags).hideHelp());
  }
}

function collect(spec: OptionSpec<unknown>, text: string, previous: unknown): unknown {
  const read = spec.parse!(text, optionName(spec));
  return spec.many && Array.isArray(previous) ? [...previous, ...(read as unknown[])] : read;
}

function withAliases(description: string, spec: OptionSpec<unknown>): string {
  const others = [...spec.aliases, ...(spec.negative ? spellings(spec.negative) : [])];
  return others.length > 0 ? `${description} [${others.join(", ")}]` : description;
}

/** How an option may be written, and how commander knows it. */
export interface Spelling {
  canonical: string;
  takesValue: boolean;
  bareOr?: readonly string[];
}

/** Every spelling of the options of these tables. */
export function spellingsOf(tables: readonly OptionTable[]): Map<string, Spelling> {
  const known = new Map<string, Spelling>();
  for (const spec of tables.flatMap((table) => Object.values(table))) {
    for (const written of [spec, spec.negative ?? []].flat()) {
      const spelling = {
        canonical: longName(written.flags),
        takesValue: spec.parse !== undefined,
        bareOr: spec.bareOr,
      };
      for (const name of spellings(written)) known.set(name, spelling);
    }
  }
  return known;
}

function spellings(written: { flags: string; aliases: readonly string[] }): string[] {
  return [...names(written.flags), ...written.aliases];
}

function names(flags: string): string[] {
  return flags.split(/[ ,]+/).filter((part) => part.startsWith("-"));
}

function longName(flags: string): string {
  return names(flags).at(-1)!;
}
