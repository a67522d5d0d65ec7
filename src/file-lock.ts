import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { isJaugeError, type JaugeError } from "./errors.js";

/** Who holds a lock. The start time tells a process from a later one with the same number. */
interface Owner {
  pid: number;
  host: string;
  /** Of the system and of the process in it; absent where the system does not tell (all but Linux). */
  boot?: string;
  started?: string;
}

/** What a lock that cannot be had is told as, in the words of those who want it. */
export interface LockErrors {
  /** Another process has it; `owner` says which, `lock` is the file that says so. */
  held: (path: string, owner: string, lock: string) => JaugeError;
  /** The folder cannot be read or written. */
  failed: (path: string, cause: unknown) => JaugeError;
}

/**
 * Keeps a file for this process: `FILE.lock.N` says who has it. A process that is gone holds nothing.
 *
 * Each owner makes a file with a number above those that are there, whole at once by a hard link, and then looks
 * again: where any other lock's owner lives, it gives way. So of two that find a dead owner's lock at the same moment
 * at most one goes on, whatever the order of their steps; in the rarest of cases neither does.
 */
export class FileLock {
  private constructor(private readonly path: string) {}

  /** Errors: those of `errors`. */
  static async acquire(file: string, errors: LockErrors): Promise<FileLock> {
    const target = resolve(file);
    const temporary = `${target}.lock-${randomBytes(6).toString("hex")}.tmp`;
    try {
      await writeFile(temporary, JSON.stringify(thisProcess()), { flag: "wx" });
      const highest = await refuseLiving(target, errors);
      const mine = `${target}.lock.${highest + 1}`;
      await link(temporary, mine).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") throw await held(target, mine, errors);
        throw error;
      });
      try {
        await refuseLiving(target, errors, mine);
        await removeDead(target, mine);
      } catch (error) {
        await rm(mine, { force: true });
        throw error;
      }
      return new FileLock(mine);
    } catch (cause) {
      if (isJaugeError(cause)) throw cause;
      throw errors.failed(target, cause);
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  async release(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

/** The highest number that a lock has. Errors: `errors.held` where a lock other than `mine` has a living owner. */
async function refuseLiving(target: string, errors: LockErrors, mine?: string): Promise<number> {
  let highest = 0;
  for (const { path, number } of await locksOf(target)) {
    highest = Math.max(highest, number);
    if (path === mine) continue;
    const owner = await ownerOf(path);
    if (owner && isAlive(owner)) throw await held(target, path, errors);
  }
  return highest;
}

async function removeDead(target: string, mine: string): Promise<void> {
  for (const { path } of await locksOf(target)) if (path !== mine) await rm(path, { force: true });
  // Of one that was killed before it had the lock.
  const prefix = `${basename(target)}.lock-`;
  for (const name of await readdir(dirname(target))) {
    if (!name.startsWith(prefix) || !name.endsWith(".tmp")) continue;
    const path = join(dirname(target), name);
    const owner = await ownerOf(path);
    if (owner && !isAlive(owner)) await rm(path, { force: true });
  }
}

async function locksOf(target: string): Promise<{ path: string; number: number }[]> {
  const prefix = `${basename(target)}.lock.`;
  const names = await readdir(dirname(target));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{1,15}$/.test(name.slice(prefix.length)))
    .map((name) => ({ path: join(dirname(target), name), number: Number(name.slice(prefix.length)) }));
}

async function held(target: string, lock: string, errors: LockErrors): Promise<JaugeError> {
  const owner = await ownerOf(lock);
  const text = owner ? `PID ${owner.pid}, ${owner.host}` : "?";
  return errors.held(target, text, lock);
}

/** Undefined where the lock is gone, or is none of ours. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const owner = JSON.parse(await readFile(path, "utf8")) as Partial<Owner>;
    return Number.isInteger(owner.pid) && owner.pid! > 0 && typeof owner.host === "string"
      ? (owner as Owner)
      : undefined;
  } catch {
    return undefined;
  }
}

function thisProcess(): Owner {
  const started = startOf(process.pid);
  const boot = bootId();
  return {
    pid: process.pid,
    host: hostname(),
    ...(boot !== undefined && { boot }),
    ...(started !== undefined && { started }),
  };
}

/** Another machine's processes cannot be seen from here (a shared disk): they count as alive. */
function isAlive({ pid, host, boot, started }: Owner): boolean {
  if (host !== hostname()) return true;
  if (boot !== undefined && boot !== bootId()) return false;
  if (started !== undefined) return startOf(pid) === started;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

/**
 * When a process started, in ticks since the system did; undefined where there is none that runs, or the system does not
 * tell. Source: /proc/PID/stat, field 22 (proc(5)); the name in parentheses may hold anything.
 */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
