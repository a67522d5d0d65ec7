import type { Engine } from "../engine/engine.js";
import type { MemoryOperation, Piece, Run, StepResult, TokenLogprobs } from "../engine/protocol.js";
import { isJaugeError, JaugeError } from "../errors.js";
import type { Generation, GenerationRequest } from "./request.js";
import { nextStepIsKnown, type SchedulerOptions, scheduleRuns } from "./scheduler.js";
import { priorityRank, Sequence } from "./sequence.js";
import { SlotTable } from "./slots.js";
import { Speculator } from "./speculation.js";
import { StepTiming } from "./timing.js";
import { WidthController } from "./width.js";

export interface ExecutorOptions {
  /** Guess tokens by prompt lookup where it pays; never changes a text. */
  speculation?: boolean;
  /**
   * Compute every token of a sequence in micro-batches that depend on the sequence alone: no shared beginnings, no
   * speculation, and what is computed again is computed as it was the first time. With one sequence at a time, a text then
   * depends on nothing but its request.
   */
  exact?: boolean;
}

/** Fewer shared tokens than this are not worth waiting for. */
const leastToWaitFor = 32;
/** Times a host may die in a row without a single step done before the requests fail. */
const mostFailures = 3;
/** Rough rate of a copy between KV streams, bytes per millisecond. */
const copyBytesPerMs = 4e6;

/**
 * Runs many requests over one engine. Requests join and leave at any step; a request that shares a beginning
 * with another's tokens in the KV cache continues from there. `waiting` holds those without a slot, `running`
 * those with one; `step` takes one turn: admit, schedule, compute, postprocess.
 */
export class Executor {
  private readonly waiting: Sequence[] = [];
  private running: Sequence[] = [];
  private readonly slots: SlotTable;
  private readonly timing = new StepTiming();
  private readonly width: WidthController;
  private readonly scheduling: SchedulerOptions;
  private readonly plainScheduling: SchedulerOptions;
  private readonly speculator: Speculator | undefined;
  private readonly pieces = new Map<number, Piece>();
  private readonly freedSamplers: number[] = [];
  /** Memory operations for the next step. */
  private operations: MemoryOperation[] = [];
  private readonly changes: (() => Promise<void>)[] = [];
  private nextSampler = 1;
  private nextAdmission = 1;
  /** The host has begun the step that continues all running sequences by one token. */
  private begunAhead = false;
  private failures = 0;
  /** The KV cache overflowed: whoever is let in before a sequence has left would overflow it again. */
  private isCrowded = false;
  private seenRestarts: number;
  private loop: Promise<void> | undefined;
  private isClosed = false;

  constructor(
    private readonly engine: Engine,
    options: ExecutorOptions = {},
  ) {
    const { context, model, memory } = engine.info;
    this.seenRestarts = engine.restarts;
    const kvBytes = memory.reduce((sum, use) => sum + use.kvBytes, 0);
    const copyMs = kvBytes / context.sequences / copyBytesPerMs;
    const layout = engine.plan.kvLayout;
    // Every running sequence gets a token in every micro-batch: no more of them than it has tokens.
    const count = Math.min(context.sequences, context.microBatch);
    this.width = new WidthController(count);
    this.slots = new SlotTable({
      count,
      layout,
      wholeOnly: model.isRecurrent,
      sharing: !options.exact,
      leastToCopy: () => Math.max(4, this.timing.prefillTokensIn(copyMs) ?? 16),
    });
    this.speculator =
      options.speculation !== false && !options.exact && !model.isRecurrent
        ? new Speculator(this.timing)
        : undefined;
    this.scheduling = {
      microBatch: context.microBatch,
      outputs: context.outputs,
      contextLength: this.contextLength,
      speculator: this.speculator,
      timing: this.timing,
      exact: options.exact ?? false,
    };
    this.plainScheduling = { ...this.scheduling, speculator: undefined };
  }

  /** Most tokens of one sequence, prompt and answer together. */
  get contextLength(): number {
    return Math.min(this.engine.plan.contextLength, this.engine.info.context.length);
  }

  /** Requests that are not finished. */
  get load(): { running: number; waiting: number } {
    return { running: this.running.length, waiting: this.waiting.length };
  }

