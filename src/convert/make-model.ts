import { createHash } from "node:crypto";
import { access, rename, stat, statfs, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isJaugeError, JaugeError } from "../errors.js";
import { unwritable } from "../file-errors.js";
import { FileLock, type LockErrors } from "../file-lock.js";
import { differences } from "../messages/convert.js";
import { localized } from "../messages/locale.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { type Journal, readJournal, syncFolder, writeJournal } from "./journal.js";
import type { ConvertibleModel } from "./model.js";
import type { OutputFile } from "./output-files.js";
import { giveName, headerOf, PartFile, partialPath } from "./part-file.js";
import { expectReplaceable } from "./replaceable.js";
import { type ConversionProgress, type Weights, writeTensors } from "./write-tensors.js";

export type { ConversionProgress } from "./write-tensors.js";

export interface MakeOptions {
  kernels: QuantizeKernels;
  /** Blocks converted at the same time. */
  threads: number;
  /** What an importance matrix says. */
  weights?: Weights;
  /** jauge's version: another may write otherwise. */
  version: string;
  /** What a person chose, by the names of the options. */
  settings?: Readonly<Record<string, string>>;
  /** Forgets what an earlier start has done. */
  restart?: boolean;
  /** Replaces files that are there already. */
  overwrite?: boolean;
  /** Stops after the blocks under way, and keeps what is done. */
  signal?: AbortSignal;
  /** Milliseconds between two syncs, at which what is finished counts as done; a second where absent. */
  syncMs?: number;
  onProgress?: (progress: ConversionProgress) => void;
  /** Refuses what was written, by throwing. A single file still has its unfinished name then. */
  verify?: (path: string) => Promise<void>;
}

/**
 * Writes a model's files, streaming: memory is bounded by the lanes' buffers, whatever the size of a tensor. Each file is
 * written under an unfinished name, with a journal beside the first one; an interrupted conversion is continued at the
 * last finished tensor by the same call. The files get their names when all is on the disk and verified. One process at a time
 * makes a file: the first one's name is locked meanwhile.
 *
 * Errors: `conversion-locked`, those of `expectReplaceable`, `disk-too-small`, `conversion-different`, `conversion-interrupted`,
 * `conversion-disk-full`, `file-unwritable`, those of the kernels, of the source, and of `verify`.
 * Returns the bytes of all files.
 */
export async function makeFiles(
  model: ConvertibleModel,
  files: readonly OutputFile[],
  options: MakeOptions,
): Promise<number> {
  const { path } = files[0]!;
  const lock = await FileLock.acquire(partialPath(path), lockErrors(path));
  try {
    return await makeLocked(model, files, options);
  } finally {
    await lock.release();
  }
}

function lockErrors(path: string): LockErrors {
  return {
    held: (_, owner, lock) => new JaugeError("conversion-locked", { path, owner, lock }),
    failed: (_, cause) => {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "ENOSPC" || code === "EDQUOT")
        return new JaugeError("conversion-disk-full", { path }, { cause });
      return code === "ENOENT" || code === "ENOTDIR"
        ? unwritable(dirname(path), cause)
        : unwritable(path, cause);
    },
  };
}

async function makeLocked(
  model: ConvertibleModel,
  files: readonly OutputFile[],
  options: MakeOptions,
): Promise<number> {
  const headers = await Promise.all(files.map(headerOf));
  const bytes = files.reduce((sum, { layout }, at) => sum + headers[at]!.byteLength + layout.end, 0);
  const journalPath = `${partialPath(files[0]!.path)}.json`;
  const begun: Journal = {
    source: model.path,
    fingerprint: model.fingerprint,
    result: digestOf(headers, options),
    versions: `jauge ${options.version}, llama.cpp ${options.kernels.version}`,
    settings: options.settings ?? {},
    finished: [],
    complete: false,
  };
  const journal =
    (await earlierWork(files, journalPath, begun, model.files ?? [model.path], options)) ?? begun;
  if (!journal.complete) {
    await checkRoom(files, bytes);
    await writeJournal(journalPath, journal);
    try {
      await write(files, headers, journal, journalPath, options);
    } catch (error) {
      // such weights are never converted: what was done is the beginning of nothing
      if (isJaugeError(error, "weights-not-finite") || isJaugeError(error, "weights-too-large"))
        await forget(files, journalPath);
      throw error;
    }
    await writeJournal(journalPath, { ...journal, complete: true });
  }
  await giveNames(files, options.verify);
  await unlink(journalPath).catch(() => {});
  await syncFolder(files[0]!.path);
  return bytes;
}

