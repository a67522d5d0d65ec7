import { greedy } from "../engine/sampling.js";
import { isJaugeError, JaugeError } from "../errors.js";
import type { Continuation, Generation, GenerationRequest, GenerationResult } from "../executor/request.js";
import type { UnderWay } from "./checkpoints.js";
import { usualAnswer } from "./estimate.js";
import { hash32 } from "./id-set.js";
import { inFieldNames } from "./input/body.js";
import type { BatchModel } from "./model.js";
import type { AnswerOptions, BatchItem, BatchRequest } from "./request.js";
import type { BatchOutcome } from "./result.js";
import { type Schedulable, Schedule } from "./schedule.js";

export interface RunnerOptions {
  /** What the lines do not say. */
  defaults?: AnswerOptions;
  /** A line without a seed draws by this one and its `custom_id`. */
  seed: number;
  /** Requests that wait, prepared, to be put in order; the more, the more of them find shared beginnings. */
  lookAhead?: number;
  /** Tokens that an answer of unknown length is expected to have. */
  expectedTokens?: number;
  /** What an interrupted run had of an answer. */
  continuationOf?: (customId: string, request: GenerationRequest, choice: number) => Continuation | undefined;
  /** Takes a line of the other kind than the first, which is for another run; where absent, that is the line's error. */
  onOtherKind?: () => void;
  /** Nothing is started while this says so: results that wait for an earlier one would fill the memory. */
  isHeldBack?: () => boolean;
}

/** A request that runs; `customId` is its line's. */
export interface RunningRequest {
  customId: string;
  choice: number;
  request: GenerationRequest;
  generation: Generation;
}

/** A line of one choice or several, each a request of its own. */
interface Line {
  item: BatchItem;
  kind: "chat" | "completion";
  readyAt: number;
  /** Of choices that have ended, by their index. */
  answers: { request: GenerationRequest; result: GenerationResult }[];
  /** Choices that have not ended. */
  left: number;
  /** One of its choices failed, and it with it. */
  isOver: boolean;
}

interface Waiting extends Schedulable {
  line: Line;
  choice: number;
  request: GenerationRequest;
  /** The engine died under it so often. */
  crashes: number;
}

interface WaitingEmbedding {
  item: BatchItem;
  texts: Int32Array[];
  encoding: "float" | "base64";
  readyAt: number;
}

/** Texts embedded in one call. */
const textsAtOnce = 64;
/** Prompts that are made at once: the engine makes them between two of its steps. */
const preparingAtOnce = 32;
/** Tokens of all prompts that wait: 64 MB. */
const mostWaitingTokens = 16 << 20;
/** Times the engine may die under one request before it is that request's fault. */
const mostCrashes = 3;

/**
 * Runs requests through a model, many at once: reads them as far ahead as its window, puts them in order, keeps the
 * engine's queue fed, and gives each outcome as it comes. Whatever a line asks for, its failure is its own outcome; where the
 * engine cannot be kept alive at all, the run ends with its error.
 */
export class Runner {
  /** Submitted to the model. */
  private readonly running = new Map<Waiting, RunningRequest>();
  /** Lines of which some choices have ended, not all. */
  private readonly partial = new Set<Line>();
  private readonly schedule: Schedule<Waiting>;
  private readonly embeddings: WaitingEmbedding[] = [];
  private readonly outcomes: BatchOutcome[] = [];
  private readonly inFlight: number;
  private preparing = 0;
  private embedding = 0;
  private isRead = false;
  private isStopped = false;
  private wasDone = false;
  private kind: "text" | "embedding" | undefined;
  private left: UnderWay[] | undefined;
  private failure: { error: unknown } | undefined;
  private wakeups: (() => void)[] = [];

  constructor(
    private readonly model: BatchModel,
    private readonly options: RunnerOptions,
  ) {
    const { sequences } = model.plan;
    // One more than run: the next is there when a sequence ends, and the executor may let one wait for its prefix.
    this.inFlight = sequences + Math.min(sequences, 16);
    this.schedule = new Schedule({
      mostRequests: options.lookAhead ?? Math.min(1024, Math.max(256, 16 * sequences)),
      mostTokens: mostWaitingTokens,
    });
  }

