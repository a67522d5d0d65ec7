import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { unwritable } from "../file-errors.js";
import type { WritableMetadata } from "./encode.js";
import { encodeHeader, type GgufLayout, layoutOf, type TensorShape } from "./layout.js";

export type { TensorShape } from "./layout.js";

/** What a GGUF file is made of. */
export interface GgufContents {
  /** In file order; a `Metadata` of `readGguf` can be passed on, its arrays are copied from their file. */
  metadata: WritableMetadata;
  tensors: readonly TensorSource[];
}

export interface TensorSource extends TensorShape {
  /** The tensor's bytes in order, in chunks of any size; asked for once, when its turn comes. */
  data: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface WriteOptions {
  /** Power of two, default 32; stated in the file as `general.alignment` when it differs. */
  alignment?: number;
  /** Ends the writing; the unfinished file is removed and the signal's reason thrown. */
  signal?: AbortSignal;
  /** Told after every chunk of tensor data. */
  onProgress?: (written: { bytes: number; totalBytes: number }) => void;
}

/**
 * Writes a GGUF file of version 3, streaming: one chunk of one tensor is in memory at a time. The file appears
 * under its name only when it is complete.
 *
 * Source: docs/gguf.md of ggml; llama.cpp also wants every tensor right behind the one before it.
 * Errors: `file-unwritable`; those of the sources; RangeError where a source breaks its own shape.
 * Returns the size of the file in bytes.
 */
export async function writeGguf(
  path: string,
  contents: GgufContents,
  options: WriteOptions = {},
): Promise<number> {
  const alignment = options.alignment ?? 32;
  const layout = layoutOf(contents.tensors, alignment);
  const partial = `${path}.${randomBytes(4).toString("hex")}.partial`;
  const handle = await open(partial, "wx").catch((cause) => {
    throw unwritable(path, cause);
  });
  try {
    const output = new Output(path, handle);
    for await (const bytes of encodeHeader(contents, layout)) await output.write(bytes);
    await writeTensors(output, contents.tensors, layout, alignment, options);
    await output.flush();
    await handle.sync();
    await handle.close();
    await rename(partial, path).catch((cause) => {
      throw unwritable(path, cause);
    });
    return output.bytes;
  } catch (error) {
    await handle.close().catch(() => {});
    await unlink(partial).catch(() => {});
    throw error;
  }
}

/**
 * Writes a GGUF file whose header is true and whose data are a hole: it has its full size, takes a few blocks of the
 * disk, and reads as zeros. Neither synced nor renamed into place: it is for a reader in the next moment.
 *
 * Errors: `file-unwritable`, also where the file system has no holes and not enough room.
 * Returns the size of the file in bytes.
 */
export async function writeHollowGguf(
  path: string,
  contents: { metadata: WritableMetadata; tensors: readonly TensorShape[] },
  { alignment = 32 }: Pick<WriteOptions, "alignment"> = {},
): Promise<number> {
  const layout = layoutOf(contents.tensors, alignment);
  const handle = await open(path, "wx").catch((cause) => {
    throw unwritable(path, cause);
  });
  try {
    const output = new Output(path, handle);
    for await (const bytes of encodeHeader(contents, layout)) await output.write(bytes);
    await output.flush();
    const bytes = output.bytes + layout.end;
    await allowHoles(path);
    await handle.truncate(bytes).catch((cause) => {
      throw unwritable(path, cause);
    });
    await handle.close();
    return bytes;
  } catch (error) {
    await handle.close().catch(() => {});
    await unlink(path).catch(() => {});
    throw error;
  }
}

/** NTFS gives a file holes only when asked to; where that fails the file takes its size, as `truncate` then says. */
async function allowHoles(path: string): Promise<void> {
  if (process.platform !== "win32") return;
  await promisify(execFile)("fsutil", ["sparse", "setflag", path]).catch(() => {});
}

async function writeTensors(
  output: Output,
  tensors: readonly TensorSource[],
  layout: GgufLayout,
  alignment: number,
  { signal, onProgress }: WriteOptions,
): Promise<void> {
  let written = 0;
  for (const [index, tensor] of tensors.entries()) {
    const { bytes } = layout.tensors[index]!;
    let received = 0;
    for await (const chunk of tensor.data()) {
      signal?.throwIfAborted();
      received += chunk.byteLength;
      if (received > bytes) break;
      await output.write(chunk);
      onProgress?.({ bytes: written + received, totalBytes: layout.totalBytes });
    }
    if (received !== bytes)
      throw new RangeError(`${tensor.name}: its source gave ${received} bytes, not ${bytes}`);
    written += bytes;
    await output.padTo(alignment);
  }
}

/** Gathers small writes into blocks of 1 MiB. */
class Output {
  private readonly block = Buffer.allocUnsafe(1024 * 1024);
  private filled = 0;
  /** Bytes written so far, gathered ones included. */
  bytes = 0;

  constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  async write(data: Uint8Array): Promise<void> {
    this.bytes += data.byteLength;
    if (this.filled + data.byteLength > this.block.length) await this.flush();
    if (data.byteLength >= this.block.length) return this.put(data);
    this.block.set(data, this.filled);
    this.filled += data.byteLength;
  }

  async padTo(alignment: number): Promise<void> {
    const over = this.bytes % alignment;
    if (over !== 0) await this.write(Buffer.alloc(alignment - over));
  }

  async flush(): Promise<void> {
    if (this.filled === 0) return;
    const { filled } = this;
    this.filled = 0;
    await this.put(this.block.subarray(0, filled));
  }

  private async put(data: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < data.byteLength; ) {
        const { bytesWritten } = await this.handle.write(data, done, data.byteLength - done);
        done += bytesWritten;
      }
    } catch (cause) {
      throw unwritable(this.path, cause);
    }
  }
}