  /**
   * Takes a request in. Its result fails with `request-too-long`, `token-unknown`, `prompt-empty`, `grammar-invalid`, `embeddings-only`, or
   * `host-crashed` where the engine cannot be kept alive.
   */
  submit(request: GenerationRequest): Generation {
    const sequence = new Sequence(request, () => this.wake());
    const refusal = this.refuse(request);
    if (refusal) sequence.fail(refusal);
    else if (request.continueFrom?.tokens.length) void this.submitContinued(sequence);
    else if (sequence.needsSampler) void this.submitWithSampler(sequence);
    else this.enqueue(sequence);
    return sequence;
  }

  /** Ends all requests and takes no more. The engine is left to whoever opened it. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const sequence of [...this.waiting, ...this.running]) sequence.cancel();
    await this.loop;
  }

  private refuse(request: GenerationRequest): JaugeError | undefined {
    const { length } = request.tokens;
    if (this.isClosed) return new JaugeError("host-closed", {});
    if (this.engine.plan.embeddings) return new JaugeError("embeddings-only", {});
    if (length === 0) return new JaugeError("prompt-empty", {});
    const { vocabularySize } = this.engine.info.model;
    const isUnknown = (token: number) => token < 0 || token >= vocabularySize;
    const unknown = request.tokens.find(isUnknown) ?? request.continueFrom?.tokens.find(isUnknown);
    if (unknown !== undefined) return new JaugeError("token-unknown", { token: unknown, vocabularySize });
    if (length >= this.contextLength) {
      return new JaugeError("request-too-long", { tokens: length, contextLength: this.contextLength });
    }
    return undefined;
  }

  /** The texts of the tokens that are known already come first: stop strings and the caller's text need them. */
  private async submitContinued(sequence: Sequence): Promise<void> {
    try {
      const known = [...new Set(sequence.request.continueFrom!.tokens)];
      const pieces = await this.engine.pieces(known);
      const goesOn = sequence.resume(
        new Map(pieces.map((piece) => [piece.token, piece])),
        this.contextLength,
      );
      if (!goesOn) return;
    } catch (error) {
      return sequence.fail(error);
    }
    if (sequence.needsSampler) return this.submitWithSampler(sequence);
    if (this.isClosed) sequence.cancel();
    this.enqueue(sequence);
  }

