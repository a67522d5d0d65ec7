import type { AnswerOptions, BatchItem, BatchRequest } from "./request.js";

/** What a job will take, before anything runs. */
export interface JobEstimate {
  lines: number;
  /** Lines that cannot be read. */
  badLines: number;
  /** Whether it is a job of embeddings, as its first line says; lines of the other kind count as read, not as tokens. */
  isEmbedding: boolean;
  otherKindLines: number;
  /** Answers of all lines, or texts to embed: lines may ask for several choices. */
  requests: number;
  /** Lines that were measured; the others are taken for like them. */
  sampledLines: number;
  promptTokens: number;
  outputTokens: number;
  /** Of the prompt's tokens, those that the line before has too when lines with a common beginning go together. */
  sharedTokens: number;
  /** Whether every line has a limit to its answer. */
  areLimited: boolean;
  /** Prompt and answer of the longest line, or of one that is nearly as long; of embeddings, the longest text. */
  longestTokens: number;
}

/** Tokens of an answer whose length nothing limits, where the person does not say what to expect. */
export const usualAnswer = 256;
/** Lines whose tokens are counted. */
const sampleSize = 512;
/** Shorter common beginnings are computed again. */
const leastShared = 32;
/** What a prompt format adds to a message, roughly. */
const tokensAroundMessage = 6;

/** The lines of an input, counted, and the tokens of a sample of them. */
export interface MeasuredLines
  extends Pick<JobEstimate, "lines" | "badLines" | "otherKindLines" | "isEmbedding" | "areLimited"> {
  sample: MeasuredLine[];
  /** Those that may be the longest. */
  longest: MeasuredLine[];
}

interface MeasuredLine {
  /** Of its prompt, or of the first of its texts to embed. */
  tokens: Int32Array;
  /** Of all its texts together, and of the longest of them. */
  promptTokens: number;
  longestPrompt: number;
  /** As the line or the job limits it, else as many as are expected. */
  answerTokens: number;
  choices: number;
}

/**
 * Reads a whole input once and counts the tokens of a sample of its lines, drawn evenly (reservoir sampling, algorithm R of
 * Vitter 1985; the draws are those of `random`).
 */
export async function measureLines(
  items: AsyncIterable<BatchItem>,
  tokenize: (text: string) => Promise<Int32Array>,
  options: {
    defaults: AnswerOptions;
    expectedTokens: number;
    /** What the job is of, where that is known already. */
    kind?: "text" | "embedding";
    random?: () => number;
  },
): Promise<MeasuredLines> {
  const { random = Math.random } = options;
  const sample: BatchRequest[] = [];
  // Of the most text, and with its answer of the most tokens as far as characters tell.
  const longest = { text: new Longest(), whole: new Longest() };
  let areLimited = true;
  let lines = 0;
  let badLines = 0;
  let isEmbedding = options.kind && options.kind === "embedding";
  let otherKindLines = 0;
  for await (const { request } of items) {
    lines++;
    if (request instanceof Error) {
      badLines++;
      continue;
    }
    isEmbedding ??= request.kind === "embedding";
    if (isEmbedding !== (request.kind === "embedding")) otherKindLines++;
    else {
      const characters = charactersOf(request);
      const answer = answerTokens(request, options);
      longest.text.offer(request, characters);
      longest.whole.offer(request, characters / 4 + answer.tokens);
      areLimited &&= answer.isLimited;
      const place = Math.floor(random() * (lines - badLines - otherKindLines));
      if (sample.length < sampleSize) sample.push(request);
      else if (place < sampleSize) sample[place] = request;
    }
  }
  const measured = async (request: BatchRequest): Promise<MeasuredLine> => {
    const { tokens, count, longest: longestPrompt } = await promptTokens(request, tokenize);
    const choices = ("choices" in request && request.choices) || 1;
    const { tokens: most } = answerTokens(request, options);
    return { tokens, promptTokens: count, longestPrompt, answerTokens: most, choices };
  };
  const candidates = Object.values(longest).flatMap(({ request }) => request ?? []);
  return {
    ...{ lines, badLines, otherKindLines, areLimited, isEmbedding: isEmbedding ?? false },
    sample: await Promise.all(sample.map(measured)),
    longest: await Promise.all(candidates.map(measured)),
  };
}

