import { JaugeError } from "../errors.js";
import { type OptionTable, optionName, spellingsOf } from "./option-spec.js";
import { oneOf } from "./option-values.js";
import { answerOptions, type RunValues, samplingOptions } from "./options.js";

/** What `/set` changes in a chat: the options of the same names. */
const table: OptionTable = { ...samplingOptions, ...answerOptions };
const byFlag = new Map(Object.entries(table).map(([key, spec]) => [optionName(spec), key]));
const spellings = spellingsOf([table]);

/** The settings' names, with what each is set to where it is. */
export function listSettings(values: RunValues): [name: string, value: string | undefined][] {
  return [...byFlag].map(([flag, key]) => [flag.slice(2), shown(values[key as keyof RunValues])]);
}

/**
 * `values` with the setting of this name changed; `default` unsets it. Any name that the option has will do.
 * Errors: `setting-unknown`, `option-invalid`, `option-unsupported`.
 */
export function changeSetting(values: RunValues, name: string, text: string): RunValues {
  const key = keyOf(name);
  const spec = table[key]!;
  if (text === "default") {
    const { [key as keyof RunValues]: _, ...others } = values;
    return others;
  }
  const option = optionName(spec).slice(2);
  const value = spec.parse ? spec.parse(text, option) : oneOf(["on", "off"])(text, option) === "on";
  return { ...values, [key]: value };
}

/** What a setting is, for the person; undefined where it is left to its default. Errors: `setting-unknown`. */
export function settingOf(values: RunValues, name: string): string | undefined {
  return shown(values[keyOf(name) as keyof RunValues]);
}

function keyOf(name: string): string {
  const bare = name.replace(/^-+/, "").replaceAll("_", "-");
  const spelling = spellings.get(`--${bare}`) ?? spellings.get(`-${bare}`);
  const key = spelling && byFlag.get(spelling.canonical);
  if (key === undefined) {
    const known = [...byFlag.keys()].map((flag) => flag.slice(2)).join(", ");
    throw new JaugeError("setting-unknown", { setting: name, known });
  }
  return key;
}

function shown(value: unknown): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  return JSON.stringify(value);
}
