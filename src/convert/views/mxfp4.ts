import { withScratch } from "./scratch.js";
import { inBands, type View } from "./view.js";

/** Bytes of the values of one block of 32, and of a block with its scale as GGUF has it. */
const valueBytes = 16;
const blockBytes = valueBytes + 1;

/**
 * MXFP4 as GGUF stores it, from the blocks and scales of a gpt-oss checkpoint, without loss: each block gets its scale
 * in front, and its values another place. The checkpoint's byte `j` has values `2j` and `2j + 1`, GGUF's has `j` and
 * `j + 16`, the first in the low half in both.
 *
 * `blocks` has 16 bytes for every byte of `scales`, both in rows of one GGUF row.
 * Source: `block_mxfp4` in ggml/src/ggml-common.h, conversion/gpt_oss.py of llama.cpp v0.5.0.
 */
export function mxfp4(blocks: View, scales: View): View {
  const perRow = scales.rowBytes;
  if (blocks.rows !== scales.rows || blocks.rowBytes !== perRow * valueBytes)
    throw new RangeError("blocks and scales do not fit each other");
  const rowBytes = perRow * blockBytes;
  const readRows = inBands(rowBytes, (target, firstRow, rows) =>
    withScratch(rows * (blocks.rowBytes + perRow), async (scratch) => {
      const values = scratch.subarray(0, rows * blocks.rowBytes);
      const exponents = scratch.subarray(values.length);
      await Promise.all([blocks.readRows(values, firstRow), scales.readRows(exponents, firstRow)]);
      repack(values, exponents, target);
    }),
  );
  return { type: "MXFP4", rows: blocks.rows, rowBytes, readRows };
}

function repack(values: Uint8Array, exponents: Uint8Array, target: Uint8Array): void {
  const source = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const blocks = new DataView(target.buffer, target.byteOffset, target.byteLength);
  const count = exponents.length;
  for (let block = 0, from = 0, to = 0; block < count; block++, from += valueBytes, to += blockBytes) {
    blocks.setUint8(to, exponents[block]!);
    for (let word = 0; word < valueBytes / 2; word += 4) {
      const low = source.getUint32(from + word, true);
      const high = source.getUint32(from + word + 8, true);
      // bytes of values 2j and 2j + 16, and of those behind them
      const even = (low & 0x0f0f0f0f) | ((high & 0x0f0f0f0f) << 4);
      const odd = ((low >>> 4) & 0x0f0f0f0f) | (high & 0xf0f0f0f0);
      const at = to + 1 + 2 * word;
      blocks.setUint32(at, spread(even) | (spread(odd) << 8), true);
      blocks.setUint32(at + 4, spread(even >>> 16) | (spread(odd >>> 16) << 8), true);
    }
  }
}

/** The lower two bytes with an empty one behind each. */
function spread(bytes: number): number {
  return (bytes & 0xff) | ((bytes & 0xff00) << 8);
}
