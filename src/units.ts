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

/** A size for people, in decimal units as disks and cards are sold: `11.47 GB`, `512.0 MB`, `917 B`. */
export function formatBytes(bytes: number): string {
  const magnitude = Math.abs(bytes);
  if (magnitude >= 1e12) return `${(bytes / 1e12).toFixed(2)} TB`;
  if (magnitude >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (magnitude >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  if (magnitude >= 1e3) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${bytes} B`;
}
