import type { Piece, TokenLogprobs } from "../engine/protocol.js";
import { isPlainGreedy, type SamplingSettings } from "../engine/sampling.js";
import type {
  Continuation,
  FinishReason,
  Generation,
  GenerationRequest,
  GenerationResult,
  Priority,
} from "./request.js";
import { TextStream } from "./text.js";
import { TokenList } from "./tokens.js";

/** Who comes first. */
export const priorityRank = { interactive: 0, normal: 1, batch: 2 } as const satisfies Record<
  Priority,
  number
>;

/** One request on its way: its tokens, how far the KV cache has them, and what its caller sees. */
export class Sequence implements Generation {
  readonly result: Promise<GenerationResult>;
  /** Prompt, then what was generated. All but the last may be in the KV cache. */
  readonly tokens: TokenList;
  readonly promptLength: number;
  readonly rank: number;
  readonly sampling: SamplingSettings;
  /** Where it runs; undefined while it waits. */
  slotId: number | undefined;
  /** Tokens in the KV cache. */
  computed = 0;
  /** Its sampler in the host; undefined for plain greedy. */
  samplerId: number | undefined;
  /**
   * The sampler was lost with its host: a new one must go through the generated tokens again. The position whose
   * logits it has to see next; undefined where it has seen them all.
   */
  replayFrom: number | undefined;
  /** Order of admission, for pre-emption: the youngest goes first. */
  admission = 0;
  /** Rate at which speculated tokens were right, a moving average. */
  acceptance = 0.5;
  speculated = 0;
  accepted = 0;
  finished = false;

  private readonly stream: TextStream;
  private readonly stopTokens: Set<number>;
  private readonly logprobs: TokenLogprobs[] = [];
  private readonly submittedAt = performance.now();
  private startedAt: number | undefined;
  private firstTokenAt: number | undefined;
  private lastTokenAt = 0;
  private firstCachedTokens: number | undefined;
  /** Tokens of the answer that it began with. */
  private resumed = 0;
  private cancelRequested = false;
  private settle!: { resolve: (result: GenerationResult) => void; reject: (error: unknown) => void };
  private wakeups: (() => void)[] = [];
  private failure: unknown;
  private readonly abort = () => this.cancel();

  constructor(
    readonly request: GenerationRequest,
    private readonly onCancel: () => void,
  ) {
    // Drawn once: a sampler made anew after a crash must draw the same numbers again.
    this.sampling = {
      ...request.sampling,
      seed: request.sampling.seed ?? Math.floor(Math.random() * 0xffff_ffff),
    };
    this.tokens = new TokenList(request.tokens);
    this.promptLength = request.tokens.length;
    this.rank = priorityRank[request.priority ?? "normal"];
    this.stream = new TextStream(request.stop, request.trimStart);
    this.stopTokens = new Set(request.stopTokens);
    this.result = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    // A caller that only iterates sees the failure there; without this, Node would also end the process.
    this.result.catch(() => {});
    request.signal?.addEventListener("abort", this.abort);
    if (request.signal?.aborted) this.cancelRequested = true;
  }

  get needsSampler(): boolean {
    return !isPlainGreedy(this.sampling);
  }

  /** Tokens yet to compute before the next one can be chosen. */
  get pending(): number {
    return this.tokens.length - this.computed;
  }

  get generated(): number {
    return this.tokens.length - this.promptLength;
  }

  get isPrefilling(): boolean {
    return this.pending > 1 || this.replayFrom !== undefined;
  }

  get isCancelled(): boolean {
    return this.cancelRequested;
  }

  get isOverdue(): boolean {
    const { timeLimitMs } = this.request;
    return (
      timeLimitMs !== undefined &&
      this.startedAt !== undefined &&
      performance.now() - this.startedAt >= timeLimitMs
    );
  }

  cancel(): void {
    if (this.finished || this.cancelRequested) return;
    this.cancelRequested = true;
    this.onCancel();
  }

  /** It got a slot where the first `cached` tokens are computed already. */
  admitted(cached: number): void {
    this.startedAt ??= performance.now();
    this.firstCachedTokens ??= cached;
    this.computed = cached;
  }

