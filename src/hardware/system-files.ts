import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * The text of a file that the kernel offers; undefined where it is not there or may not be read. `root` stands before
 * absolute paths everywhere in this folder, so that tests can show the machines they do not run on.
 */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** The whole number that a file begins with; undefined where there is none (`max` in a cgroup, for one). */
export function readNumber(path: string): number | undefined {
  const match = /^\s*(\d+)/.exec(readText(path) ?? "");
  return match ? Number(match[1]) : undefined;
}

/** The names in a folder; none where it cannot be read. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Where a link points to; undefined where it is none or may not be read. */
export function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
