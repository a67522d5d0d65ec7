/** Random 32-bit words, the same for the same seed. Source: sfc32 of PractRand, as 32-bit integer steps. */
export class Random {
  private a = 0x9e3779b9;
  private b = 0x243f6a88;
  private c: number;
  private counter = 1;

  constructor(seed: number) {
    this.c = seed | 0;
    for (let warmup = 0; warmup < 15; warmup++) this.next();
  }

  /** 0 to 2³² − 1. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `bound` − 1. */
  below(bound: number): number {
    return this.next() % bound;
  }

  fill(words: Uint32Array): void {
    for (let index = 0; index < words.length; index++) words[index] = this.next();
  }
}
