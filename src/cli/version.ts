import { readFileSync } from "node:fs";

/** jauge's version, as its package says. */
export function jaugeVersion(): string {
  const manifest = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}
