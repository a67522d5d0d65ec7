import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";

/** A model may have hundreds of shards; macOS lets a process open 256 files. */
const mostOpen = 32;
/** Node refuses reads of 2 GiB and more. */
const longestRead = 2 ** 30;

/** Bytes of one file of a checkpoint, at any position. */
export interface PooledFile {
  readonly path: string;
  /** Size when the checkpoint was opened. */
  readonly bytes: number;
  /** Fills all of `target`. Errors: `file-unreadable`; `checkpoint-truncated`, naming `field`. */
  read(target: Uint8Array, position: number, field: string): Promise<void>;
}

/** The files of a checkpoint: opened when they are first read, a bounded number of them open at a time. */
export class FilePool {
  /** By path, the one used longest ago first. */
  private readonly leases = new Map<string, Lease>();
  private readonly added: { name: string; bytes: bigint; changed: bigint }[] = [];
  private closed = false;

  /** Takes a regular file in. Errors: `file-unreadable`. */
  async add(path: string): Promise<PooledFile> {
    const facts = await stat(path, { bigint: true }).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
    if (!facts.isFile())
      throw unreadable(path, Object.assign(new Error(), { code: facts.isDirectory() ? "EISDIR" : "EINVAL" }));
    this.added.push({ name: basename(path), bytes: facts.size, changed: facts.mtimeNs });
    return {
      path,
      bytes: Number(facts.size),
      read: (target, position, field) => this.read(path, target, position, field),
    };
  }

  /** SHA-256 (hex) over the names, sizes and change times of all files taken in, in any order. */
  fingerprint(): string {
    const lines = this.added.map(({ name, bytes, changed }) =>
      JSON.stringify([name, `${bytes}`, `${changed}`]),
    );
    return createHash("sha256").update(lines.sort().join("\n")).digest("hex");
  }

  /** Closes all files; reads that are under way end first. */
  async close(): Promise<void> {
    this.closed = true;
    const leases = [...this.leases.values()];
    this.leases.clear();
    await Promise.all(leases.map((lease) => lease.retire()));
  }

  private async read(path: string, target: Uint8Array, position: number, field: string): Promise<void> {
    const lease = this.lease(path);
    try {
      const handle = await lease.handle;
      for (let done = 0; done < target.byteLength; ) {
        const length = Math.min(target.byteLength - done, longestRead);
        const { bytesRead } = await handle.read(target, done, length, position + done);
        if (bytesRead === 0) throw truncated(path, field, position + done, target.byteLength - done);
        done += bytesRead;
      }
    } catch (cause) {
      // the next read tries to open the file anew
      if (this.leases.get(path) === lease && !(cause instanceof JaugeError)) {
        this.leases.delete(path);
        void lease.retire();
      }
      throw cause instanceof JaugeError ? cause : unreadable(path, cause);
    } finally {
      lease.release();
    }
  }

  private lease(path: string): Lease {
    if (this.closed) throw new Error(`${path} is read after its checkpoint was closed`);
    const lease = this.leases.get(path) ?? new Lease(path);
    lease.users++;
    // to the end of the order
    this.leases.delete(path);
    this.leases.set(path, lease);
    for (const [oldest, other] of this.leases) {
      if (this.leases.size <= mostOpen) break;
      this.leases.delete(oldest);
      void other.retire();
    }
    return lease;
  }
}

/** The error of a file that ends before `field` does. */
export function truncated(path: string, field: string, fileBytes: number, missingBytes: number) {
  return new JaugeError("checkpoint-truncated", { path, field, missingBytes, fileBytes });
}

/** An open file and how many reads use it; closed when it is retired and the last of them has ended. */
class Lease {
  users = 0;
  readonly handle: Promise<FileHandle>;
  private retired: (() => void) | undefined;

  constructor(path: string) {
    // a named pipe would keep a plain open waiting for its writer
    this.handle = open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  }

  async retire(): Promise<void> {
    if (this.users > 0) await new Promise<void>((resolve) => (this.retired = resolve));
    // where it never opened, the read that wanted it has said so
    await this.handle.then((handle) => handle.close()).catch(() => {});
  }

  release(): void {
    this.users--;
    if (this.users === 0) this.retired?.();
  }
}
