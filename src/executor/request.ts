import type { TokenLogprobs } from "../engine/protocol.js";
import type { SamplingSettings } from "../engine/sampling.js";

/** Who waits for the answer: a person in front of a chat, a program, or a job that has all night. */
export type Priority = "interactive" | "normal" | "batch";

/** One text to continue. */
export interface GenerationRequest {
  /** The prompt's tokens; at least one. */
  tokens: Int32Array;
  sampling: SamplingSettings;
  /** Most tokens to generate; to the end of the context where absent. */
  maxTokens?: number;
  /** Texts that end the generation; they are not part of the answer. */
  stop?: string[];
  /** Tokens that end the generation, beside the model's own; they are not part of the answer. */
  stopTokens?: number[];
  /** Milliseconds from admission to the engine after which the generation ends with what it has. */
  timeLimitMs?: number;
  priority?: Priority;
  /** Report this many alternatives for each token. */
  logprobs?: number;
  /** Leave out the white space that the text begins with. */
  trimStart?: boolean;
  /** Keep control tokens in the text. */
  special?: boolean;
  signal?: AbortSignal;
  /** The answer's beginning, generated before: it is read, not generated again, and counts as part of the answer. */
  continueFrom?: Continuation;
}

/** What a generation had when it was left: enough to go on as if it had not been. */
export interface Continuation {
  tokens: Int32Array;
  /** Of each token, where the request asks for them. */
  logprobs?: TokenLogprobs[];
}

/**
 * Why a generation ended: the model's own end token, a stop string or stop token; `maxTokens`; the context is
 * full; the time limit; cancelled by the caller.
 */
export type FinishReason = "stop" | "length" | "context" | "time" | "cancelled";

export interface GenerationStats {
  promptTokens: number;
  /** Prompt tokens found in the KV cache and not computed again. */
  cachedPromptTokens: number;
  /** Over the tokens that were computed, from the first micro-batch to the first token; null where none was. */
  promptTokensPerSecond: number | null;
  generatedTokens: number;
  /** After the first token; null where there was only one. */
  generationTokensPerSecond: number | null;
  /** From the request to its first token; null where there was none. */
  timeToFirstTokenMs: number | null;
  /** Speculated tokens, and how many of them were right. */
  speculatedTokens: number;
  acceptedTokens: number;
}

export interface GenerationResult {
  text: string;
  tokens: number[];
  finishReason: FinishReason;
  stats: GenerationStats;
  logprobs?: TokenLogprobs[];
}

/**
 * A generation under way. Iterate it for the text as it comes (whole characters only), or await `result`.
 * It runs whether or not anyone iterates.
 */
export interface Generation extends AsyncIterable<string> {
  readonly result: Promise<GenerationResult>;
  /** What it has at this moment, for `GenerationRequest.continueFrom`. */
  readonly soFar: Continuation;
  /** Ends it with what it has; `finishReason` becomes `cancelled`. */
  cancel(): void;
}
