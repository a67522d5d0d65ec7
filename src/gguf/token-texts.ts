import { eachByteString } from "./arrays.js";
import type { MetadataArray } from "./metadata.js";

/** What a pass over a vocabulary tells. */
export interface TokenTexts {
  /** Two tokens with the same text, where there are any. */
  repeated?: [first: number, second: number];
  /** The first token longer than the limit. */
  tooLong?: { token: number; bytes: number };
  /** The bytes that have a token, as `<0x0A>` or as themselves: 256 flags. */
  hasByte: Uint8Array;
  /** The bytes that some token starts with, and those that are a token by themselves, RWKV's escapes undone. */
  startsToken: Uint8Array;
  isToken: Uint8Array;
}

/** Pairs of equal hash kept for a second look; only a crafted file has more than a few. */
const mostSuspects = 256;

/**
 * Reads every token of a vocabulary once, in chunks, and keeps 12 bytes for each: a 64-bit hash and its number.
 * Texts end at a NUL, and empty ones get a name, as llama.cpp sees them.
 */
export async function readTokenTexts(tokens: MetadataArray, longestBytes: number): Promise<TokenTexts> {
  const flags = () => new Uint8Array(256);
  const texts: TokenTexts = { hasByte: flags(), startsToken: flags(), isToken: flags() };
  const seen = new HashTable(tokens.count);
  const suspects: [number, number][] = [];
  await eachByteString(tokens, (bytes, token) => {
    if (bytes.length > longestBytes) texts.tooLong ??= { token, bytes: bytes.length };
    const text = asSeen(bytes, token);
    markByte(text, texts.hasByte);
    markFirst(text, texts);
    const before = seen.add(text, token);
    if (before !== undefined && suspects.length < mostSuspects) suspects.push([before, token]);
  });
  texts.repeated = suspects.length > 0 ? await confirm(tokens, suspects) : undefined;
  return texts;
}

function asSeen(bytes: Buffer, token: number): Buffer {
  const end = bytes.indexOf(0);
  const text = end < 0 ? bytes : bytes.subarray(0, end);
  return text.length > 0 ? text : Buffer.from(`[EMPTY_${token}]`);
}

function markByte(text: Buffer, hasByte: Uint8Array): void {
  if (text.length === 1) hasByte[text[0]!] = 1;
  if (text.length !== 6) return;
  const match = /^<0x([0-9A-F]{2})>$/.exec(text.toString("latin1"));
  if (match) hasByte[Number.parseInt(match[1]!, 16)] = 1;
}

/** The first byte of a text in which `\\n` and `\\x0a` are escapes, and whether it is all of the text. */
function markFirst(text: Buffer, { startsToken, isToken }: TokenTexts): void {
  const backslash = 0x5c;
  let first = text[0]!;
  let length = 1;
  if (first === backslash && text.length > 1) {
    const escaped = String.fromCharCode(text[1]!);
    const isHex = escaped === "x";
    length = isHex ? 4 : 2;
    // digits as llama.cpp reads them, whatever they are
    const digit = (byte = 0) => (byte >= 0x61 ? byte - 0x61 + 10 : byte - 0x30);
    if (isHex) first = ((digit(text[2]) << 4) + digit(text[3])) & 0xff;
    else first = { t: 9, n: 10, r: 13 }[escaped] ?? text[1]!;
  }
  startsToken[first] = 1;
  if (text.length === length) isToken[first] = 1;
}

/** Reads the suspects' texts again: equal hashes are no proof. */
async function confirm(
  tokens: MetadataArray,
  suspects: [number, number][],
): Promise<[first: number, second: number] | undefined> {
  const wanted = new Map<number, Buffer>(suspects.flat().map((token) => [token, Buffer.alloc(0)]));
  await eachByteString(tokens, (bytes, token) => {
    if (wanted.has(token)) wanted.set(token, Buffer.from(asSeen(bytes, token)));
  });
  return suspects.find(([first, second]) => wanted.get(first)!.equals(wanted.get(second)!));
}

/** Open addressing over typed arrays: token numbers by the hash of their text. */
class HashTable {
  private readonly mask: number;
  private readonly high: Uint32Array;
  private readonly low: Uint32Array;
  /** Token number plus one; 0 is a free slot. */
  private readonly tokens: Uint32Array;

  constructor(count: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)));
    this.mask = slots - 1;
    this.high = new Uint32Array(slots);
    this.low = new Uint32Array(slots);
    this.tokens = new Uint32Array(slots);
  }

  /** Adds a text; returns the token that had its hash before. */
  add(text: Buffer, token: number): number | undefined {
    // FNV-1a, twice with different starts and multipliers
    let high = 0x811c9dc5;
    let low = 0x9747b28c;
    for (const byte of text) {
      high = Math.imul(high ^ byte, 0x01000193);
      low = Math.imul(low ^ byte, 0x5bd1e995) ^ (low >>> 15);
    }
    high >>>= 0;
    low >>>= 0;
    for (let slot = low & this.mask; ; slot = (slot + 1) & this.mask) {
      const taken = this.tokens[slot]!;
      if (taken === 0) {
        this.tokens[slot] = token + 1;
        this.high[slot] = high;
        this.low[slot] = low;
        return undefined;
      }
      if (this.high[slot] === high && this.low[slot] === low) return taken - 1;
    }
  }
}
