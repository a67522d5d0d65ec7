/** Buffers that wait to be used again; a conversion needs a handful, of a few MiB each. */
const free: ArrayBuffer[] = [];
const mostKept = 8;
const largestKept = 16 * 1024 * 1024;

/**
 * Lends `bytes` bytes for the time of `use`, at the start of their buffer: typed arrays of any element fit over them.
 * What they hold at first is left over from others.
 */
export async function withScratch<Result>(
  bytes: number,
  use: (scratch: Uint8Array) => Promise<Result>,
): Promise<Result> {
  const fitting = free.findIndex(({ byteLength }) => byteLength >= bytes);
  const buffer = fitting < 0 ? new ArrayBuffer(roundedUp(bytes)) : free.splice(fitting, 1)[0]!;
  try {
    return await use(new Uint8Array(buffer, 0, bytes));
  } finally {
    if (buffer.byteLength <= largestKept) {
      if (free.length === mostKept) free.shift();
      free.push(buffer);
    }
  }
}

/** To a power of two from 64 KiB on, so that a buffer fits the next user; huge ones as they are. */
function roundedUp(bytes: number): number {
  if (bytes > largestKept) return bytes;
  return Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(bytes)));
}
