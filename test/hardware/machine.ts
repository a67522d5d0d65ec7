import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A machine as Linux shows it, in a folder: files by their path, links as `-> target`. Gives the root. */
export function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "jauge-machine-"));
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), file);
    else writeFileSync(file, text);
  }
  return root;
}
