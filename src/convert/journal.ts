import { open, readFile, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { unwritable } from "../file-errors.js";

/** What is known of an unfinished conversion. It is kept beside the first unfinished file. */
export interface Journal {
  /** Where the model came from, as the person named it. */
  source: string;
  /** What its bytes were, see `ConvertibleModel.fingerprint`. */
  fingerprint: string;
  /** Digest of everything that decides what the files become: headers, layouts, importance matrix, versions. */
  result: string;
  /** jauge's and llama.cpp's versions. */
  versions: string;
  /** What a person chose, by the names of the options; to say what differs, not to find it. */
  settings: Readonly<Record<string, string>>;
  /** Tensors whose data are on the disk for certain, counted over all files in their order. */
  finished: number[];
  /** All is on the disk; the files may have their names, or some of them. */
  complete: boolean;
}

const schema = z.strictObject({
  jauge: z.literal("conversion"),
  source: z.string(),
  fingerprint: z.string(),
  result: z.string(),
  versions: z.string(),
  settings: z.record(z.string(), z.string()).default({}),
  finished: z.array(z.int().nonnegative()).max(1_000_000),
  complete: z.boolean(),
});

/** The journal at `path`; undefined where there is none, `damaged` where it is no journal. */
export async function readJournal(path: string): Promise<Journal | "damaged" | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    return "damaged";
  }
  try {
    const { jauge: _, ...journal } = schema.parse(JSON.parse(text));
    return journal;
  } catch {
    return "damaged";
  }
}

/** Replaces the journal as a whole: after a crash there is the old one or the new one. Errors: `file-unwritable`. */
export async function writeJournal(path: string, journal: Journal): Promise<void> {
  const next = `${path}.new`;
  try {
    const handle = await open(next, "w");
    try {
      await handle.writeFile(`${JSON.stringify({ jauge: "conversion", ...journal })}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(next, path);
  } catch (cause) {
    await unlink(next).catch(() => {});
    throw unwritable(path, cause);
  }
}

/** Makes what was renamed or removed in the folder of `path` last. Not every system can: Windows has no such call. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(dirname(path), "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
