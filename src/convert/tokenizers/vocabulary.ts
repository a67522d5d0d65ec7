import { JaugeError } from "../../errors.js";
import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { malformed, problems } from "./folder.js";

/** Source: `gguf.TokenType`, `llama_token_type` of llama.cpp v0.5.0. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
export type TokenType = (typeof tokenTypes)[keyof typeof tokenTypes];

/** The kinds of tokenizer that llama.cpp has and this converter writes. */
export type TokenizerModel = "llama" | "gpt2" | "bert" | "t5";

/** The tokens of a model by id, while they are gathered. */
export class Vocabulary {
  readonly tokens: string[];
  readonly types: TokenType[];
  readonly scores: number[];

  /** Starts as `rows` unused tokens, as many as the embedding has rows. */
  constructor(
    /** The file the tokens come from, as errors name it. */
    readonly path: string,
    readonly rows: number,
    padScore = 0,
  ) {
    this.tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
    this.types = new Array<TokenType>(rows).fill(tokenTypes.unused);
    this.scores = new Array<number>(rows).fill(padScore);
  }

  set(id: number, text: string, type: TokenType, score = 0): void {
    this.tokens[id] = text;
    this.types[id] = type;
    this.scores[id] = score;
  }

  /** `tokenizer-too-many-tokens` where a token would have no row. */
  expectRoom(tokens: number): void {
    if (tokens > this.rows)
      throw new JaugeError("tokenizer-too-many-tokens", { path: this.path, tokens, rows: this.rows });
  }

  /** The keys of the vocabulary in GGUF. Errors: `tokenizer-malformed` where llama.cpp would refuse the tokens. */
  metadata(model: TokenizerModel, pre: string, { withScores = false } = {}): Map<string, MetadataValue> {
    this.check();
    const keys = new Map<string, MetadataValue>([
      ["tokenizer.ggml.model", { type: "string", value: model }],
      ["tokenizer.ggml.pre", { type: "string", value: pre }],
      ["tokenizer.ggml.tokens", { type: "array", value: memoryArray("string", this.tokens, this.path) }],
    ]);
    if (withScores) {
      const value = memoryArray("float32", this.scores, this.path);
      keys.set("tokenizer.ggml.scores", { type: "array", value });
    }
    const value = memoryArray("int32", this.types, this.path);
    keys.set("tokenizer.ggml.token_type", { type: "array", value });
    return keys;
  }

  private check(): void {
    const ids = new Map<string, number>();
    for (const [id, text] of this.tokens.entries()) {
      const field = `token ${id}`;
      if (Buffer.byteLength(text) > longestToken)
        throw malformed(this.path, field, problems.tooLong({ limit: longestToken }));
      if (/\p{Surrogate}/u.test(text)) throw malformed(this.path, field, problems.notUtf8());
      if (Number.isNaN(this.scores[id])) throw malformed(this.path, field, problems.notFinite());
      const first = ids.get(text);
      if (first !== undefined) throw malformed(this.path, field, problems.repeated({ first, second: id }));
      ids.set(text, id);
    }
  }
}

/** What the GGUF reader takes, since llama.cpp's loader recurses over a token's bytes. */
const longestToken = 16 * 1024;

/**
 * Whether a token that a model's files call ordinary is written like a control token. Some models mark theirs so.
 * Source of the forms: `does_token_look_special` of llama.cpp's converter.
 */
export function looksSpecial(text: string): boolean {
  if (["<pad>", "<mask>", "<2mass>", "[@BOS@]"].includes(text)) return true;
  const isBetween = (start: string, end: string) => text.startsWith(start) && text.endsWith(end);
  return isBetween("<|", "|>") || isBetween("<｜", "｜>") || isBetween("<unused", ">");
}

/** SentencePiece writes spaces as U+2581; llama.cpp wants them as they are in what a text is searched for. */
export function withSpaces(text: string): string {
  return text.replaceAll("\u2581", " ");
}
