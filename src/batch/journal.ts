import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { JaugeError } from "../errors.js";
import { IdSet } from "./id-set.js";
import { writeFailed } from "./write-failed.js";

/** Lines that are written together, at most. */
const mostBufferedBytes = 1 << 20;
/** Lines are written, so that they outlive this process, and synced, so that they outlive the system, after these times. */
const writeMs = 100;
const syncMs = 1000;
/** What a crash of the system may have left of the last group: blocks that were never written read as zeros. */
const mostTornBytes = 64 << 20;

/** Says what a line of the journal is; undefined for one that is none of ours. */
export type KeyOf = (line: string) => string | undefined;

/**
 * A file of whole lines that only grows: what is in it is done. Lines are appended as they come and synced in groups, at
 * most a second apart. Opening it cuts a torn last line and reads the keys of the others.
 */
export class Journal {
  /** Keys of the lines that were there. */
  readonly finished = new IdSet();
  private buffered: string[] = [];
  private bufferedBytes = 0;
  /** End of the last whole line. */
  private end = 0;
  private working: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** When the oldest line that is not synced was appended. */
  private unsyncedSince: number | undefined;
  private failure: JaugeError | undefined;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** Errors: `batch-output-foreign`, `batch-write-failed`. */
  static async open(path: string, keyOf: KeyOf): Promise<Journal> {
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
    } catch (cause) {
      throw writeFailed(path, cause);
    }
    const journal = new Journal(path, file);
    try {
      await journal.recover(keyOf);
      return journal;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of whole lines. */
  get bytes(): number {
    return this.end;
  }

  /**
   * Appends a line. Resolves at once, except where the disk is slower than the lines come. Errors: `batch-write-failed`;
   * what was written before is whole, and nothing more will be.
   */
  append(line: string): Promise<void> | undefined {
    if (this.failure) throw this.failure;
    this.buffered.push(line, "\n");
    this.bufferedBytes += line.length + 1;
    this.unsyncedSince ??= performance.now();
    this.timer ??= setTimeout(() => this.tick(), writeMs);
    if (this.bufferedBytes < mostBufferedBytes) return undefined;
    return this.write();
  }

  /** Resolves when all that was appended is safe on the disk. Errors: `batch-write-failed`. */
  async sync(): Promise<void> {
    await this.write();
    await this.exclusively(async () => {
      const since = this.unsyncedSince;
      if (since === undefined) return;
      this.unsyncedSince = this.buffered.length > 0 ? performance.now() : undefined;
      await this.file.datasync();
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    try {
      if (!this.failure) await this.sync();
    } finally {
      clearTimeout(this.timer);
      await this.working;
      await this.file.close();
    }
  }

  private tick(): void {
    this.timer = undefined;
    const isDue = performance.now() - (this.unsyncedSince ?? Number.POSITIVE_INFINITY) >= syncMs - writeMs;
    // A failure is kept, and thrown to whoever appends or closes.
    (isDue ? this.sync() : this.write())
      .then(() => {
        if (this.unsyncedSince !== undefined) this.timer ??= setTimeout(() => this.tick(), writeMs);
      })
      .catch(() => {});
  }

  private write(): Promise<void> {
    return this.exclusively(async () => {
      if (this.buffered.length === 0) return;
      const bytes = Buffer.from(this.buffered.join(""), "utf8");
      this.buffered = [];
      this.bufferedBytes = 0;
      let written = 0;
      while (written < bytes.length) {
        const { bytesWritten } = await this.file.write(
          bytes,
          written,
          bytes.length - written,
          this.end + written,
        );
        written += bytesWritten;
      }
      this.end += bytes.length;
    });
  }

  /** One after another: a failure ends them all, and takes half a line away again. */
  private exclusively(task: () => Promise<void>): Promise<void> {
    const before = this.working ?? Promise.resolve();
    const current = before.then(async () => {
      if (this.failure) throw this.failure;
      try {
        await task();
      } catch (cause) {
        this.failure = writeFailed(this.path, cause);
        await this.file.truncate(this.end).catch(() => {});
        throw this.failure;
      }
    });
    this.working = current.catch(() => {});
    return current;
  }

  /** Reads the lines, and cuts what is torn. */
  private async recover(keyOf: KeyOf): Promise<void> {
    const { size } = await this.file.stat();
    const chunk = Buffer.allocUnsafe(1 << 20);
    let kept: Buffer[] = [];
    let place = 0;
    let number = 0;
    read: for (;;) {
      const { bytesRead } = await this.file.read(chunk, 0, chunk.length, place);
      if (bytesRead === 0) break;
      let start = 0;
      for (;;) {
        const end = chunk.subarray(0, bytesRead).indexOf(10, start);
        if (end < 0) break;
        const bytes = Buffer.concat([...kept, chunk.subarray(start, end)]);
        kept = [];
        number++;
        const key = keyOf(bytes.toString("utf8"));
        if (key === undefined) {
          if (bytes.includes(0) && size - this.end <= mostTornBytes) break read;
          throw new JaugeError("batch-output-foreign", { path: this.path, line: number });
        }
        this.finished.add(key);
        this.end = place + end + 1;
        start = end + 1;
      }
      kept.push(Buffer.from(chunk.subarray(start, bytesRead)));
      place += bytesRead;
      // No line of ours is as long: a file of another kind must not fill the memory before it is refused.
      if (place - this.end > 4 * mostTornBytes) throw this.foreign(number + 1);
    }
    if (this.end === size) return;
    // A file without a single line of ours, which does not begin like one, is somebody else's.
    if (this.end === 0 && !(await this.beginsLikeOurs(size))) throw this.foreign(1);
    try {
      await this.file.truncate(this.end);
      await this.file.datasync();
    } catch (cause) {
      throw writeFailed(this.path, cause);
    }
  }

  private foreign(line: number): JaugeError {
    return new JaugeError("batch-output-foreign", { path: this.path, line });
  }

  private async beginsLikeOurs(size: number): Promise<boolean> {
    const beginning = Buffer.alloc(Math.min(size, firstBytes.length));
    await this.file.read(beginning, 0, beginning.length, 0);
    const text = beginning.toString("latin1");
    return firstBytes.startsWith(text) || /^\0+$/.test(text);
  }
}

/** How every result line begins. */
export const firstBytes = '{"id":"batch_req_';
