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

/** A size for people, in decimal units as disks and cards are sold: `11.47 GB`, `512.0 MB`, `917 B`. */
export function formatBytes(bytes: number): string {
  const magnitude = Math.abs(bytes);
  const inUnits = (unit: number, digits: number) => formatDecimal(bytes / unit, digits);
  if (magnitude >= 1e12) return `${inUnits(1e12, 2)} TB`;
  if (magnitude >= 1e9) return `${inUnits(1e9, 2)} GB`;
  if (magnitude >= 1e6) return `${inUnits(1e6, 1)} MB`;
  if (magnitude >= 1e3) return `${inUnits(1e3, 1)} kB`;
  return `${bytes} B`;
}