/** What measured lines take where a context holds so many tokens: an answer ends with it, whatever its limit. */
export function estimateOf(
  { sample, longest, ...counts }: MeasuredLines,
  contextLength = Number.POSITIVE_INFINITY,
): JobEstimate {
  const { lines, badLines, otherKindLines, isEmbedding } = counts;
  const answerOf = ({ answerTokens, longestPrompt }: MeasuredLine) =>
    Math.min(answerTokens, Math.max(0, contextLength - longestPrompt));
  const sum = (of: (line: MeasuredLine) => number) => sample.reduce((total, line) => total + of(line), 0);
  const scale = sample.length === 0 ? 0 : (lines - badLines - otherKindLines) / sample.length;
  const shared = isEmbedding ? 0 : sharedTokens(sample.map(({ tokens }) => tokens));
  const again = sum(({ promptTokens, choices }) => promptTokens * (choices - 1));
  return {
    ...{ ...counts, sampledLines: sample.length },
    requests: Math.round(scale * sum(({ choices }) => choices)),
    promptTokens: Math.round(scale * (again + sum(({ promptTokens }) => promptTokens))),
    outputTokens: Math.round(scale * sum((line) => answerOf(line) * line.choices)),
    // A group of the sample is a larger one in the job: all but its first share, and the sample has one first too.
    // Other choices of a line have all of its prompt in common.
    sharedTokens: Math.round(scale * (shared + again)),
    longestTokens: Math.max(0, ...[...sample, ...longest].map((line) => line.longestPrompt + answerOf(line))),
  };
}

/** The longest of the requests that were offered. */
class Longest {
  request: BatchRequest | undefined;
  private length = -1;

  offer(request: BatchRequest, length: number): void {
    if (length <= this.length) return;
    this.request = request;
    this.length = length;
  }
}

/** Of its prompt, or of the longest of its texts; a token counts as four, its usual share of a text. */
function charactersOf(request: BatchRequest): number {
  if (request.kind === "chat") return request.messages.reduce((sum, { content }) => sum + content.length, 0);
  const texts = request.kind === "completion" ? [request.prompt] : request.input;
  return texts.reduce((most, text) => Math.max(most, text.length * (typeof text === "string" ? 1 : 4)), 0);
}

/** Seconds that the tokens take at a plan's speeds. */
export function estimatedSeconds(
  { promptTokens, sharedTokens, outputTokens }: JobEstimate,
  speed: { prefillTokensPerSecond: number; decodeTokensPerSecond: number },
): number {
  return (
    (promptTokens - sharedTokens) / speed.prefillTokensPerSecond + outputTokens / speed.decodeTokensPerSecond
  );
}

async function promptTokens(
  request: BatchRequest,
  tokenize: (text: string) => Promise<Int32Array>,
): Promise<{ tokens: Int32Array; count: number; longest: number }> {
  if (request.kind === "chat") {
    const tokens = await tokenize(request.messages.map(({ content }) => content).join("\n"));
    const count = tokens.length + tokensAroundMessage * request.messages.length;
    return { tokens, count, longest: count };
  }
  const texts = request.kind === "completion" ? [request.prompt] : request.input;
  const all = await Promise.all(texts.map((text) => (typeof text === "string" ? tokenize(text) : text)));
  const lengths = all.map(({ length }) => length);
  const count = lengths.reduce((total, length) => total + length, 0);
  return { tokens: all[0]!, count, longest: lengths.reduce((most, length) => Math.max(most, length), 0) };
}

function answerTokens(
  request: BatchRequest,
  { defaults, expectedTokens }: { defaults: AnswerOptions; expectedTokens: number },
): { tokens: number; isLimited: boolean } {
  if (request.kind === "embedding") return { tokens: 0, isLimited: true };
  const limit = request.options.maxTokens ?? defaults.maxTokens;
  return { tokens: limit ?? expectedTokens, isLimited: limit !== undefined };
}

/** Tokens that each prompt shares with the one before it, when they are sorted. */
function sharedTokens(prompts: Int32Array[]): number {
  const sorted = prompts.toSorted(compareTokens);
  let shared = 0;
  for (let index = 1; index < sorted.length; index++) {
    const common = commonBeginning(sorted[index - 1]!, sorted[index]!);
    if (common >= leastShared) shared += common;
  }
  return shared;
}

function commonBeginning(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

function compareTokens(a: Int32Array, b: Int32Array): number {
  const place = commonBeginning(a, b);
  return (a[place] ?? -1) - (b[place] ?? -1);
}