async function write(
  files: readonly OutputFile[],
  headers: readonly Uint8Array[],
  journal: Journal,
  journalPath: string,
  options: MakeOptions,
): Promise<void> {
  const parts: PartFile[] = [];
  try {
    for (const [at, file] of files.entries()) parts.push(await PartFile.open(file, headers[at]!));
    await writeTensors(files, parts, {
      ...options,
      finished: new Set(journal.finished),
      onSynced: async (finished) => {
        journal.finished = [...finished].sort((a, b) => a - b);
        await writeJournal(journalPath, journal);
      },
    });
    if (options.signal?.aborted) throw new JaugeError("conversion-interrupted", { path: files[0]!.path });
    for (const part of parts) await part.complete();
  } finally {
    await Promise.all(parts.map((part) => part.close()));
  }
}

async function forget(files: readonly OutputFile[], journalPath: string): Promise<void> {
  for (const path of [...files.map((file) => partialPath(file.path)), journalPath])
    await unlink(path).catch(() => {});
}

/** Everything that decides what the files become. */
function digestOf(headers: readonly Uint8Array[], { weights }: MakeOptions): string {
  const digest = createHash("sha256");
  for (const header of headers) digest.update(`${header.byteLength}\0`).update(header);
  if (weights && weights.tensors.size > 0) digest.update(`\0${weights.fingerprint}`);
  return digest.digest("hex");
}

/**
 * The journal of an earlier start that this one continues. Errors: `conversion-different`; those of
 * `expectReplaceable`.
 */
async function earlierWork(
  files: readonly OutputFile[],
  journalPath: string,
  begun: Journal,
  sources: readonly string[],
  { restart, overwrite }: MakeOptions,
): Promise<Journal | undefined> {
  const first = files[0]!.path;
  if (restart) await forget(files, journalPath);
  const found = await readJournal(journalPath);
  const hasPart = await exists(partialPath(first));
  if (found === "damaged" || (found === undefined && hasPart))
    throw new JaugeError("conversion-journal-unreadable", { path: first });
  if (found) {
    const difference = differenceOf(found, begun);
    if (difference !== undefined) throw new JaugeError("conversion-different", { path: first, difference });
    if (found.complete) return found;
  }
  for (const { path } of files) await expectReplaceable(path, { sources, overwrite });
  // a journal without its file says nothing
  return hasPart ? found : undefined;
}

/** Why what was begun is not what would be begun now, in words; undefined where it is. */
function differenceOf(found: Journal, begun: Journal): string | undefined {
  const texts = localized(differences);
  const isSame = (["fingerprint", "versions", "result"] as const).every((key) => found[key] === begun[key]);
  if (isSame) return undefined;
  if (found.fingerprint !== begun.fingerprint && resolve(found.source) !== resolve(begun.source))
    return texts.other({ before: found.source, now: begun.source });
  const changes = Object.keys({ ...found.settings, ...begun.settings })
    .filter((name) => found.settings[name] !== begun.settings[name])
    .map((name) => texts.setting({ name, before: found.settings[name], now: begun.settings[name] }));
  if (changes.length > 3) return `${changes.slice(0, 3).join(", ")}, …`;
  if (changes.length > 0) return changes.join(", ");
  if (found.fingerprint !== begun.fingerprint) return texts.changed;
  if (found.versions !== begun.versions)
    return texts.versions({ before: found.versions, now: begun.versions });
  return texts.settings;
}

/** Errors: `disk-too-small`. What unfinished files have taken already is theirs. */
async function checkRoom(files: readonly OutputFile[], bytes: number): Promise<void> {
  const { path } = files[0]!;
  let taken = 0;
  for (const file of files) {
    const found = await stat(partialPath(file.path)).catch(() => undefined);
    taken += (found?.blocks ?? 0) * 512;
  }
  const disk = await statfs(dirname(path)).catch(() => undefined);
  if (!disk) return; // not every system tells
  const freeBytes = disk.bavail * disk.bsize;
  const neededBytes = Math.max(0, bytes - taken);
  if (neededBytes > freeBytes) throw new JaugeError("disk-too-small", { path, neededBytes, freeBytes });
}

/** Verifies, then names; the parts of a split model know each other by their names, so these are named first. */
async function giveNames(files: readonly OutputFile[], verify: MakeOptions["verify"]): Promise<void> {
  const [first] = files;
  if (files.length === 1 && (await exists(partialPath(first!.path))))
    await verify?.(partialPath(first!.path));
  for (const { path } of files) if (await exists(partialPath(path))) await giveName(path);
  if (files.length === 1) return;
  try {
    await verify?.(first!.path);
  } catch (error) {
    for (const { path } of files) await rename(path, partialPath(path)).catch(() => {});
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
