import { constants, readSync } from "node:fs";
import { type FileHandle, open, statfs } from "node:fs/promises";

/**
 * Bytes that this user can still write on the disk that holds `path`, a file or a folder. Errors: those of the
 * file system, where there is no such path.
 */
export async function diskFreeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** A measured read speed, and how much it can be trusted. */
export interface DiskRead {
  bytesPerSecond: number;
  /** Read around the page cache, so that what was measured is the disk. */
  isDirect: boolean;
  /** What was read. */
  bytes: number;
}

/**
 * How fast a file is read from its beginning, one block after the other, for at most `limitMs` milliseconds. Read
 * around the page cache (O_DIRECT) where the system and the file system can; else what the cache holds makes the
 * figure too high, and `isDirect` is false. Undefined for a file too small to tell: under 8 MiB. Errors: those of the
 * file system.
 */
export async function measureDiskRead(path: string, limitMs = 1000): Promise<DiskRead | undefined> {
  const direct = await openDirect(path);
  const file = direct?.file ?? (await open(path, "r"));
  try {
    const { size } = await file.stat();
    if (size < 2 * blockBytes) return undefined;
    // Two requests under way keep the disk busy while a block is handed over.
    const blocks = direct?.blocks ?? [new Uint8Array(blockBytes), new Uint8Array(blockBytes)];
    const start = performance.now();
    let next = 0;
    let bytes = 0;
    const readOn = async (block: Uint8Array) => {
      while (next + blockBytes <= size && performance.now() - start < limitMs) {
        const position = next;
        next += blockBytes;
        const { bytesRead } = await file.read(block, 0, blockBytes, position);
        bytes += bytesRead;
      }
    };
    await Promise.all(blocks.map(readOn));
    const seconds = (performance.now() - start) / 1000;
    return { bytesPerSecond: bytes / seconds, isDirect: direct !== undefined, bytes };
  } finally {
    await file.close();
  }
}

const blockBytes = 4 * 2 ** 20;
/** No disk's block is greater, and memory read into directly must begin at a multiple of it. */
const greatestAlignment = 4096;

/** The file and memory to read it into around the page cache; undefined where the file system or the system cannot. */
async function openDirect(path: string): Promise<{ file: FileHandle; blocks: Uint8Array[] } | undefined> {
  if (!constants.O_DIRECT) return undefined;
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
  const [one, other] = [alignedBlock(file), alignedBlock(file)];
  if (one && other) return { file, blocks: [one, other] };
  await file.close();
  return undefined;
}

/**
 * Memory that this file can be read into directly. JavaScript does not tell addresses, but the kernel refuses a read
 * into memory that is not aligned, at once and without reading: where it accepts, the address is right.
 */
function alignedBlock({ fd }: FileHandle): Uint8Array | undefined {
  const memory = new Uint8Array(blockBytes + greatestAlignment);
  for (let offset = 0; offset < greatestAlignment; offset += 16) {
    try {
      readSync(fd, memory, offset, greatestAlignment, 0);
      return memory.subarray(offset, offset + blockBytes);
    } catch {
      // The next one.
    }
  }
  return undefined;
}
