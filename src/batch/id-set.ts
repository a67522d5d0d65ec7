import { hash as digestOf } from "node:crypto";

/**
 * A set of texts in 8 bytes each, for the identities of millions of lines: it keeps a hash of 64 bits. Two of ten
 * million texts share it with a probability of 3 in a million. Open addressing with linear probing.
 */
export class IdSet {
  size = 0;
  /** Two words an entry; both are 0 where there is none. */
  private words: Uint32Array;

  constructor(capacity = 1024) {
    this.words = new Uint32Array(2 * capacity);
  }

  /** Adds a text; false where it was there. */
  add(text: string): boolean {
    const { high, low } = hashOf(text);
    const place = this.find(high, low);
    if (place < 0) return false;
    this.words[place] = high;
    this.words[place + 1] = low;
    this.size++;
    if (this.size * 8 > this.words.length * 3) this.grow();
    return true;
  }

  has(text: string): boolean {
    const { high, low } = hashOf(text);
    return this.find(high, low) < 0;
  }

  /** Where the entry would go; negative where it is there. */
  private find(high: number, low: number): number {
    const { words } = this;
    const mask = words.length - 1;
    let place = (low * 2) & mask;
    while (words[place] !== 0 || words[place + 1] !== 0) {
      if (words[place] === high && words[place + 1] === low) return -1;
      place = (place + 2) & mask;
    }
    return place;
  }

  private grow(): void {
    const before = this.words;
    this.words = new Uint32Array(before.length * 2);
    for (let index = 0; index < before.length; index += 2) {
      const high = before[index]!;
      const low = before[index + 1]!;
      if (high === 0 && low === 0) continue;
      const place = this.find(high, low);
      this.words[place] = high;
      this.words[place + 1] = low;
    }
  }
}

const words = { high: 0, low: 0 };

/**
 * The same object each time: millions of them would be garbage. Two hashes of 32 bits, each with its own multipliers, are
 * an order of magnitude quicker than a digest of the library; who makes two identities meet spoils a job of their own.
 */
function hashOf(text: string): typeof words {
  words.high = murmur(text, 0xcc9e2d51, 0x1b873593);
  // Never 0: that is an empty entry.
  words.low = murmur(text, 0x239b961b, 0xab0e9789) || 1;
  return words;
}

/**
 * MurmurHash3 (x86, 32 bits; Appleby, public domain) over UTF-16 code units, two to a word, with the multipliers of one
 * of its variants.
 */
function murmur(text: string, first: number, second: number): number {
  const { length } = text;
  let hash = first;
  for (let index = 0; index < length; index += 2) {
    const next = index + 1 < length ? text.charCodeAt(index + 1) : 0;
    let word = Math.imul(text.charCodeAt(index) | (next << 16), first);
    word = Math.imul((word << 15) | (word >>> 17), second);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash ^= 2 * length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** A text's 64 bits as 16 hexadecimal digits: a name that is the same in every run. */
export function shortHash(text: string): string {
  const { high, low } = hashOf(text);
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** 32 bits of a text's SHA-1. */
export function hash32(text: string): number {
  return digestOf("sha1", text, "buffer").readUInt32LE(0);
}
