import { hash as digestOf } from "node:crypto";

/**
 * A set of texts in 8 bytes each, for the identities of millions of lines: it keeps 64 bits of their SHA-1. Two of ten
 * million texts share them with a probability of 3 in a million. Open addressing with linear probing.
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

/** The same object each time: millions of them would be garbage. */
function hashOf(text: string): typeof words {
  const digest = digestOf("sha1", text, "buffer");
  words.high = digest.readUInt32LE(0);
  // Never 0: that is an empty entry.
  words.low = digest.readUInt32LE(4) || 1;
  return words;
}

/** 64 bits of a text's SHA-1, as 16 hexadecimal digits: a name that is the same in every run. */
export function shortHash(text: string): string {
  return digestOf("sha1", text, "hex").slice(0, 16);
}

/** 32 bits of a text's SHA-1. */
export function hash32(text: string): number {
  return digestOf("sha1", text, "buffer").readUInt32LE(0);
}
