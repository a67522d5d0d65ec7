import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { z } from "zod";
import type { TokenLogprobs } from "../engine/protocol.js";
import type { Continuation, GenerationRequest } from "../executor/request.js";
import { linesOf } from "./input/lines.js";
import { writeFailed } from "./write-failed.js";

/** What a file of checkpoints says of one line: a part of its answer, or all of its result, which waits for its turn. */
type RecordLine =
  | {
      custom_id: string;
      /** Of a line that has several; 0 where absent. */
      choice?: number | undefined;
      request: string;
      from: number;
      tokens: number[];
      logprobs?: TokenLogprobs[] | undefined;
    }
  | { custom_id: string; result: string };

const logprobsSchema = z.object({
  token: z.int(),
  logprob: z.number(),
  top: z.array(z.object({ token: z.int(), logprob: z.number() })),
});
/** No line has more choices than the API allows. */
const mostChoice = 127;
const recordSchema: z.ZodType<RecordLine> = z.union([
  z.object({ custom_id: z.string(), result: z.string() }),
  z.object({
    custom_id: z.string(),
    choice: z.int().min(0).max(mostChoice).optional(),
    request: z.string(),
    from: z.int().min(0),
    tokens: z.array(z.int().min(0)),
    logprobs: z.array(logprobsSchema).optional(),
  }),
]);

interface Saved {
  request: string;
  tokens: number[];
  logprobs: TokenLogprobs[];
}

/** By choice. */
type Choices<T> = Map<number, T>;

/** Answers under way, for the next checkpoint. */
export interface UnderWay {
  customId: string;
  /** Which of its line's answers. */
  choice: number;
  request: GenerationRequest;
  soFar: Continuation;
}

/** Fewer new tokens than this are generated again sooner than they are written. */
export const leastNewTokens = 32;
/** The file is written anew when it has grown to this beyond twice what is needed. */
const slackBytes = 4 << 20;
/** A result with embeddings is the longest line. */
const mostRecordBytes = 256 << 20;

/**
 * `OUTPUT.partial`: what running answers have so far, so that an interrupted job goes on behind their last tokens, and
 * results that wait for an earlier one in an ordered job. Each record adds to what is known of its line; a torn or
 * unknown one says nothing. What is lost of this file is computed again, and is never wrong: a record counts only for the
 * very request that it was made for.
 */
export class Checkpoints {
  /** Results that were ready but not in the output, by `custom_id`. */
  readonly held = new Map<string, string>();
  private readonly saved = new Map<string, Choices<Saved>>();
  /** Tokens on the disk of each answer under way. */
  private readonly written = new Map<string, Choices<number>>();
  private file: FileHandle | undefined;
  private working = Promise.resolve();
  private bytes = 0;
  private neededBytes = 0;

  private constructor(private readonly path: string) {}

  /** Reads what an interrupted job left of lines that are not `finished`. Errors: `batch-write-failed`. */
  static async open(path: string, isFinished: (customId: string) => boolean): Promise<Checkpoints> {
    const checkpoints = new Checkpoints(path);
    if (!existsSync(path)) return checkpoints;
    for await (const { text } of linesOf(createReadStream(path), mostRecordBytes))
      checkpoints.restore(text, isFinished);
    await checkpoints.rewrite();
    return checkpoints;
  }

  /** Whether nothing of any answer is known. */
  get isEmpty(): boolean {
    return this.saved.size === 0 && this.held.size === 0;
  }

  /** What is known of the answer to a request. */
  continuationOf(customId: string, request: GenerationRequest, choice = 0): Continuation | undefined {
    const saved = this.saved.get(customId)?.get(choice);
    if (!saved || saved.request !== fingerprint(request) || saved.tokens.length === 0) return undefined;
    const { tokens, logprobs } = saved;
    return {
      tokens: Int32Array.from(tokens),
      ...(request.logprobs !== undefined && { logprobs }),
    };
  }

  /** Adds what answers have gained since the last time, where it is worth it. Errors: `batch-write-failed`. */
  async save(answers: Iterable<UnderWay>, least = leastNewTokens): Promise<void> {
    const lines: string[] = [];
    for (const { customId, choice, request, soFar } of answers) {
      const from =
        this.written.get(customId)?.get(choice) ?? this.saved.get(customId)?.get(choice)?.tokens.length ?? 0;
      if (soFar.tokens.length - from < Math.max(1, least)) continue;
      const tokens = [...soFar.tokens.subarray(from)];
      const logprobs = soFar.logprobs?.slice(from).map(finiteLogprobs);
      lines.push(
        JSON.stringify({
          ...{ custom_id: customId, ...(choice > 0 && { choice }) },
          ...{ request: fingerprint(request), from, tokens },
          ...(logprobs && { logprobs }),
        }),
      );
      choicesOf(this.written, customId).set(choice, soFar.tokens.length);
      this.remember({ custom_id: customId, choice, request: fingerprint(request), from, tokens, logprobs });
    }
    await this.append(lines);
  }

