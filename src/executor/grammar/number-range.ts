import { type Grammar, oneOf } from "./gbnf.js";

/** A bound on numbers. */
export interface NumberBounds {
  minimum?: { value: number; exclusive: boolean };
  maximum?: { value: number; exclusive: boolean };
}

/** The integers within bounds, without leading zeros, or undefined where there is none. */
export function integersWithin(bounds: NumberBounds): string | undefined {
  const low = bounds.minimum && firstInteger(bounds.minimum.value, bounds.minimum.exclusive);
  const high = bounds.maximum && -firstInteger(-bounds.maximum.value, bounds.maximum.exclusive);
  const alternatives: string[] = [];
  // Magnitudes of the negative ones, then zero and above.
  const negative = naturals(
    high === undefined || high >= 0n ? 1n : -high,
    low === undefined ? undefined : -low,
  );
  if (negative) alternatives.push(`"-" ${negative}`);
  const natural = naturals(low === undefined || low <= 0n ? 0n : low, high);
  if (natural) alternatives.push(natural);
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

/** The numbers within bounds, written without exponent, or undefined where there is none. */
export function numbersWithin(grammar: Grammar, bounds: NumberBounds): string | undefined {
  const low = bounds.minimum && decimal(bounds.minimum.value, bounds.minimum.exclusive);
  const high = bounds.maximum && decimal(bounds.maximum.value, bounds.maximum.exclusive);
  const zero: Decimal = { integer: 0n, fraction: "", truncated: false, exclusive: false, negative: false };
  const alternatives: string[] = [];
  if (!low || low.negative) {
    // -x with x between the opposite of the maximum, or zero, and the opposite of the minimum.
    const magnitudes = magnitudesWithin(grammar, high && (high.negative || isZero(high)) ? high : zero, low);
    if (magnitudes) alternatives.push(`"-" ${magnitudes}`);
  }
  if (!high?.negative) {
    const magnitudes = magnitudesWithin(grammar, low && !low.negative ? low : zero, high);
    if (magnitudes) alternatives.push(magnitudes);
  }
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

interface Decimal {
  integer: bigint;
  /** Digits after the point, without trailing zeros. */
  fraction: string;
  /** Whether it had more digits than can be written. */
  truncated: boolean;
  negative: boolean;
  exclusive: boolean;
}

const longestInteger = 21;
const longestFraction = 24;

function isZero(number: Decimal): boolean {
  return number.integer === 0n && number.fraction === "";
}

/** The first integer that is at least (or above) `value`. */
function firstInteger(value: number, exclusive: boolean): bigint {
  const integer = BigInt(Math.ceil(value));
  return exclusive && Number(integer) === value ? integer + 1n : integer;
}

function decimal(value: number, exclusive: boolean): Decimal {
  const magnitude = Math.abs(value);
  const [digits, exponent] = magnitude.toString().split("e") as [string, string | undefined];
  let [integer, fraction = ""] = digits.split(".") as [string, string | undefined];
  const shift = Number(exponent ?? 0);
  if (shift > 0) {
    integer += fraction.padEnd(shift, "0").slice(0, shift);
    fraction = fraction.slice(shift);
  } else if (shift < 0) {
    const padded = integer.padStart(1 - shift, "0");
    fraction = padded.slice(shift) + fraction;
    integer = padded.slice(0, shift);
  }
  return {
    integer: BigInt(integer),
    fraction: fraction.slice(0, longestFraction).replace(/0+$/, ""),
    truncated: fraction.length > longestFraction,
    negative: value < 0,
    exclusive,
  };
}

/** Decimals without a sign from `low` to `high`; undefined where there is none. */
function magnitudesWithin(grammar: Grammar, least: Decimal, most: Decimal | undefined): string | undefined {
  // What can be written is above a truncated bound exactly when it is above what was left of it.
  const low = { ...least, exclusive: least.exclusive || least.truncated };
  const high = most && { ...most, exclusive: most.exclusive && !most.truncated };
  const alternatives: string[] = [];
  if (high && high.integer === low.integer) {
    const fraction = fractions(grammar, low, high);
    if (fraction) alternatives.push(`"${low.integer}" ${fraction}`);
  } else if (!high || high.integer > low.integer) {
    const lowest = fractions(grammar, low, undefined);
    if (lowest) alternatives.push(`"${low.integer}" ${lowest}`);
    const between = naturals(low.integer + 1n, high && high.integer - 1n);
    if (between) alternatives.push(`${between} ("." [0-9]{1,24})?`);
    const highest = high && fractions(grammar, undefined, high);
    if (highest) alternatives.push(`"${high.integer}" ${highest}`);
  }
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

/** What may follow the integer part, where that equals the one of `low` and of `high`. */
function fractions(
  grammar: Grammar,
  low: Decimal | undefined,
  high: Decimal | undefined,
): string | undefined {
  const nothing =
    (!low || (low.fraction === "" && !low.exclusive)) && !(high?.fraction === "" && high.exclusive);
  const digits = fractionDigits(grammar, low, high, 0);
  const alternatives = [...(nothing ? [`""`] : []), ...(digits ? [`"." ${digits}`] : [])];
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

/** One digit or more, as long as the digits so far equal those of the bounds that are given. */
function fractionDigits(
  grammar: Grammar,
  low: Decimal | undefined,
  high: Decimal | undefined,
  at: number,
): string | undefined {
  if (!low && !high) return "[0-9]{1,24}";
  const lowDone = !low || at >= low.fraction.length;
  const highDone = !high || at >= high.fraction.length;
  if (lowDone && highDone) {
    if (high) return high.exclusive || low?.exclusive ? undefined : `"0"{1,24}`;
    return low?.exclusive ? `"0"{0,23} [1-9] [0-9]{0,23}` : "[0-9]{1,24}";
  }
  const lowDigit = low ? Number(low.fraction[at] ?? "0") : 0;
  const highDigit = high ? Number(high.fraction[at] ?? "0") : 9;
  const alternatives: string[] = [];
  const between = [lowDigit + (low ? 1 : 0), highDigit - (high ? 1 : 0)] as const;
  if (between[0] <= between[1]) alternatives.push(`[${between[0]}-${between[1]}] [0-9]{0,23}`);
  for (const digit of new Set([...(low ? [lowDigit] : []), ...(high ? [highDigit] : [])])) {
    if (lowDigit > highDigit) break;
    const nextLow = digit === lowDigit ? low : undefined;
    const nextHigh = digit === highDigit ? high : undefined;
    const after = at + 1;
    const lowMet = !nextLow || (after >= nextLow.fraction.length && !nextLow.exclusive);
    const highMet = !nextHigh || after < nextHigh.fraction.length || !nextHigh.exclusive;
    const digits = fractionDigits(grammar, nextLow, nextHigh, after);
    const more = digits && grammar.rule("digits", digits);
    if (lowMet && highMet) alternatives.push(more ? `"${digit}" ${more}?` : `"${digit}"`);
    else if (more) alternatives.push(`"${digit}" ${more}`);
  }
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

/** The integers from `low` (at least 0) to `high`, or without end. */
function naturals(low: bigint, high: bigint | undefined): string | undefined {
  if (high !== undefined && high < low) return undefined;
  const alternatives: string[] = [];
  if (low === 0n) alternatives.push(`"0"`);
  const first = low === 0n ? 1n : low;
  const longest = high === undefined ? longestInteger : String(high).length;
  for (let length = String(first).length; length <= longest; length++) {
    const least = length === String(first).length ? String(first) : `1${"0".repeat(length - 1)}`;
    const most = high !== undefined && length === longest ? String(high) : "9".repeat(length);
    if (least > most) continue;
    const whole = least === `1${"0".repeat(length - 1)}`;
    if (whole && high === undefined) {
      alternatives.push(`[1-9] [0-9]{${length - 1},${longest - 1}}`);
      break;
    }
    alternatives.push(sameLength(least, most));
  }
  return alternatives.length > 0 ? oneOf(alternatives) : undefined;
}

/** Digit strings of one length from `least` to `most`. */
function sameLength(least: string, most: string): string {
  if (least === "") return `""`;
  const rest = least.length - 1;
  if (/^0*$/.test(least.slice(1)) && /^9*$/.test(most.slice(1))) return digits(least[0]!, most[0]!, rest);
  if (least[0] === most[0]) return `"${least[0]}" ${sameLength(least.slice(1), most.slice(1))}`;
  const alternatives: string[] = [`"${least[0]}" ${sameLength(least.slice(1), "9".repeat(rest))}`];
  const [from, to] = [Number(least[0]) + 1, Number(most[0]) - 1];
  if (from <= to) alternatives.push(digits(String(from), String(to), rest));
  alternatives.push(`"${most[0]}" ${sameLength("0".repeat(rest), most.slice(1))}`);
  return oneOf(alternatives);
}

function digits(from: string, to: string, further: number): string {
  const first = from === to ? `"${from}"` : `[${from}-${to}]`;
  return further === 0 ? first : `${first} [0-9]{${further}}`;
}
