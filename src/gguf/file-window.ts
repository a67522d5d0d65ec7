import { JaugeError } from "../errors.js";
import { ggufProblems } from "../messages/gguf-problems.js";
import { localized } from "../messages/locale.js";
import { type ByteSource, type Origin, openBytes } from "./byte-source.js";

const problems = localized(ggufProblems);
const windowBytes = 256 * 1024;

/**
 * A window of fixed size that slides forward over a file: memory stays the same however long the file is.
 * Every read says which field it is for, so that a file that ends early is refused by name.
 *
 * `take` and the typed reads are asynchronous only when the window must move.
 */
export class FileWindow {
  private readonly window = Buffer.allocUnsafe(windowBytes);
  private start = 0;
  private cursor = 0;
  private filled = 0;

  /** Bytes of a count or length: 8, and in files of GGUF version 1, which say so in their first bytes, 4. */
  countBytes: 4 | 8 = 8;

  private constructor(
    /** Where the bytes come from, to open them again. */
    readonly origin: Origin,
    private readonly source: ByteSource,
  ) {
    this.path = source.path;
    this.fileBytes = source.bytes;
  }

  /** Path or address, as errors name it. */
  readonly path: string;
  /** Size of the file when it was opened. */
  readonly fileBytes: number;

  /** Opens a file. Errors: `file-unreadable` for a local one; those of the origin. */
  static async open(origin: Origin, countBytes: 4 | 8 = 8): Promise<FileWindow> {
    const window = new FileWindow(origin, await openBytes(origin));
    window.countBytes = countBytes;
    return window;
  }

  async close(): Promise<void> {
    await this.source.close();
  }

  /** Where the next read starts in the file. */
  get offset(): number {
    return this.start + this.cursor;
  }

  /** Bytes of the file behind the next read. */
  get left(): number {
    return this.fileBytes - this.offset;
  }

  /** Continues at an absolute offset. */
  seek(offset: number): void {
    if (offset >= this.start && offset <= this.start + this.filled) {
      this.cursor = offset - this.start;
    } else {
      this.start = offset;
      this.cursor = 0;
      this.filled = 0;
    }
  }

  /** Bytes that can be taken without reading from the disk. */
  get buffered(): number {
    return this.filled - this.cursor;
  }

  /** Makes at least `bytes` (at most the window) available; `gguf-truncated` where the file ends before. */
  async fill(bytes: number, field: string): Promise<void> {
    if (this.buffered >= bytes) return;
    this.require(bytes, field);
    this.window.copyWithin(0, this.cursor, this.filled);
    this.start += this.cursor;
    this.filled -= this.cursor;
    this.cursor = 0;
    while (this.filled < bytes) {
      const bytesRead = await this.source.read(this.window.subarray(this.filled), this.start + this.filled);
      if (bytesRead === 0) throw this.truncated(bytes - this.filled, field);
      this.filled += bytesRead;
    }
  }

  /** Refuses a length that the rest of the file cannot hold. */
  require(bytes: number, field: string): void {
    if (bytes > this.left) throw this.truncated(bytes - this.left, field);
  }

  /** A copy of the next `bytes`. The caller has bounded them. */
  async take(bytes: number, field: string): Promise<Buffer> {
    this.require(bytes, field);
    const taken = Buffer.allocUnsafe(bytes);
    for (let done = 0; done < bytes; ) {
      await this.fill(Math.min(bytes - done, windowBytes), field);
      const part = Math.min(bytes - done, this.buffered);
      this.window.copy(taken, done, this.cursor, this.cursor + part);
      this.cursor += part;
      done += part;
    }
    return taken;
  }

  async uint32(field: string): Promise<number> {
    if (this.buffered < 4) await this.fill(4, field);
    const value = this.window.readUInt32LE(this.cursor);
    this.cursor += 4;
    return value;
  }

  async uint64(field: string): Promise<bigint> {
    if (this.buffered < 8) await this.fill(8, field);
    const value = this.window.readBigUInt64LE(this.cursor);
    this.cursor += 8;
    return value;
  }

  /** A length or count; `gguf-malformed` where no file could be that long. */
  async count(field: string, bytes: 4 | 8 = this.countBytes): Promise<number> {
    if (this.buffered < bytes) await this.fill(bytes, field);
    return this.bufferedCount(field, bytes);
  }

  /** As `count`, where the window is known to hold it. */
  private bufferedCount(field: string, bytes: 4 | 8 = this.countBytes): number {
    const low = this.window.readUInt32LE(this.cursor);
    if (bytes === 4) {
      this.cursor += 4;
      return low;
    }
    const high = this.window.readUInt32LE(this.cursor + 4);
    this.cursor += 8;
    if (high >= 2 ** 21) {
      const value = String((BigInt(high) << 32n) + BigInt(low));
      throw new JaugeError("gguf-malformed", {
        path: this.path,
        field,
        problem: problems.impossibleCount({ value }),
      });
    }
    return high * 2 ** 32 + low;
  }

  /**
   * Walks over `count` strings without decoding them. `visit` sees each one's bytes, which are only valid until it
   * returns; a string longer than `longest` is refused before it is read. Waits only when the window must move.
   */
  async eachString(
    count: number,
    field: string,
    longest: number,
    visit: (bytes: Buffer, index: number) => void,
  ): Promise<void> {
    for (let index = 0; index < count; index++) {
      const length = this.buffered >= this.countBytes ? this.bufferedCount(field) : await this.count(field);
      if (length > longest) {
        const problem = problems.tooLong({ bytes: length, limit: longest });
        throw new JaugeError("gguf-malformed", { path: this.path, field: `${field}[${index}]`, problem });
      }
      if (length > windowBytes) {
        visit(await this.take(length, field), index);
        continue;
      }
      if (this.buffered < length) await this.fill(length, field);
      visit(this.window.subarray(this.cursor, this.cursor + length), index);
      this.cursor += length;
    }
  }

  /** Walks over `count` strings, each length checked. */
  async skipStrings(count: number, field: string): Promise<void> {
    for (let index = 0; index < count; index++) {
      const length = this.buffered >= this.countBytes ? this.bufferedCount(field) : await this.count(field);
      if (length <= this.buffered) {
        this.cursor += length;
      } else {
        this.require(length, field);
        this.seek(this.offset + length);
      }
    }
  }

  /** The error of a file that ends `missing` bytes before the end of `field`. */
  truncated(missing: number, field: string): JaugeError<"gguf-truncated"> {
    return new JaugeError("gguf-truncated", {
      path: this.path,
      field,
      missingBytes: missing,
      fileBytes: this.fileBytes,
    });
  }
}
