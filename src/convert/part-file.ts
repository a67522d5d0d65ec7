import { type FileHandle, open, rename } from "node:fs/promises";
import { JaugeError } from "../errors.js";
import { unwritable } from "../file-errors.js";
import { encodeHeader } from "../gguf/layout.js";
import type { OutputFile } from "./output-files.js";

/** The name of a file while it is not whole. */
export function partialPath(path: string): string {
  return `${path}.part`;
}

/**
 * A file while it is written, at any offset: the header is laid out first. It has no magic before it is finished, so
 * nobody takes it for a whole one.
 */
export class PartFile {
  private constructor(
    private readonly file: OutputFile,
    private readonly handle: FileHandle,
    private readonly dataOffset: number,
  ) {}

  /** Opens the unfinished file, or makes one with its header and its full size. Errors: `file-unwritable`. */
  static async open(file: OutputFile, header: Uint8Array): Promise<PartFile> {
    const path = partialPath(file.path);
    const handle = await open(path, "r+")
      .catch(() => open(path, "wx+"))
      .catch((cause) => {
        throw unwritable(path, cause);
      });
    const part = new PartFile(file, handle, header.byteLength);
    try {
      const withoutMagic = Uint8Array.from(header);
      withoutMagic.fill(0, 0, 4);
      await part.put(withoutMagic, 0);
      await handle.truncate(header.byteLength + file.layout.end);
    } catch (cause) {
      await handle.close();
      throw cause instanceof JaugeError ? cause : unwritable(path, cause);
    }
    return part;
  }

  /** Writes data of a tensor, `offset` bytes behind its beginning. Errors: `conversion-disk-full`, `file-unwritable`. */
  write(tensor: number, data: Uint8Array, offset: number): Promise<void> {
    return this.put(data, this.dataOffset + this.file.layout.tensors[tensor]!.offset + offset);
  }

  /** Waits until everything written so far is on the disk. */
  async sync(): Promise<void> {
    await this.handle.datasync().catch((cause) => {
      throw this.failed(cause);
    });
  }

  /** Makes the file a GGUF, and waits until it is on the disk. It keeps its unfinished name. */
  async complete(): Promise<void> {
    await this.sync();
    await this.put(Buffer.from("GGUF", "latin1"), 0);
    await this.handle.sync().catch((cause) => {
      throw this.failed(cause);
    });
  }

  async close(): Promise<void> {
    await this.handle.close().catch(() => {});
  }

  private async put(data: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < data.byteLength; ) {
        const { bytesWritten } = await this.handle.write(data, done, data.byteLength - done, position + done);
        done += bytesWritten;
      }
    } catch (cause) {
      throw this.failed(cause);
    }
  }

  private failed(cause: unknown): JaugeError {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT")
      return new JaugeError("conversion-disk-full", { path: this.file.path }, { cause });
    return unwritable(partialPath(this.file.path), cause);
  }
}

/** Gives a complete file its name. Errors: `file-unwritable`. */
export async function giveName(path: string): Promise<void> {
  await rename(partialPath(path), path).catch((cause) => {
    throw unwritable(path, cause);
  });
}

/** All bytes before the data. A few megabytes, for a large vocabulary. */
export async function headerOf(file: OutputFile): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of encodeHeader(file, file.layout)) pieces.push(piece);
  return Buffer.concat(pieces);
}