  private async submitWithSampler(sequence: Sequence): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.createSampler(sequence);
        break;
      } catch (error) {
        // The host may have died of another cause; a request that kills it each time (a monstrous grammar) fails alone.
        if (!isJaugeError(error, "host-crashed") || attempt === mostFailures) return sequence.fail(error);
        await this.engine.restart().catch(() => {});
      }
    }
    // Closed meanwhile: it is taken in only to be let go.
    if (this.isClosed) sequence.cancel();
    this.enqueue(sequence);
  }

  private async createSampler(sequence: Sequence): Promise<void> {
    const id = this.nextSampler++;
    const history = sequence.tokens.view(0, sequence.promptLength);
    await this.engine.createSampler(id, sequence.sampling, history);
    sequence.samplerId = id;
  }

  private enqueue(sequence: Sequence): void {
    // Within its class first come, first served.
    const place = this.waiting.findIndex(({ rank }) => rank > sequence.rank);
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, sequence);
    this.wake();
  }

  private wake(): void {
    this.loop ??= this.work().finally(() => {
      this.loop = undefined;
      if (this.changes.length > 0 || this.waiting.length > 0 || this.running.length > 0) this.wake();
    });
  }

  private async work(): Promise<void> {
    // Requests submitted in the same turn of the event loop are scheduled together.
    await undefined;
    for (;;) {
      for (const change of this.changes.splice(0)) await change();
      if (this.waiting.length === 0 && this.running.length === 0) return;
      try {
        await this.step();
      } catch (error) {
        await this.recover(error);
      }
    }
  }

  /** One turn. */
  private async step(): Promise<void> {
    if (this.engine.restarts !== this.seenRestarts) await this.startOver();
    this.endCancelled();
    if (this.running.length === 0) this.begunAhead = false;
    // What was begun ahead is finished first: to admit now would throw it away.
    if (!this.begunAhead) this.admit();
    if (this.running.length === 0) return;
    const picked = scheduleRuns(this.running, this.begunAhead ? this.plainScheduling : this.scheduling);
    const all = picked.length === this.running.length;
    const ahead = all && this.canGoAhead && nextStepIsKnown(picked, this.scheduling);
    this.begunAhead = false;
    const result = await this.engine.step({
      memory: this.operations.splice(0),
      freeSamplers: [...this.freedSamplers],
      runs: picked.map(({ run }) => run),
      ahead,
    });
    this.freedSamplers.length = 0;
    this.failures = 0;
    if (result.status === "full") this.makeRoom();
    else this.postprocess(picked, result);
    this.begunAhead = ahead && result.status === "ok" && this.running.length > 0;
  }

  private endCancelled(): void {
    for (const sequence of [...this.waiting.filter(mustEnd), ...this.running.filter(mustEnd)]) {
      this.leave(sequence, () => sequence.finish(sequence.isCancelled ? "cancelled" : "time"));
    }
  }

  /**
   * Lets `change` replace the engine's plan or host between two steps. Running sequences go on afterwards where they
   * were: none loses or repeats a token. The number of sequences, the context and the micro-batch must stay.
   */
  betweenSteps(change: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.changes.push(() => change().then(resolve, reject));
      this.wake();
    });
  }

  /** Whether no one joins in the next step, and what is begun could be undone. */
  private get canGoAhead(): boolean {
    const [next] = this.waiting;
    const someoneMayJoin = next !== undefined && this.hasRoomFor(next);
    return !someoneMayJoin && !this.engine.info.model.isRecurrent;
  }

  /** Gives slots to waiting sequences. */
  private admit(): void {
    for (let index = 0; index < this.waiting.length; ) {
      const sequence = this.waiting[index]!;
      if ((!this.hasRoomFor(sequence) || this.isCrowded) && !this.preemptFor(sequence)) break;
      if (this.shouldWaitForPrefix(sequence)) {
        index++;
        continue;
      }
      this.waiting.splice(index, 1);
      this.slots.assign(sequence, this.operations);
      sequence.admission = this.nextAdmission++;
      this.running.push(sequence);
    }
    // A gap that nobody may fill now, as no one waits or the width is kept to.
    const staysOpen = this.waiting.length === 0 || this.running.length >= this.width.width;
    if (staysOpen && this.engine.plan.kvLayout === "separate" && !this.engine.info.model.isRecurrent)
      this.slots.compact(this.operations);
  }

  /** A job keeps to the width that is fastest; all others take any free slot. */
  private hasRoomFor({ rank }: Sequence): boolean {
    return this.slots.free > 0 && (rank < priorityRank.batch || this.running.length < this.width.width);
  }

  /** Whether a running sequence is about to compute a beginning that this one shares: computed once, then copied. */
  private shouldWaitForPrefix(sequence: Sequence): boolean {
    const expected = this.slots.longestExpected(sequence);
    return expected - this.slots.longestCached(sequence) >= leastToWaitFor;
  }

  /** Frees a slot for a sequence of a higher class by sending the youngest of the lowest class back to wait. */
  private preemptFor(sequence: Sequence): boolean {
    const victim = this.running.filter(({ rank }) => rank > sequence.rank).sort(youngestFirst)[0];
    if (!victim) return false;
    this.preempt(victim);
    return true;
  }

  /** The KV cache is full: drops what no one runs on, else sends the youngest sequence back to wait. */
  private makeRoom(): void {
    if (this.slots.evict(this.operations)) return;
    const [victim, ...others] = this.running.toSorted(youngestFirst);
    if (!victim) return;
    // Alone and still no room: the cache holds no more of it.
    if (others.length === 0) this.leave(victim, () => victim.finish("context"));
    else {
      const { slotId } = victim;
      this.preempt(victim);
      this.isCrowded = true;
      if (slotId !== undefined) this.slots.drop(slotId, this.operations);
    }
  }

  /** Sends a running sequence back to the head of the queue; its sampler keeps its state. */
  private preempt(sequence: Sequence): void {
    this.running = this.running.filter((other) => other !== sequence);
    this.slots.release(sequence);
    sequence.computed = 0;
    const place = this.waiting.findIndex(({ rank }) => rank >= sequence.rank);
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, sequence);
  }

  private postprocess(picked: { sequence: Sequence; run: Run }[], result: StepResult): void {
    for (const piece of result.pieces) this.pieces.set(piece.token, piece);
    this.observeTiming(picked, result.decodeMs);
    picked.forEach(({ sequence, run }, index) => {
      this.advance(sequence, run, result.chosen[index]!, result.logprobs?.[index]);
    });
  }

  private advance(
    sequence: Sequence,
    run: Run,
    chosen: Int32Array,
    logprobs: TokenLogprobs[] | undefined,
  ): void {
    if (run.mode === "replay") {
      sequence.computed += run.tokens.length;
      if (sequence.pending > 0) {
        sequence.replayFrom = Math.max(sequence.replayFrom ?? 0, sequence.computed);
        return;
      }
      sequence.replayFrom = undefined;
      this.takeChosen(sequence, chosen.subarray(chosen.length - 1), logprobs?.slice(-1));
      return;
    }
    const guessed = run.outputs > 1 ? run.outputs - 1 : 0;
    // Beyond the tokens that were certain, those guessed right are in the cache too.
    sequence.computed += run.tokens.length - guessed + Math.max(0, chosen.length - 1);
    if (guessed > 0) this.speculator?.observe(sequence, guessed, chosen.length - 1);
    this.takeChosen(sequence, chosen, logprobs);
  }

  private takeChosen(sequence: Sequence, chosen: Int32Array, logprobs: TokenLogprobs[] | undefined): void {
    for (let index = 0; index < chosen.length; index++) {
      const goesOn = sequence.take(this.pieces.get(chosen[index]!)!, this.contextLength, logprobs?.[index]);
      if (!goesOn) {
        this.leave(sequence, () => {});
        return;
      }
    }
  }

  private observeTiming(picked: { sequence: Sequence; run: Run }[], ms: number): void {
    const tokens = picked.reduce((sum, { run }) => sum + run.tokens.length, 0);
    const decodesOnly = picked.every(({ run }) => run.mode === "verify" && run.outputs === run.tokens.length);
    if (decodesOnly) {
      this.timing.observeDecode(tokens, ms);
      if (tokens === picked.length) this.width.observe(tokens, ms);
    } else if (tokens >= 16) this.timing.observePrefill(tokens, ms);
  }

  /** Takes a sequence out, wherever it is; what it computed stays to be shared. */
  private leave(sequence: Sequence, finish: () => void): void {
    const place = this.waiting.indexOf(sequence);
    if (place >= 0) this.waiting.splice(place, 1);
    this.running = this.running.filter((other) => other !== sequence);
    if (sequence.slotId !== undefined) this.isCrowded = false;
    this.slots.release(sequence);
    if (sequence.samplerId !== undefined) this.freedSamplers.push(sequence.samplerId);
    sequence.samplerId = undefined;
    finish();
  }

  /** A step failed. Where the host died, or cannot compute any more, a new one takes over. */
  private async recover(error: unknown): Promise<void> {
    const survivable = isJaugeError(error, "host-crashed") || isJaugeError(error, "decode-failed");
    if (!survivable || ++this.failures > mostFailures) return this.failAll(error);
    try {
      await this.engine.restart({ force: isJaugeError(error, "decode-failed") });
    } catch (restartError) {
      this.failAll(restartError);
    }
  }

  /**
   * The host is a new one: its KV cache is empty and it has no samplers. Running sequences wait again, and
   * samplers will go through what was chosen before, so that their state becomes what it was.
   */
  private async startOver(): Promise<void> {
    this.seenRestarts = this.engine.restarts;
    this.begunAhead = false;
    for (const sequence of this.running.toSorted((a, b) => b.admission - a.admission)) this.preempt(sequence);
    this.slots.clear();
    this.isCrowded = false;
    this.operations = [];
    this.freedSamplers.length = 0;
    this.pieces.clear();
    for (const sequence of this.waiting) {
      if (sequence.samplerId === undefined) continue;
      this.freedSamplers.push(sequence.samplerId);
      await this.createSampler(sequence);
      sequence.replayFrom = sequence.generated > 0 ? sequence.promptLength - 1 : undefined;
    }
  }

  private failAll(error: unknown): void {
    for (const sequence of [...this.waiting, ...this.running])
      this.leave(sequence, () => sequence.fail(error));
    // What the KV cache holds is not sure any more.
    this.slots.clear();
    this.operations = [{ kind: "clear" }];
    this.failures = 0;
  }
}

/** The lowest class first, and within it the last admitted: the order in which sequences give way. */
function youngestFirst(a: Sequence, b: Sequence): number {
  return b.rank - a.rank || b.admission - a.admission;
}

function mustEnd(sequence: Sequence): boolean {
  return sequence.isCancelled || sequence.isOverdue;
}