  get soFar(): Continuation {
    const tokens = this.tokens.view(this.promptLength).slice();
    return { tokens, ...(this.request.logprobs !== undefined && { logprobs: [...this.logprobs] }) };
  }

  /**
   * Takes in the answer's beginning, `request.continueFrom`, by the texts of its tokens; returns whether the generation
   * goes on behind it. A sampler has to go through these tokens, as after the loss of its host.
   */
  resume(pieces: ReadonlyMap<number, Piece>, contextLength: number): boolean {
    const { tokens, logprobs } = this.request.continueFrom!;
    for (let index = 0; index < tokens.length; index++) {
      const goesOn = this.take(pieces.get(tokens[index]!)!, contextLength, logprobs?.[index]);
      if (!goesOn) break;
    }
    this.resumed = this.generated;
    this.firstTokenAt = undefined;
    if (this.needsSampler) this.replayFrom = this.promptLength - 1;
    return !this.finished;
  }

  /** Takes a chosen token; returns whether the generation goes on. */
  take(piece: Piece, contextLength: number, logprobs: TokenLogprobs | undefined): boolean {
    this.lastTokenAt = performance.now();
    this.firstTokenAt ??= this.lastTokenAt;
    if (piece.endOfGeneration || this.stopTokens.has(piece.token)) {
      this.finish("stop");
      return false;
    }
    this.tokens.push(piece.token);
    if (logprobs) this.logprobs.push(logprobs);
    const before = this.stream.text.length;
    if (!piece.control || this.request.special) this.stream.add(piece.bytes);
    if (this.stream.text.length > before) this.wake();
    if (this.stream.stopped) this.finish("stop");
    else if (this.request.maxTokens !== undefined && this.generated >= this.request.maxTokens)
      this.finish("length");
    else if (this.tokens.length >= contextLength) this.finish("context");
    return !this.finished;
  }

  finish(finishReason: FinishReason): void {
    if (this.finished) return;
    this.end();
    this.stream.end();
    this.settle.resolve({
      text: this.stream.text,
      tokens: Array.from(this.tokens.view(this.promptLength)),
      finishReason,
      stats: this.stats(),
      ...(this.request.logprobs === undefined ? {} : { logprobs: this.logprobs }),
    });
    this.wake();
  }

  fail(error: unknown): void {
    if (this.finished) return;
    this.end();
    this.failure = error;
    this.settle.reject(error);
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    let shown = 0;
    for (;;) {
      const { text } = this.stream;
      if (text.length > shown) {
        yield text.slice(shown);
        shown = text.length;
      } else if (this.failure !== undefined) throw this.failure;
      else if (this.finished) return;
      else await new Promise<void>((resolve) => this.wakeups.push(resolve));
    }
  }

  private end(): void {
    this.finished = true;
    this.request.signal?.removeEventListener("abort", this.abort);
  }

  private wake(): void {
    const wakeups = this.wakeups;
    this.wakeups = [];
    for (const wakeup of wakeups) wakeup();
  }

  private stats(): GenerationResult["stats"] {
    const { startedAt, firstTokenAt, generated, resumed } = this;
    const cached = Math.min(this.firstCachedTokens ?? 0, this.promptLength);
    const perSecond = (count: number, from: number | undefined, to: number | undefined) =>
      from === undefined || to === undefined || to <= from || count <= 0
        ? null
        : (count * 1000) / (to - from);
    return {
      promptTokens: this.promptLength,
      cachedPromptTokens: cached,
      promptTokensPerSecond: perSecond(this.promptLength - cached, startedAt, firstTokenAt),
      generatedTokens: generated,
      generationTokensPerSecond: perSecond(generated - resumed - 1, firstTokenAt, this.lastTokenAt),
      timeToFirstTokenMs: firstTokenAt === undefined ? null : firstTokenAt - this.submittedAt,
      speculatedTokens: this.speculated,
      acceptedTokens: this.accepted,
    };
  }
}
