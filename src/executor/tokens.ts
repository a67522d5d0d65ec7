/** A growing list of tokens in one typed array. */
export class TokenList {
  length = 0;
  private items: Int32Array;

  constructor(tokens: Int32Array = new Int32Array(0)) {
    this.items = new Int32Array(Math.max(16, tokens.length));
    this.items.set(tokens);
    this.length = tokens.length;
  }

  push(token: number): void {
    if (this.length === this.items.length) {
      const grown = new Int32Array(this.items.length * 2);
      grown.set(this.items);
      this.items = grown;
    }
    this.items[this.length++] = token;
  }

  at(index: number): number {
    return this.items[index]!;
  }

  /** A view of some of the tokens; valid until the next `push`. */
  view(from: number, to: number = this.length): Int32Array {
    return this.items.subarray(from, to);
  }

  /** How many tokens at the beginning are the same in the first `length` of these and all of `other`. */
  commonPrefix(length: number, other: TokenList): number {
    const most = Math.min(length, other.length);
    let index = 0;
    while (index < most && this.items[index] === other.items[index]) index++;
    return index;
  }
}
