import { JaugeError } from "../../errors.js";
import type { Pointer } from "../native/ffi.js";
import type { Llama } from "../native/llama.js";
import type { ModelFacts, Piece } from "../protocol.js";

/** Text to tokens and back, for one model. */
export class Vocabulary {
  readonly size: number;
  private endTokenList: number[] | undefined;
  private pieceBuffer = new Uint8Array(256);
  /** One byte a token: whether the parent knows its text. */
  private readonly known: Uint8Array;

  constructor(
    private readonly llama: Llama,
    readonly pointer: Pointer,
  ) {
    this.size = llama.llama_vocab_n_tokens(pointer);
    this.known = new Uint8Array(this.size);
  }

  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Int32Array {
    const bytes = Buffer.from(text, "utf8");
    // A token covers at least one byte, save those that are added at the ends.
    let tokens = new Int32Array(bytes.length + 16);
    let count = this.llama.llama_tokenize(
      this.pointer,
      bytes,
      bytes.length,
      tokens,
      tokens.length,
      addSpecial,
      parseSpecial,
    );
    if (count < 0) {
      tokens = new Int32Array(-count);
      count = this.llama.llama_tokenize(
        this.pointer,
        bytes,
        bytes.length,
        tokens,
        tokens.length,
        addSpecial,
        parseSpecial,
      );
    }
    return tokens.slice(0, Math.max(0, count));
  }

  detokenize(tokens: Int32Array, removeSpecial: boolean, unparseSpecial: boolean): Uint8Array {
    for (const token of tokens) this.check(token);
    let text = new Uint8Array(tokens.length * 8 + 64);
    const call = () =>
      this.llama.llama_detokenize(
        this.pointer,
        tokens,
        tokens.length,
        text,
        text.length,
        removeSpecial,
        unparseSpecial,
      );
    let bytes = call();
    if (bytes < 0) {
      text = new Uint8Array(-bytes);
      bytes = call();
    }
    return text.slice(0, Math.max(0, bytes));
  }

  /** Errors: `token-unknown`; libllama ends the process on one. */
  private check(token: number): void {
    if (Number.isInteger(token) && token >= 0 && token < this.size) return;
    throw new JaugeError("token-unknown", { token, vocabularySize: this.size });
  }

  piece(token: number): Piece {
    this.check(token);
    const bytes = this.pieceBytes(token, true);
    return {
      token,
      bytes,
      control: bytes.length > 0 && this.pieceBytes(token, false).length === 0,
      endOfGeneration: this.endsGeneration(token),
    };
  }

  /** Adds the piece of a token to `pieces` where the parent does not have it yet. */
  introduce(token: number, pieces: Piece[]): void {
    if (this.known[token] === 1) return;
    this.known[token] = 1;
    pieces.push(this.piece(token));
  }

  endsGeneration(token: number): boolean {
    return this.llama.llama_vocab_is_eog(this.pointer, token);
  }

  /** A token that ends the generation. */
  get endToken(): number {
    const eos = this.llama.llama_vocab_eos(this.pointer);
    return eos >= 0 ? eos : (this.endTokens[0] ?? 0);
  }

  /** All tokens that end the generation. */
  get endTokens(): readonly number[] {
    this.endTokenList ??= Array.from({ length: this.size }, (_, token) => token).filter((token) =>
      this.endsGeneration(token),
    );
    return this.endTokenList;
  }

  controlTokenTexts(): string[] {
    const { llama, pointer } = this;
    const texts: string[] = [];
    for (let token = 0; token < this.size; token++) {
      if (llama.llama_vocab_is_control(pointer, token))
        texts.push(llama.llama_vocab_get_text(pointer, token));
    }
    return texts;
  }

  facts(): ModelFacts["tokens"] {
    const { llama, pointer } = this;
    const bos = llama.llama_vocab_bos(pointer);
    const eos = llama.llama_vocab_eos(pointer);
    return {
      bos,
      eos,
      eot: llama.llama_vocab_eot(pointer),
      pad: llama.llama_vocab_pad(pointer),
      newline: llama.llama_vocab_nl(pointer),
      bosText: bos >= 0 ? llama.llama_vocab_get_text(pointer, bos) : "",
      eosText: eos >= 0 ? llama.llama_vocab_get_text(pointer, eos) : "",
      addBos: llama.llama_vocab_get_add_bos(pointer),
      addEos: llama.llama_vocab_get_add_eos(pointer),
    };
  }

  private pieceBytes(token: number, special: boolean): Uint8Array {
    const call = () =>
      this.llama.llama_token_to_piece(
        this.pointer,
        token,
        this.pieceBuffer,
        this.pieceBuffer.length,
        0,
        special,
      );
    let length = call();
    if (length < 0) {
      this.pieceBuffer = new Uint8Array(-length);
      length = call();
    }
    return this.pieceBuffer.slice(0, Math.max(0, length));
  }
}
