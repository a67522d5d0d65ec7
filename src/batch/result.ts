import type { TokenLogprobs } from "../engine/protocol.js";
import type { GenerationResult } from "../executor/request.js";

/** What became of one line. */
export interface BatchOutcome {
  number: number;
  customId: string;
  outcome:
    | {
        kind: "chat" | "completion";
        /** Of each choice; one at least. */
        results: readonly GenerationResult[];
        tokenBytes?: ReadonlyMap<number, Uint8Array>;
      }
    | { kind: "embedding"; vectors: Float32Array[]; tokens: number; encoding: "float" | "base64" }
    | { kind: "error"; error: unknown };
  /** From the moment it could have begun to its end. */
  totalMs: number;
}

/** A line of the output: OpenAI's Batch result, with the line's number and its timing. */
export interface BatchResultLine {
  id: string;
  custom_id: string;
  response: { status_code: 200; request_id: string; body: ResponseBody } | null;
  error: BatchLineError | null;
  timing?: BatchTiming;
}

export interface BatchLineError {
  code: string;
  /** What happened, and what to do. */
  message: string;
  line: number;
  /** The field that is wrong, where one is. */
  param: string | null;
}

export interface BatchTiming {
  total_ms: number;
  /** Null where it had no part. */
  first_token_ms: number | null;
  prompt_tokens_per_second: number | null;
  tokens_per_second: number | null;
}

export type ResponseBody = ChatBody | CompletionBody | EmbeddingBody;

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

export interface ChatBody {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: "stop" | "length";
    logprobs: { content: ChatLogprob[]; refusal: null } | null;
  }[];
  usage: Usage;
}

export interface CompletionBody {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: {
    index: number;
    text: string;
    finish_reason: "stop" | "length";
    logprobs: CompletionLogprobs | null;
  }[];
  usage: Usage;
}

export interface EmbeddingBody {
  object: "list";
  model: string;
  data: { object: "embedding"; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

export interface ChatLogprob extends TokenText {
  logprob: number;
  top_logprobs: (TokenText & { logprob: number })[];
}

interface TokenText {
  token: string;
  bytes: number[];
}

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
  text_offset: number[];
}

export type { TokenLogprobs };