  /** Requests that have a sequence: of those that were submitted, a few are there to follow. */
  get runningNow(): number {
    return Math.min(this.running.size, this.model.plan.sequences);
  }

  private get unsubmitted(): number {
    return this.schedule.size + this.preparing + this.embeddings.length;
  }

  /** What the answers that run have; once stopped, what they had then. */
  get underWay(): UnderWay[] {
    return (
      this.left ?? [...[...this.running.values()].map(underWay), ...[...this.partial].flatMap(endedChoices)]
    );
  }

  /** Of answers that run, and of choices that wait for others of their line. */
  get tokensUnderWay(): number {
    let tokens = 0;
    for (const { generation } of this.running.values()) tokens += generation.soFar.tokens.length;
    for (const { answers } of this.partial)
      for (const answer of answers) tokens += answer?.result.tokens.length ?? 0;
    return tokens;
  }

  /** Whether it was stopped before everything was answered. */
  get isCut(): boolean {
    return this.isStopped && !this.wasDone;
  }

  /** Ends everything that runs. */
  stop(): void {
    if (this.isStopped) return;
    this.wasDone = this.isDone && this.outcomes.length === 0;
    this.isStopped = true;
    this.left = this.underWay;
    for (const { generation } of this.running.values()) generation.cancel();
    this.wake();
  }

  /** Something that `isHeldBack` depends on has changed. */
  wake(): void {
    const wakeups = this.wakeups;
    this.wakeups = [];
    for (const wakeup of wakeups) wakeup();
  }

  async *run(
    items: AsyncIterable<BatchItem> | Iterable<BatchItem>,
  ): AsyncGenerator<BatchOutcome, void, void> {
    // Not waited for at the end: it may wait itself, for a line of standard input that never comes.
    void this.read(items).catch((error: unknown) => this.fail(error));
    try {
      for (;;) {
        this.start();
        const outcome = this.outcomes.shift();
        if (outcome) {
          this.wake();
          yield outcome;
        } else if (this.isStopped) return;
        else if (this.failure) throw this.failure.error;
        else if (this.isDone) return;
        else await this.change();
      }
    } finally {
      this.stop();
    }
  }