  /** Keeps a result that may not be in the output yet. Errors: `batch-write-failed`. */
  async hold(customId: string, result: string): Promise<void> {
    this.held.set(customId, result);
    await this.append([JSON.stringify({ custom_id: customId, result })]);
  }

  /** The line is in the output: nothing of it is needed any more. */
  forget(customId: string): void {
    this.saved.delete(customId);
    this.written.delete(customId);
    this.held.delete(customId);
  }

  async sync(): Promise<void> {
    await this.attempt(async () => this.file?.datasync());
  }

  /** Keeps the file for the next run, or removes it where the job is complete. */
  async close({ isComplete }: { isComplete: boolean }): Promise<void> {
    await this.working;
    await this.file?.close();
    this.file = undefined;
    if (!isComplete) return;
    await rm(this.path, { force: true });
    await rm(`${this.path}.tmp`, { force: true });
  }

  private restore(text: string, isFinished: (customId: string) => boolean): void {
    let record: RecordLine;
    try {
      record = recordSchema.parse(JSON.parse(text));
    } catch {
      return;
    }
    const { custom_id: customId } = record;
    if (isFinished(customId)) return;
    if ("result" in record) this.held.set(customId, record.result);
    else this.remember(record);
  }

  private remember(record: Exclude<RecordLine, { result: string }>): void {
    const { custom_id, choice = 0, request, from, tokens, logprobs } = record;
    const choices = choicesOf(this.saved, custom_id);
    let saved = choices.get(choice);
    if (!saved || saved.request !== request || from === 0) {
      // Its beginning is not known.
      if (from !== 0) return;
      saved = { request, tokens: [], logprobs: [] };
      choices.set(choice, saved);
    }
    if (saved.tokens.length !== from) return;
    for (const token of tokens) saved.tokens.push(token);
    for (const one of logprobs ?? []) saved.logprobs.push(one);
  }

  private async append(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    if (this.bytes > 2 * this.neededBytes + slackBytes) return await this.rewrite();
    await this.attempt(async () => {
      this.file ??= await open(this.path, "a", 0o644);
      const bytes = Buffer.from(`${lines.join("\n")}\n`);
      await this.file.appendFile(bytes);
      this.bytes += bytes.length;
    });
  }

  /** Writes what is needed to a new file, which takes the old one's place. */
  private async rewrite(): Promise<void> {
    await this.attempt(async () => {
      const lines: string[] = [];
      for (const [custom_id, choices] of this.saved)
        for (const [choice, { request, tokens, logprobs }] of choices)
          lines.push(
            JSON.stringify({
              ...{ custom_id, ...(choice > 0 && { choice }) },
              ...{ request, from: 0, tokens },
              ...(logprobs.length > 0 && { logprobs }),
            }),
          );
      for (const [custom_id, result] of this.held) lines.push(JSON.stringify({ custom_id, result }));
      const temporary = `${this.path}.tmp`;
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const file = await open(temporary, "w", 0o644);
      try {
        await file.writeFile(bytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.file?.close();
      this.file = undefined;
      await rename(temporary, this.path);
      this.bytes = bytes.length;
      this.neededBytes = bytes.length;
    });
  }

  /** One after another: a file that is being written anew is not the one to append to. */
  private attempt(task: () => Promise<void>): Promise<void> {
    const current = this.working.then(task).catch((cause: unknown) => {
      throw writeFailed(this.path, cause);
    });
    this.working = current.catch(() => {});
    return current;
  }
}

function choicesOf<T>(answers: Map<string, Choices<T>>, customId: string): Choices<T> {
  let choices = answers.get(customId);
  if (!choices) {
    choices = new Map();
    answers.set(customId, choices);
  }
  return choices;
}

/** JSON has no infinity; samplers that exclude tokens give them this. */
function finiteLogprobs({ token, logprob, top }: TokenLogprobs): TokenLogprobs {
  const finite = (value: number) => (Number.isFinite(value) ? value : -Number.MAX_VALUE);
  return {
    token,
    logprob: finite(logprob),
    top: top.map((other) => ({ token: other.token, logprob: finite(other.logprob) })),
  };
}

/** Says whether two requests have the same answer. */
function fingerprint({ tokens, sampling, stop, trimStart }: GenerationRequest): string {
  return createHash("sha1")
    .update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
    .update(JSON.stringify([sampling, stop, trimStart]))
    .digest("hex");
}
