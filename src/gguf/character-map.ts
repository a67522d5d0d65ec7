import { byteChunks } from "./arrays.js";
import type { MetadataArray } from "./metadata.js";

/** The maps of known models have 240 kB. */
const largestMap = 16 * 1024 * 1024;

/**
 * Whether SentencePiece's compiled character map (`precompiled_charsmap`) stays inside itself for every text: each
 * transition that some input can take is looked at once.
 *
 * Layout: uint32 size of the array in bytes, the XOR-compressed double array (uint32 each: bit 31 and bits 0–7 the
 * label, bit 8 leaf, bits 9–30 the base), then NUL-terminated replacements.
 * Source: `llm_tokenizer_ugm_session::normalize_prefix` in src/llama-vocab.cpp, which throws through the C interface.
 */
export async function isSoundCharacterMap(map: MetadataArray): Promise<boolean> {
  if (map.bytes > largestMap || map.bytes < 4) return false;
  const parts: Buffer[] = [];
  for await (const part of byteChunks(map)) parts.push(part);
  const bytes = Buffer.concat(parts);
  const arrayBytes = bytes.readUInt32LE(0);
  if (4 + arrayBytes >= bytes.length) return false;
  const nodes = Math.floor(arrayBytes / 4);
  if (nodes === 0) return true;
  const replacements = bytes.subarray(4 + arrayBytes);
  if (replacements.at(-1) !== 0) return false;

  const node = (index: number) => bytes.readUInt32LE(4 + index * 4);
  const base = (index: number) => ((node(index) >>> 10) << ((node(index) & 0x200) >>> 6)) >>> 0;
  const label = (index: number) => (node(index) & 0x800000ff) >>> 0;
  const seen = new Uint8Array(nodes);
  const open = [base(0)];
  for (let from = open.pop(); from !== undefined; from = open.pop()) {
    for (let byte = 1; byte < 256; byte++) {
      const index = (from ^ byte) >>> 0;
      if (index >= nodes) return false;
      if (label(index) !== byte || seen[index]) continue;
      seen[index] = 1;
      const next = (index ^ base(index)) >>> 0;
      const isLeaf = ((node(index) >>> 8) & 1) === 1;
      if (isLeaf && (next >= nodes || (node(next) & 0x7fffffff) >= replacements.length)) return false;
      open.push(next);
    }
  }
  return true;
}
