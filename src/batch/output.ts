import { readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { JaugeError } from "../errors.js";
import { writeFailed } from "./write-failed.js";

/**
 * The file itself that an output's name leads to, through links, whether it is there yet or not: what is kept beside it
 * (lock, record, partial answers) is the same for all its names. Errors: `batch-output-no-file` where it cannot be a
 * journal, `batch-output-is-input`, `batch-write-failed`.
 */
export async function outputFile(name: string, input: string): Promise<string> {
  if (name === "-") throw new JaugeError("batch-output-no-file", { path: name });
  try {
    const there = await statOf(name);
    if (!there) return await fileToCome(resolve(name));
    if (!there.isFile() && !there.isDirectory()) throw new JaugeError("batch-output-no-file", { path: name });
    const read = input === "-" ? undefined : await stat(input).catch(() => undefined);
    if (read?.ino === there.ino && read.dev === there.dev)
      throw new JaugeError("batch-output-is-input", { path: name });
    return await realpath(name);
  } catch (cause) {
    throw cause instanceof JaugeError ? cause : writeFailed(name, cause);
  }
}

/** Where a file will be that is not there: a link may lead to nothing yet. */
async function fileToCome(path: string): Promise<string> {
  const target = await readlink(path).catch(() => undefined);
  const folder = dirname(path);
  return target === undefined
    ? join(await realpath(folder), basename(path))
    : fileToCome(resolve(await realpath(folder), target));
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
