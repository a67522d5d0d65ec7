import { JaugeError } from "../errors.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import type { BudgetWish, VramWish } from "../plan/budget.js";
import { parseCardSizes, parseRamBudget, parseVramBudget } from "../plan/budget-text.js";

const { expected } = localized(cliMessages);
const { expected: expectedOfPlan } = localized(planViewMessages);

/**
 * Reads the value of an option, whose name as a person writes it is `option`.
 * Errors: `option-invalid`, with what was expected.
 */
export type ValueParser<T> = (text: string, option: string) => T;

export const anyText: ValueParser<string> = (text) => text;

export const fileName: ValueParser<string> = (text, option) =>
  text === "" ? invalid(option, text, expected.fileName()) : text;

export function integer(low: number, high: number): ValueParser<number> {
  return (text, option) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= low && value <= high ? value : invalid(option, text, expected.integer({ low, high }));
  };
}

/** A decimal number from `low` to `high`; infinite bounds are none. */
export function decimal(
  low = Number.NEGATIVE_INFINITY,
  high = Number.POSITIVE_INFINITY,
): ValueParser<number> {
  return (text, option) => {
    const value = parseDecimal(text);
    return value >= low && value <= high ? value : invalid(option, text, expected.decimal({ low, high }));
  };
}

/** A decimal number above zero. */
export const positive: ValueParser<number> = (text, option) => {
  const value = parseDecimal(text);
  return value > 0 ? value : invalid(option, text, expected.positive());
};

export function oneOf<const Choice extends string>(choices: readonly Choice[]): ValueParser<Choice> {
  return (text, option) => {
    const choice = choices.find((name) => name === text.toLowerCase());
    return choice ?? invalid(option, text, expected.oneOf({ choices: choices.join(", ") }));
  };
}

/** Values separated by commas, each read by `parse`. */
export function commaList<T>(parse: ValueParser<T>): ValueParser<T[]> {
  return (text, option) =>
    text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "")
      .map((item) => parse(item, option));
}

/** A number of layers, or `all` (-1); `auto` leaves the choice to jauge. */
export const layerCount: ValueParser<number | undefined> = (text, option) => {
  if (text === "all") return -1;
  if (text === "auto") return undefined;
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value < 0) return -1;
  return value <= 100_000 ? value : invalid(option, text, expected.layers());
};

/** Device names; `none` is the empty list. */
export const deviceList: ValueParser<string[]> = (text, option) =>
  text === "none" ? [] : commaList(anyText)(text, option);

/** Shares of each device, `3,1`; llama.cpp also takes `3/1`. */
export const shares: ValueParser<number[]> = (text, option) =>
  commaList(decimal(0))(text.replaceAll("/", ","), option);

/** `pattern=device[,…]`. The host's names in llama.cpp are `CPU` and its relatives. */
export const tensorPlacements: ValueParser<{ pattern: string; placement: string }[]> = (text, option) =>
  commaList(anyText)(text, option).map((item) => {
    const equals = item.lastIndexOf("=");
    const pattern = item.slice(0, equals);
    const device = item.slice(equals + 1);
    if (equals < 1 || device === "") return invalid(option, text, expected.placement());
    try {
      new RegExp(pattern);
    } catch {
      return invalid(option, text, expected.placement());
    }
    return { pattern, placement: /^(cpu|host)$/i.test(device) ? "host" : device };
  });

/** `path:scale[,…]`. The scale follows the last colon, because Windows paths have one too. */
export const scaledAdapters = scaledPaths("scaledAdapter");
/** The same of folders. */
export const scaledFolders = scaledPaths("scaledFolder");

function scaledPaths(form: "scaledAdapter" | "scaledFolder"): ValueParser<{ path: string; scale: number }[]> {
  return (text, option) =>
    commaList(anyText)(text, option).map((item) => {
      const colon = item.lastIndexOf(":");
      const scale = parseDecimal(item.slice(colon + 1));
      if (colon < 1 || Number.isNaN(scale)) return invalid(option, text, expected[form]());
      return { path: item.slice(0, colon), scale };
    });
}

/** `TOKEN_ID+BIAS` or `TOKEN_ID-BIAS`; the bias may be `inf`. */
export const logitBias: ValueParser<[token: number, bias: number][]> = (text, option) => {
  const match = /^(\d+)([+-])(inf|[\d.]+(?:e[+-]?\d+)?)$/i.exec(text);
  const size =
    match?.[3]?.toLowerCase() === "inf" ? Number.POSITIVE_INFINITY : parseDecimal(match?.[3] ?? "");
  if (!match || Number.isNaN(size)) return invalid(option, text, expected.logitBias());
  return [[Number(match[1]), match[2] === "-" ? -size : size]];
};

/** 0 is off, 2 is mirostat 2.0. Errors: `option-unsupported` for 1, the older algorithm. */
export const mirostat: ValueParser<0 | 2> = (text, option) => {
  if (text === "0") return 0;
  if (text === "2") return 2;
  if (text === "1")
    throw new JaugeError("option-unsupported", { option, value: "1", instead: `${option} 2` });
  return invalid(option, text, expected.oneOf({ choices: "0, 2" }));
};

/** Device memory: `11.5GB`, `90%`, `free-512MiB`, `0=11.5GB,1=8GiB`. Errors: `budget-invalid`. */
export const vramBudget: ValueParser<VramWish> = (text, option) => parseVramBudget(text, option);

/** Host memory: `56GiB`, `90%`, `free-2GiB`. Errors: `budget-invalid`. */
export const ramBudget: ValueParser<BudgetWish> = (text, option) => parseRamBudget(text, option);

/** Several sizes are cards to compare: `8GB,12GB,24GB`. */
export type VramOrCards = VramWish | { kind: "cards"; sizes: number[] };

/** Device memory, or the sizes of several cards. Errors: `budget-invalid`. */
export const vramOrCards: ValueParser<VramOrCards> = (text, option) => {
  const sizes = parseCardSizes(text, option);
  return sizes ? { kind: "cards", sizes } : parseVramBudget(text, option);
};

/** The name of a quantisation mix as llama.cpp writes it, whatever the case: `q4_k_m`. Which there are, the planner knows. */
export const quantisationMix: ValueParser<string> = (text, option) =>
  /^[a-z][a-z0-9_]{0,30}$/i.test(text) ? text.toUpperCase() : invalid(option, text, expectedOfPlan.mix);

/** A seed; -1 and 4294967295 (both say "at random" in llama.cpp) are undefined. */
export const seed: ValueParser<number | undefined> = (text, option) => {
  const value = integer(-1, 2 ** 32 - 1)(text, option);
  return value === -1 || value === 2 ** 32 - 1 ? undefined : value;
};

/** Throws the error that says what `option` takes. */
export function invalid(option: string, value: string, wanted: string): never {
  throw new JaugeError("option-invalid", { option, value, expected: wanted });
}

/** Unlike Number(), takes no empty text, hexadecimal or infinity. */
function parseDecimal(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
}
