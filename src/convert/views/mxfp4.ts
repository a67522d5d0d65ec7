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
  for (
    let block = 0, from = 0, to = 0;
    block < exponents.length;
    block++, from += valueBytes, to += blockBytes
  ) {
    target[to] = exponents[block]!;
    for (let byte = 0; byte < valueBytes / 2; byte++) {
      const low = values[from + byte]!;
      const high = values[from + byte + 8]!;
      const at = to + 1 + 2 * byte;
      target[at] = (low & 0x0f) | ((high & 0x0f) << 4);
      target[at + 1] = (low >> 4) | (high & 0xf0);
    }
  }
}
