import type { ByteSource } from "../../gguf/byte-source.js";
import type { LegacyFile } from "./header.js";
import type { JoinedTensor } from "./tensors.js";

const sampledTensors = 16;
const sampledRowsBytes = 16 * 1024;

/**
 * Whether rows of Q4_0 and Q4_1 have all their scales first: Q4_0 on 10 March 2023, Q4_1 until 17 March and in alpaca.cpp.
 * Nothing in a file says so, and sizes are the same. So the numbers that stand where scales would are looked at in
 * samples of the tensors: read in the wrong places they are quants, which make negative or absurd floats.
 */
export async function hasScalesFirst(
  file: LegacyFile,
  tensors: readonly JoinedTensor[],
  source: ByteSource,
): Promise<boolean> {
  if (file.container !== "ggml") return false;
  let inBlocks = 0;
  let first = 0;
  let left = sampledTensors;
  for (const { blocks, pieces } of tensors) {
    const minimum = blocks.encoding === "q4_1-neighbours";
    if ((!minimum && blocks.encoding !== "q4_0-neighbours") || left-- === 0) continue;
    const piece = pieces[0]!;
    const count = piece.shape[0]! / blocks.blockElements;
    const rowBytes = count * blocks.blockBytes;
    const rows = Math.min(piece.shape[1] ?? 1, Math.max(1, Math.floor(sampledRowsBytes / rowBytes)));
    const sample = Buffer.alloc(rows * rowBytes);
    // what cannot be read is refused when the rows are asked for
    const bytes = await source.read(sample, piece.offset);
    for (let row = 0; (row + 1) * rowBytes <= bytes; row++) {
      for (let block = 0; block < count; block++) {
        const start = row * rowBytes;
        inBlocks += absurd(sample.readFloatLE(start + block * blocks.blockBytes));
        first += absurd(sample.readFloatLE(start + 4 * (minimum ? count + block : block)));
      }
    }
  }
  return first < inBlocks;
}

/** 1 for what is no scale: those of the time were never negative. */
function absurd(scale: number): number {
  return scale === 0 || (scale >= 2 ** -40 && scale <= 2 ** 20) ? 0 : 1;
}
