/** What may be said of a tokenizer that does not say it itself. Plain data. */
export interface TokenizerOptions {
  /** The pre-tokenizer's name for `tokenizer.ggml.pre`, where its fingerprint is unknown. */
  pre?: string;
}
