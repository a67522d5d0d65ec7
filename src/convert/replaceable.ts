import { open, stat } from "node:fs/promises";
import { JaugeError } from "../errors.js";

/**
 * Refuses to write where something is that nobody meant to lose: whatever is there without `overwrite`; the source, a
 * folder, and anything that is no GGUF (a tokenizer, original weights, a device) even with it.
 *
 * Errors: `output-is-folder`, `output-is-source`, `conversion-output-exists`, `output-not-gguf`.
 */
export async function expectReplaceable(
  path: string,
  { sources, overwrite = false }: { sources: readonly string[]; overwrite?: boolean | undefined },
): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (!there) return;
  if (there.isDirectory()) throw new JaugeError("output-is-folder", { path });
  for (const source of sources) {
    const found = await stat(source).catch(() => undefined);
    if (found?.ino === there.ino && found.dev === there.dev)
      throw new JaugeError("output-is-source", { path });
  }
  if (!overwrite) throw new JaugeError("conversion-output-exists", { path });
  const isGguf = there.isFile() && (there.size === 0 || (await magicOf(path)) === "GGUF");
  if (!isGguf) throw new JaugeError("output-not-gguf", { path });
}

/** Empty where the file cannot be read. */
async function magicOf(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  try {
    const head = await file?.read(Buffer.alloc(4), 0, 4, 0);
    return head?.buffer.toString("latin1", 0, head.bytesRead) ?? "";
  } catch {
    return "";
  } finally {
    await file?.close();
  }
}
