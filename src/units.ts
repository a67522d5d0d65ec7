import { locale } from "./messages/locale.js";

const decimal = { kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 } as const;
const binary = { kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 } as const;
const units: Record<string, number> = { b: 1, "": 1, ...decimal, ...binary };

/**
 * Bytes of a size as a person writes it: `11.5 GB` (10⁹), `8GiB` (2³⁰), `512MiB`, `1000000`; in French `11,5 Go`,
 * `8 Gio`. A fraction of a byte is rounded down: a budget is never exceeded. Undefined where it is no size.
 */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:[.,]\d+)?)\s*([kmgt]?i?[bo])?\s*$/i.exec(text);
  if (!match) return undefined;
  const unit = units[(match[2] ?? "").toLowerCase().replace("o", "b")];
  if (unit === undefined) return undefined;
  const bytes = Math.floor(Number(match[1]!.replace(",", ".")) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A number for people with so many decimals, and the decimal sign of their language: `0.41`, `0,41`. */
export function formatDecimal(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return locale === "fr" ? text.replace(".", ",") : text;
}

/** A whole number for people, in groups of three digits: `8,192`, `8 192`. */
export function formatWhole(count: number): string {
  return new Intl.NumberFormat(locale).format(count);
}

/** A large number for people, in its largest unit: `68.98 B`, `15.2 M`; in French `68,98 Md`. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${formatDecimal(count / 1e9, 2)} ${locale === "fr" ? "Md" : "B"}`;
  if (count >= 1e6) return `${formatDecimal(count / 1e6, 1)} M`;
  return formatWhole(count);
}

/** Decimal units, as disks and cards are sold, largest first; a French byte is an octet. */
const sizes = [
  { bytes: 1e12, digits: 2, name: locale === "fr" ? "To" : "TB" },
  { bytes: 1e9, digits: 2, name: locale === "fr" ? "Go" : "GB" },
  { bytes: 1e6, digits: 1, name: locale === "fr" ? "Mo" : "MB" },
  { bytes: 1e3, digits: 1, name: locale === "fr" ? "ko" : "kB" },
  { bytes: 1, digits: 0, name: locale === "fr" ? "o" : "B" },
];

/** The unit that a size is best told in. */
export function sizeUnit(bytes: number): (typeof sizes)[number] {
  return sizes.find((unit) => Math.abs(bytes) >= unit.bytes) ?? sizes.at(-1)!;
}

/** A size for people: `11.47 GB`, `512.0 MB`, `917 B`; in French `11,47 Go`. */
export function formatBytes(bytes: number): string {
  const unit = sizeUnit(bytes);
  return `${formatDecimal(bytes / unit.bytes, unit.digits)} ${unit.name}`;
}