  private get isDone(): boolean {
    return this.isRead && this.unsubmitted === 0 && this.running.size === 0 && this.embedding === 0;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.wakeups.push(resolve));
  }

  private async read(items: AsyncIterable<BatchItem> | Iterable<BatchItem>): Promise<void> {
    for await (const item of items) {
      if (this.isStopped) return;
      const { request } = item;
      if (request instanceof Error) this.end(item, { kind: "error", error: request }, performance.now());
      else if (this.isOtherKind(request)) {
        const error = new JaugeError("line-other-kind", { kind: request.kind });
        if (this.options.onOtherKind) this.options.onOtherKind();
        else this.end(item, { kind: "error", error }, performance.now());
      } else {
        this.preparing++;
        this.prepare(item, request)
          .catch((error: unknown) => {
            // No line's fault, and the same for all that follow.
            if (isJaugeError(error, "host-closed")) this.fail(error);
            else this.end(item, { kind: "error", error: inFieldNames(error) }, performance.now());
          })
          .finally(() => {
            this.preparing--;
            this.wake();
          });
      }
      while (this.isFull && !this.isStopped) await this.change();
    }
    this.isRead = true;
    this.wake();
  }

  private get isFull(): boolean {
    return (
      this.schedule.isFull ||
      this.preparing >= preparingAtOnce ||
      this.embeddings.length >= 4 * textsAtOnce ||
      this.outcomes.length >= 4 * textsAtOnce
    );
  }

  /** The first request says what a job is of. */
  private isOtherKind({ kind }: BatchRequest): boolean {
    const wanted = kind === "embedding" ? "embedding" : "text";
    this.kind ??= wanted;
    return this.kind !== wanted;
  }

  private async prepare(item: BatchItem, request: BatchRequest): Promise<void> {
    const readyAt = performance.now();
    if (request.kind === "embedding") {
      const { encoding } = request;
      const texts = await Promise.all(
        request.input.map((text) =>
          typeof text === "string" ? this.model.tokenize(text, { parseSpecial: false }) : text,
        ),
      );
      this.embeddings.push({ item, texts, encoding, readyAt });
      return;
    }
    const { kind, options: given, choices = 1 } = request;
    const options = this.optionsOf(given, item.customId);
    const prompt = kind === "chat" ? request.messages : request.prompt;
    const prepared = await this.model.prepare(prompt, options);
    const { tokens, maxTokens, sampling } = prepared;
    const expectedTokens = maxTokens ?? this.options.expectedTokens ?? usualAnswer;
    const line: Line = { item, kind, readyAt, answers: [], left: choices, isOver: false };
    for (let choice = 0; choice < choices; choice++) {
      // Each draws by a seed of its own; what they have in common is computed once.
      const seed = (options.seed! + choice) % 0xffff_ffff;
      const own = choice === 0 ? prepared : { ...prepared, sampling: { ...sampling, seed } };
      this.schedule.add({ line, choice, request: own, tokens, expectedTokens, crashes: 0 });
    }
  }

  private optionsOf(given: AnswerOptions, customId: string): AnswerOptions {
    const options: AnswerOptions = { ...this.options.defaults, ...given };
    // A line's own form of answer takes the place of the job's.
    if (given.grammar !== undefined) delete options.jsonSchema;
    if (given.jsonSchema !== undefined) delete options.grammar;
    // The job's seed among the defaults is for no line by itself: all of them would draw the same numbers.
    options.seed = given.seed ?? hash32(`${this.options.seed}\0${customId}`) % 0xffff_ffff;
    options.priority = "batch";
    return options;
  }

  private start(): void {
    if (this.isStopped || this.failure) return;
    if (this.options.isHeldBack?.()) {
      // What everything waits for is the oldest: it runs, or nothing does.
      let oldest = this.running.size === 0 ? this.schedule.takeOldest() : undefined;
      while (oldest?.line.isOver) oldest = this.schedule.takeOldest();
      if (oldest) this.submit(oldest);
      return;
    }
    while (this.running.size < this.inFlight) {
      const waiting = this.schedule.take();
      if (!waiting) break;
      if (!waiting.line.isOver) this.submit(waiting);
    }
    const isEnough = this.embeddings.length >= textsAtOnce || (this.isRead && this.preparing === 0);
    if (this.embedding === 0 && this.embeddings.length > 0 && (isEnough || this.preparing === 0)) {
      this.embedding++;
      void this.embed(this.embeddings.splice(0, textsAtOnce)).finally(() => {
        this.embedding--;
        this.wake();
      });
    }
  }

  private submit(waiting: Waiting): void {
    const { line, choice, request: prepared } = waiting;
    const { customId } = line.item;
    const continueFrom = this.options.continuationOf?.(customId, prepared, choice);
    const request = continueFrom ? { ...prepared, continueFrom } : prepared;
    const generation = this.model.submit(request);
    this.running.set(waiting, { customId, choice, request: prepared, generation });
    void this.follow(waiting, generation);
  }

  /** One chain of turns for each: there are millions of them. */
  private async follow(waiting: Waiting, generation: Generation): Promise<void> {
    const { line, choice, request } = waiting;
    try {
      const result = await generation.result;
      // What was stopped is no answer.
      if (this.isStopped || result.finishReason === "cancelled" || line.isOver) return;
      line.answers[choice] = { request, result };
      if (--line.left > 0) this.partial.add(line);
      else if (result.logprobs) await this.answered(line);
      else this.endLine(line);
    } catch (error) {
      await this.failed(waiting, error);
    } finally {
      this.running.delete(waiting);
      this.wake();
    }
  }

  /** With the bytes of its tokens, for their probabilities. */
  private async answered(line: Line): Promise<void> {
    this.endLine(line, await this.bytesOf(line.answers.flatMap(({ result }) => result.logprobs ?? [])));
  }

  private endLine(line: Line, tokenBytes?: ReadonlyMap<number, Uint8Array>): void {
    const { item, kind, readyAt, answers } = line;
    this.partial.delete(line);
    const results = answers.map(({ result }) => result);
    this.end(item, { kind, results, ...(tokenBytes && { tokenBytes }) }, readyAt);
  }

  private async bytesOf(
    logprobs: readonly { token: number; top: readonly { token: number }[] }[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const tokens = new Set(logprobs.flatMap(({ token, top }) => [token, ...top.map((other) => other.token)]));
    const bytes = await this.model.tokenBytes([...tokens]);
    return new Map([...tokens].map((token, index) => [token, bytes[index]!]));
  }

  /**
   * Where the engine died, the request is tried again. One that fails again and again is to blame itself if the engine
   * can still answer at all.
   */
  private async failed(waiting: Waiting, error: unknown): Promise<void> {
    const { line } = waiting;
    if (this.isStopped || line.isOver) return;
    const isEngines = isEngineFailure(error);
    if (isEngines && ++waiting.crashes < mostCrashes) this.schedule.add(waiting);
    else if (isEngines && !(await this.canAnswer(waiting.request))) this.fail(error);
    else if (!line.isOver) this.abandon(line, error);
  }

  /** A line fails with one of its choices: the others end, too. */
  private abandon(line: Line, error: unknown): void {
    line.isOver = true;
    this.partial.delete(line);
    for (const [waiting, { generation }] of this.running) if (waiting.line === line) generation.cancel();
    this.end(line.item, { kind: "error", error }, line.readyAt);
  }

  /** Whether the least that can be asked is answered. */
  private async canAnswer({ tokens }: GenerationRequest): Promise<boolean> {
    const least = { tokens: tokens.slice(0, 1), sampling: greedy, maxTokens: 1 };
    const answer = this.model.submit({ ...least, priority: "batch" }).result;
    return await answer.then(
      () => true,
      () => false,
    );
  }

  private async embed(group: WaitingEmbedding[]): Promise<void> {
    try {
      const vectors = await this.model.embed(group.flatMap(({ texts }) => texts));
      let start = 0;
      for (const { item, texts, encoding, readyAt } of group) {
        const own = vectors.slice(start, start + texts.length);
        start += texts.length;
        const tokens = texts.reduce((sum, text) => sum + text.length, 0);
        this.end(item, { kind: "embedding", vectors: own, tokens, encoding }, readyAt);
      }
    } catch (error) {
      if (isEngineFailure(error)) this.fail(error);
      else if (group.length === 1) this.end(group[0]!.item, { kind: "error", error }, group[0]!.readyAt);
      // One of them is to blame.
      else for (const one of group) await this.embed([one]);
    }
  }

  private end(item: BatchItem, outcome: BatchOutcome["outcome"], since: number): void {
    const { number, customId } = item;
    this.outcomes.push({ number, customId, outcome, totalMs: performance.now() - since });
    this.wake();
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    this.wake();
  }
}

function underWay({ customId, choice, request, generation }: RunningRequest): UnderWay {
  return { customId, choice, request, soFar: generation.soFar };
}

function endedChoices({ item, answers }: Line): UnderWay[] {
  return answers.flatMap(({ request, result }, choice) => ({
    ...{ customId: item.customId, choice, request },
    soFar: {
      tokens: Int32Array.from(result.tokens),
      ...(result.logprobs && { logprobs: result.logprobs }),
    },
  }));
}

/** Nothing that a line asks for: the engine's host died, or the model cannot compute. */
function isEngineFailure(error: unknown): boolean {
  return (
    isJaugeError(error, "host-crashed") ||
    isJaugeError(error, "host-closed") ||
    isJaugeError(error, "decode-failed") ||
    isJaugeError(error, "out-of-memory")
  );
}
