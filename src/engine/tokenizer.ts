import type { Answers, Asks, Piece } from "./protocol.js";

type Question = "tokenize" | "detokenize" | "pieces" | "controlTokens";

/** Text to tokens and back, by a host process that knows the vocabulary. */
export abstract class Tokenizer {
  /** Asks the host; where it dies meanwhile, a new one answers. */
  protected abstract askSurely<Name extends Question>(name: Name, asks: Asks<Name>): Promise<Answers<Name>>;

  /** Special tokens are added as the model's metadata says, and read where the text names them. */
  tokenize(
    text: string,
    options: { addSpecial?: boolean; parseSpecial?: boolean } = {},
  ): Promise<Int32Array> {
    const { addSpecial = true, parseSpecial = true } = options;
    return this.askSurely("tokenize", { text, addSpecial, parseSpecial });
  }

  /** Errors: `token-unknown`. */
  async detokenize(
    tokens: ArrayLike<number>,
    options: { removeSpecial?: boolean; unparseSpecial?: boolean } = {},
  ): Promise<string> {
    const { removeSpecial = false, unparseSpecial = false } = options;
    const bytes = await this.askSurely("detokenize", {
      ...{ tokens: Int32Array.from(tokens), removeSpecial, unparseSpecial },
    });
    return Buffer.from(bytes).toString("utf8");
  }

  /** The texts of all control tokens: what a prompt must not smuggle in. */
  controlTokens(): Promise<string[]> {
    return this.askSurely("controlTokens", {});
  }

  pieces(tokens: number[]): Promise<Piece[]> {
    return this.askSurely("pieces", { tokens });
  }

  /** The text of each token by itself, for display: a part of a character shows as U+FFFD. */
  async tokenTexts(tokens: number[]): Promise<string[]> {
    const pieces = await this.pieces(tokens);
    return pieces.map(({ bytes }) => Buffer.from(bytes).toString("utf8"));
  }
}
