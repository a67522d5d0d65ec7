/** What may be said of a tokenizer that does not say it itself. Plain data. */
export interface TokenizerOptions {
  /** The pre-tokenizer's name for `tokenizer.ggml.pre`, where its fingerprint is unknown. */
  pre?: string;
  /** A tokenizer that lies elsewhere: its folder, or the one file that holds its vocabulary. */
  tokenizer?: string;
}
