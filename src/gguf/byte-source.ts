import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { unreadable } from "../file-errors.js";

/** Bytes that can be read at any offset, wherever they lie. */
export interface ByteSource {
  /** Path or address, as errors name it. */
  readonly path: string;
  /** Size when it was opened. */
  readonly bytes: number;
  /** Fills `target` with what starts at `position`, or a part of it; the bytes read, 0 only at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

/** Something that can be opened again and again: arrays of a header are read when they are wanted. */
export interface ByteOrigin {
  readonly path: string;
  open(): Promise<ByteSource>;
}

/** A local path, or anything else that has bytes. */
export type Origin = string | ByteOrigin;

/** Opens a file of this machine, or what the origin stands for. Errors: `file-unreadable`; those of the origin. */
export function openBytes(origin: Origin): Promise<ByteSource> {
  return typeof origin === "string" ? LocalFile.open(origin) : origin.open();
}

class LocalFile implements ByteSource {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    readonly bytes: number,
  ) {}

  /** `file-unreadable` where the file is missing, forbidden or no regular file. */
  static async open(path: string): Promise<LocalFile> {
    let handle: FileHandle | undefined;
    try {
      // a named pipe would keep a plain open waiting for its writer
      handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      const stat = await handle.stat();
      if (!stat.isFile())
        throw Object.assign(new Error(), { code: stat.isDirectory() ? "EISDIR" : "EINVAL" });
      return new LocalFile(path, handle, stat.size);
    } catch (cause) {
      await handle?.close();
      throw unreadable(path, cause);
    }
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    try {
      return (await this.handle.read(target, 0, target.byteLength, position)).bytesRead;
    } catch (cause) {
      throw unreadable(this.path, cause);
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
