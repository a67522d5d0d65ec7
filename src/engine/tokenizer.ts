import { isJaugeError } from "../errors.js";
import type { Answers, Asks, Piece, RequestName } from "./protocol.js";

/** Text to tokens and back, by a host process that knows the vocabulary. */
export abstract class Tokenizer {
  protected abstract ask<Name extends RequestName>(name: Name, asks: Asks<Name>): Promise<Answers<Name>>;
  /** Starts a new host where the present one has died. */
  protected abstract restart(): Promise<void>;

  /** Asks what does not depend on KV cache or samplers: where the host dies meanwhile, a new one answers. */
  protected async askSurely<Name extends RequestName>(name: Name, asks: Asks<Name>): Promise<Answers<Name>> {
    try {
      return await this.ask(name, asks);
    } catch (error) {
      if (!isJaugeError(error, "host-crashed")) throw error;
      await this.restart();
      return this.ask(name, asks);
    }
  }

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
