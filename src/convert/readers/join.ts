import { type StoredTensor, storedBytes } from "../checkpoint.js";
import type { ElementReader } from "./strided.js";

/** What is read of each part at a time. */
const blockBytes = 1024 * 1024;

/** Reads tensors of equal shape one below the other. */
export function joinRows(parts: readonly StoredTensor[]): ElementReader {
  const { shape, type } = parts[0]!;
  const elements = shape.reduce((product, size) => product * size, 1);
  const partBytes = elements * storedBytes[type];
  return async (target, firstElement) => {
    let within = (firstElement % elements) * storedBytes[type];
    for (let done = 0, part = Math.floor(firstElement / elements); done < target.byteLength; part++) {
      const length = Math.min(partBytes - within, target.byteLength - done);
      await parts[part]!.read(target.subarray(done, done + length), within / storedBytes[type]);
      done += length;
      within = 0;
    }
  };
}

/** Reads matrices of equal shape side by side: each row is a row of the first, of the second, and so on. */
export function joinColumns(parts: readonly StoredTensor[], elementBytes: number): ElementReader {
  const columns = parts[0]!.shape[1]!;
  const partBytes = columns * elementBytes;
  const rowBytes = partBytes * parts.length;
  const blockRows = Math.max(1, Math.floor(blockBytes / partBytes));
  return async (target, firstElement) => {
    if (target.byteLength === 0) return;
    const output = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
    const first = firstElement * elementBytes;
    const last = Math.ceil((first + target.byteLength) / rowBytes);
    const block = Buffer.allocUnsafe(Math.min(blockRows, last - Math.floor(first / rowBytes)) * partBytes);
    for (let row = Math.floor(first / rowBytes); row < last; row += blockRows) {
      const rows = Math.min(blockRows, last - row);
      for (const [index, part] of parts.entries()) {
        await part.read(block.subarray(0, rows * partBytes), row * columns);
        for (let each = 0; each < rows; each++) {
          // the part of the first and of the last row that is asked for
          const to = (row + each) * rowBytes + index * partBytes - first;
          const skip = Math.max(0, -to);
          const length = Math.min(partBytes, output.length - to);
          if (length > skip)
            block.copy(output, to + skip, each * partBytes + skip, each * partBytes + length);
        }
      }
    }
  };
}
