import type { TokenLogprobs } from "../engine/protocol.js";
import { isJaugeError } from "../errors.js";
import type { FinishReason, GenerationResult } from "../executor/request.js";
import { shortHash } from "./id-set.js";
import { firstBytes } from "./journal.js";
import type {
  BatchLineError,
  BatchOutcome,
  BatchResultLine,
  BatchTiming,
  ChatLogprob,
  CompletionLogprobs,
  ResponseBody,
  Usage,
} from "./result.js";

/**
 * An outcome as a line of the output, in the form of OpenAI's Batch API (API reference of 2025, "The request output
 * object"). `created` is in seconds.
 */
export function resultLine(done: BatchOutcome, model: string, created: number): BatchResultLine {
  const { customId, number, outcome } = done;
  const hash = shortHash(customId);
  const id = `batch_req_${hash}`;
  if (outcome.kind === "error")
    return { id, custom_id: customId, response: null, error: lineError(outcome.error, number) };
  const body: ResponseBody =
    outcome.kind === "embedding"
      ? {
          object: "list",
          model,
          data: outcome.vectors.map((vector, index) => ({
            object: "embedding",
            index,
            embedding: outcome.encoding === "float" ? Array.from(vector, float32) : base64(vector),
          })),
          usage: { prompt_tokens: outcome.tokens, total_tokens: outcome.tokens },
        }
      : generated(outcome, hash, model, created);
  return {
    id,
    custom_id: customId,
    response: { status_code: 200, request_id: `req_${hash}`, body },
    error: null,
    timing: timingOf(done),
  };
}

/**
 * The key under which a line of the output is finished; undefined where it is no such line. A second line with the same
 * `custom_id` is finished by itself.
 */
export function keyOfLine(line: string): string | undefined {
  if (!line.startsWith(firstBytes)) return undefined;
  try {
    const { custom_id: id, error } = JSON.parse(line) as Partial<BatchResultLine>;
    if (typeof id !== "string") return undefined;
    return error?.code === "line-duplicate-id" ? duplicateKey(id, error.line) : id;
  } catch {
    return undefined;
  }
}

/** No text of a file has a zero character in it unescaped, and no identity of a line begins with one by chance. */
export function duplicateKey(customId: string, number: number): string {
  return `\0${number}\0${customId}`;
}

/** What is wrong with a line, as its result says it. */
export function lineError(error: unknown, line: number): BatchLineError {
  if (!isJaugeError(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return { code: "unexpected", message, line, param: null };
  }
  const field = (error.facts as { field?: unknown }).field;
  return {
    code: error.code,
    message: `${error.message}. ${error.fix}`.trim(),
    line,
    param: typeof field === "string" ? field : null,
  };
}

function generated(
  { kind, results, tokenBytes }: Extract<BatchOutcome["outcome"], { results: readonly GenerationResult[] }>,
  hash: string,
  model: string,
  created: number,
): ResponseBody {
  // Of several choices, the prompt counts once.
  const { promptTokens, cachedPromptTokens } = results[0]!.stats;
  const generatedTokens = results.reduce((sum, { stats }) => sum + stats.generatedTokens, 0);
  const usage: Usage = {
    prompt_tokens: promptTokens,
    completion_tokens: generatedTokens,
    total_tokens: promptTokens + generatedTokens,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
  };
  const bytesOf = (token: number) => tokenBytes?.get(token) ?? new Uint8Array(0);
  if (kind === "chat") {
    return {
      id: `chatcmpl-${hash}`,
      object: "chat.completion",
      created,
      model,
      choices: results.map(({ text, finishReason, logprobs }, index) => ({
        index,
        message: { role: "assistant" as const, content: text, refusal: null },
        finish_reason: finishReasons[finishReason],
        logprobs: logprobs
          ? { content: logprobs.map((one) => chatLogprob(one, bytesOf)), refusal: null }
          : null,
      })),
      usage,
    };
  }
  return {
    id: `cmpl-${hash}`,
    object: "text_completion",
    created,
    model,
    choices: results.map(({ text, finishReason, logprobs }, index) => ({
      ...{ index, text, finish_reason: finishReasons[finishReason] },
      logprobs: logprobs ? completionLogprobs(logprobs, bytesOf) : null,
    })),
    usage,
  };
}

const finishReasons: Record<FinishReason, "stop" | "length"> = {
  stop: "stop",
  length: "length",
  context: "length",
  time: "length",
  cancelled: "length",
};

type BytesOf = (token: number) => Uint8Array;

function chatLogprob({ token, logprob, top }: TokenLogprobs, bytesOf: BytesOf): ChatLogprob {
  const textOf = (id: number) => ({ token: decode(bytesOf(id)), bytes: [...bytesOf(id)] });
  return {
    ...textOf(token),
    logprob: finite(logprob),
    top_logprobs: top.map((other) => ({ ...textOf(other.token), logprob: finite(other.logprob) })),
  };
}

function completionLogprobs(logprobs: readonly TokenLogprobs[], bytesOf: BytesOf): CompletionLogprobs {
  const tokens = logprobs.map(({ token }) => decode(bytesOf(token)));
  let offset = 0;
  return {
    tokens,
    token_logprobs: logprobs.map(({ logprob }) => finite(logprob)),
    top_logprobs: logprobs.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [decode(bytesOf(token)), finite(logprob)])),
    ),
    text_offset: tokens.map((text) => {
      const start = offset;
      offset += text.length;
      return start;
    }),
  };
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

/** JSON has no infinity: a token that cannot be has the API's value for it. */
function finite(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : -9999;
}

function timingOf({ outcome, totalMs }: BatchOutcome): BatchTiming {
  // The first choice is the one that reads the prompt.
  const stats = "results" in outcome ? outcome.results[0]!.stats : undefined;
  const rounded = (value: number | null | undefined) => (value == null ? null : Math.round(value * 10) / 10);
  return {
    total_ms: Math.round(totalMs * 10) / 10,
    first_token_ms: rounded(stats?.timeToFirstTokenMs),
    prompt_tokens_per_second: rounded(stats?.promptTokensPerSecond),
    tokens_per_second: rounded(stats?.generationTokensPerSecond),
  };
}

/** Nine digits are all that a 32-bit number has. */
function float32(value: number): number {
  return Number(value.toPrecision(9));
}

/** Little-endian 32-bit numbers, as the API gives them. */
function base64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (let index = 0; index < vector.length; index++) bytes.writeFloatLE(vector[index]!, index * 4);
  return bytes.toString("base64");
}
