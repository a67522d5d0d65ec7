import { basename } from "node:path";
import { JaugeError } from "../errors.js";
import { FileLock, type LockErrors } from "../file-lock.js";
import { Checkpoints } from "./checkpoints.js";
import { IdSet } from "./id-set.js";
import type { BatchSource } from "./input/source.js";
import { Journal } from "./journal.js";
import type { BatchModel } from "./model.js";
import { InOrder } from "./ordered.js";
import type { BatchItem } from "./request.js";
import type { BatchOutcome } from "./result.js";
import { duplicateKey, keyOfLine, resultLine } from "./result-line.js";
import { Runner, type RunnerOptions } from "./runner.js";
import {
  cleanSettings,
  differences,
  type JobSettings,
  readSettings,
  settingsPath,
  writeSettings,
} from "./settings.js";
import { writeFailed } from "./write-failed.js";

const lockErrors: LockErrors = {
  held: (path, owner, lock) => new JaugeError("batch-locked", { path, owner, lock }),
  failed: writeFailed,
};

export interface JobOptions {
  source: BatchSource;
  /** The journal: results are appended to it, and what is in it is done. The file itself, as `outputFile` finds it. */
  output: string;
  /** What the answers depend on; a job that was begun with others is refused. */
  settings: JobSettings;
  /** Mix results of other settings into the output. */
  force?: boolean;
  /** Results in the order of the input. */
  ordered?: boolean;
  /** Leave lines of the other kind than the first that is left (texts, embeddings) to a run with another plan. */
  defersOtherKind?: boolean;
  /** End with the first line that fails, and give it no result. */
  failFast?: boolean;
}

export interface JobRun extends Pick<RunnerOptions, "defaults" | "lookAhead" | "expectedTokens"> {
  /** Ends the run: what runs is kept for the next one. */
  signal?: AbortSignal;
  onOutcome?: (outcome: BatchOutcome) => void;
}

/**
 * Where a job is. Counts are lines, except tokens and bytes; those that were read are skipped, deferred, done, failed,
 * running or waiting.
 */
export interface JobProgress {
  /** Of the input so far. */
  read: number;
  readBytes: number;
  /** Undefined for a pipe. */
  totalBytes: number | undefined;
  /** Whether the input was read to its end: `read` are all lines then. */
  isRead: boolean;
  /** The line of a table from which on it cannot be read; absent where all of it can. */
  unreadFrom?: number;
  /** Done by an earlier run. */
  skipped: number;
  /** Left to a run with another plan: `defersOtherKind`. */
  deferred: number;
  done: number;
  failed: number;
  running: number;
  waiting: number;
  /** Prompt tokens of finished lines, and how many of them the KV cache had. */
  promptTokens: number;
  cachedTokens: number;
  /** Tokens of finished answers, and of those under way. */
  outputTokens: number;
}

export interface JobEnd extends JobProgress {
  /** A signal ended it before its time; what ran is kept. */
  isInterrupted: boolean;
  /** Read and left to the next run, with what their answers have so far; none is running or waiting any more. */
  kept: number;
}

interface Settled {
  key: string;
  line: string;
}

/** Tokens of running answers are written to the disk this often, where there are enough new ones. */
const checkpointMs = 1000;

/**
 * A file of requests on its way into a file of results. The output is the journal: a job that is opened again skips
 * what is in it, goes on behind the tokens that running answers had, and so loses at most a second of work, whatever
 * ended it before.
 */
export class Job {
  private readonly seen = new IdSet();
  private readonly items: AsyncGenerator<BatchItem, void, void>;
  private readonly inOrder: InOrder<Settled> | undefined;
  private first: BatchItem | undefined;
  private runner: Runner | undefined;
  private isFailed = false;
  private isComplete = false;
  private readonly counts = {
    ...{
      read: 0,
      skipped: 0,
      deferred: 0,
      done: 0,
      failed: 0,
      promptTokens: 0,
      cachedTokens: 0,
      outputTokens: 0,
    },
    isRead: false,
  };

  private constructor(
    private readonly options: JobOptions,
    /** Those in force: of an earlier run, where there was one. */
    readonly settings: JobSettings,
    private readonly lock: FileLock,
    private readonly journal: Journal,
    private readonly checkpoints: Checkpoints,
  ) {
    this.items = this.pending();
    if (options.ordered) this.inOrder = new InOrder();
  }

  /**
   * Takes the output for this process and finds out what is done. Errors: `batch-locked`, `batch-settings-changed`,
   * `batch-settings-invalid`, `batch-settings-missing`, `batch-output-foreign`, `batch-write-failed`.
   */
  static async open(options: JobOptions): Promise<Job> {
    const { output, force } = options;
    const lock = await FileLock.acquire(output, lockErrors);
    let journal: Journal | undefined;
    let checkpoints: Checkpoints | undefined;
    try {
      const before = await readSettings(output).catch((error: unknown) => {
        if (force) return undefined;
        throw error;
      });
      journal = await Journal.open(output, keyOfLine);
      const { finished } = journal;
      // Whose results they are, nothing says.
      if (finished.size > 0 && !before && !force)
        throw new JaugeError("batch-settings-missing", { path: output, record: settingsPath(output) });
      checkpoints = await Checkpoints.open(`${output}.partial`, (key) => finished.has(key));
      // A first attempt that came to nothing, by a wrong template for instance, binds no one.
      const isBegun = finished.size > 0 || !checkpoints.isEmpty;
      const settings = merged(before, options, isBegun);
      await cleanSettings(output);
      if (JSON.stringify(before) !== JSON.stringify(settings)) await writeSettings(output, settings);
      return new Job(options, settings, lock, journal, checkpoints);
    } catch (error) {
      await checkpoints?.close({ isComplete: false }).catch(() => {});
      await journal?.close().catch(() => {});
      await lock.release();
      throw error;
    }
  }

  /** Lines that an earlier run has finished, as far as the output says. */
  get finishedBefore(): number {
    return this.journal.finished.size;
  }

  get progress(): JobProgress {
    const { source } = this.options;
    // A line may ask for several choices, each of which runs.
    const running = Math.min(this.unanswered, this.runner?.runningNow ?? 0);
    return {
      ...this.counts,
      readBytes: source.readBytes,
      totalBytes: source.totalBytes,
      ...(source.table.unreadFrom !== undefined && { unreadFrom: source.table.unreadFrom }),
      ...{ running, waiting: this.unanswered - running },
      outputTokens: this.counts.outputTokens + (this.runner?.tokensUnderWay ?? 0),
    };
  }

  private get unanswered(): number {
    const { read, skipped, deferred, done, failed } = this.counts;
    return read - skipped - deferred - done - failed;
  }

  /**
   * What the lines that are left ask for, by the first that can be read; undefined where nothing is left. Lines before it
   * get their errors as results. Errors: `batch-stopped`, `batch-write-failed`, those of reading.
   */
  async peek(): Promise<"text" | "embedding" | undefined> {
    while (!this.first) {
      const next = await this.items.next();
      if (next.done) return undefined;
      const { request, number, customId } = next.value;
      if (request instanceof Error)
        await this.finish({ number, customId, outcome: { kind: "error", error: request }, totalMs: 0 });
      else this.first = next.value;
    }
    const { request } = this.first;
    return "kind" in request && request.kind === "embedding" ? "embedding" : "text";
  }

  /**
   * Answers what is left; needs no model where `peek` finds nothing. Errors: `batch-stopped` (with `failFast`), `batch-write-failed`, those of reading, and those of
   * an engine that cannot be kept alive; what is written is whole then, and the job can be opened again.
   */
  async run(model: BatchModel | undefined, { signal, onOutcome, ...options }: JobRun = {}): Promise<JobEnd> {
    if ((await this.peek()) === undefined || !model) return await this.end(false);
    const runner = new Runner(model, {
      ...options,
      seed: this.settings.seed,
      continuationOf: (key, request, choice) => this.checkpoints.continuationOf(key, request, choice),
      isHeldBack: () => this.inOrder?.isFull ?? false,
      ...(this.options.defersOtherKind && { onOtherKind: () => void this.counts.deferred++ }),
    });
    this.runner = runner;
    const stop = () => runner.stop();
    signal?.addEventListener("abort", stop);
    const timer = setInterval(() => this.checkpoint(runner), checkpointMs);
    let failure: { error: unknown } | undefined;
    try {
      if (signal?.aborted) return await this.end(true);
      for await (const outcome of runner.run(this.rest())) {
        onOutcome?.(outcome);
        await this.finish(outcome, model);
        if (this.inOrder) runner.wake();
      }
    } catch (error) {
      failure = { error };
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", stop);
      runner.stop();
    }
    await this.checkpointing;
    failure ??= this.checkpointFailure;
    if (failure) {
      this.isFailed = true;
      await this.checkpoints.save(runner.underWay, 1).catch(() => {});
      throw failure.error;
    }
    await this.checkpoints.save(runner.underWay, 1);
    return await this.end(runner.isCut);
  }

  /** Writes what is left to write, and lets the output go. */
  async close(): Promise<void> {
    try {
      await this.checkpoints.close({ isComplete: this.isComplete });
    } finally {
      await this.journal.close().finally(() => this.lock.release());
    }
  }

  private checkpointing: Promise<void> | undefined;
  private checkpointFailure: { error: unknown } | undefined;

  private checkpoint(runner: Runner): void {
    this.checkpointing ??= this.checkpoints
      .save(runner.underWay)
      .then(() => this.checkpoints.sync())
      .catch((error: unknown) => {
        this.checkpointFailure ??= { error };
        runner.stop();
      })
      .finally(() => {
        this.checkpointing = undefined;
      });
  }

  private async end(isInterrupted: boolean): Promise<JobEnd> {
    await this.journal.sync();
    await this.checkpoints.sync();
    this.isComplete = !isInterrupted && !this.isFailed && this.counts.deferred === 0;
    return { ...this.progress, running: 0, waiting: 0, kept: this.unanswered, isInterrupted };
  }

  /** The line that was peeked at, and those behind it; no generator, which would cost each of them turns of its own. */
  private rest(): AsyncIterable<BatchItem> {
    const { items } = this;
    let { first } = this;
    const next = (): Promise<IteratorResult<BatchItem, void>> => {
      if (!first) return items.next();
      const value = first;
      first = undefined;
      return Promise.resolve({ done: false, value });
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: () => items.return() }) };
  }

  /** The lines that are not done. */
  private async *pending(): AsyncGenerator<BatchItem, void, void> {
    const { finished } = this.journal;
    for await (const item of this.options.source.items()) {
      this.counts.read++;
      const isNew = this.seen.add(item.customId);
      const key = isNew ? item.customId : duplicateKey(item.customId, item.number);
      if (finished.size > 0 && finished.has(key)) {
        this.counts.skipped++;
        continue;
      }
      this.inOrder?.announce(item.number);
      const held = this.checkpoints.held.get(key);
      if (held !== undefined) {
        this.counts.skipped++;
        await this.settle(item.number, { key, line: held });
        continue;
      }
      yield isNew
        ? item
        : { ...item, request: new JaugeError("line-duplicate-id", { customId: item.customId }) };
    }
    this.counts.isRead = true;
  }

  private async finish(done: BatchOutcome, model?: BatchModel): Promise<void> {
    const { outcome, number, customId } = done;
    if (outcome.kind === "error") {
      if (this.options.failFast) {
        const problem = outcome.error instanceof Error ? outcome.error.message : String(outcome.error);
        throw new JaugeError("batch-stopped", { customId, line: number, problem }, { cause: outcome.error });
      }
      this.counts.failed++;
    } else {
      this.counts.done++;
      this.count(outcome);
    }
    const name = model ? (model.outline.name ?? basename(model.path)) : "";
    const line = JSON.stringify(resultLine(done, name, Math.floor(Date.now() / 1000)));
    const key = keyOf(done);
    if (this.inOrder?.mustWait(number)) await this.checkpoints.hold(key, line);
    await this.settle(number, { key, line });
  }

  private async settle(number: number, result: Settled): Promise<void> {
    let written: Promise<void> | undefined;
    // Appended in one turn: what is settled meanwhile comes after them.
    for (const { key, line } of this.inOrder?.settle(number, result) ?? [result]) {
      written = this.journal.append(line);
      this.checkpoints.forget(key);
    }
    await written;
  }

  private count(outcome: Exclude<BatchOutcome["outcome"], { kind: "error" }>): void {
    const { counts } = this;
    if (outcome.kind === "embedding") {
      counts.promptTokens += outcome.tokens;
      return;
    }
    for (const { stats } of outcome.results) {
      counts.promptTokens += stats.promptTokens;
      counts.cachedTokens += stats.cachedPromptTokens;
      counts.outputTokens += stats.generatedTokens;
    }
  }
}

/** Two runs of one job, one after the other, as one. */
export function together<Progress extends JobProgress>(
  first: JobProgress | undefined,
  second: Progress,
): Progress {
  if (!first) return second;
  const sum = (name: "done" | "failed" | "promptTokens" | "cachedTokens" | "outputTokens") =>
    first[name] + second[name];
  return {
    ...second,
    skipped: first.skipped,
    ...{ done: sum("done"), failed: sum("failed") },
    ...{
      promptTokens: sum("promptTokens"),
      cachedTokens: sum("cachedTokens"),
      outputTokens: sum("outputTokens"),
    },
  };
}

function keyOf({ outcome, customId, number }: BatchOutcome): string {
  const isDuplicate =
    outcome.kind === "error" &&
    outcome.error instanceof JaugeError &&
    outcome.error.code === "line-duplicate-id";
  return isDuplicate ? duplicateKey(customId, number) : customId;
}

/** The settings in force. Errors: `batch-settings-changed`. */
function merged(
  before: JobSettings | undefined,
  { settings, force, output }: JobOptions,
  isBegun: boolean,
): JobSettings {
  if (!before) return settings;
  const changed = differences(before, settings);
  if (changed.length > 0 && isBegun && !force)
    throw new JaugeError("batch-settings-changed", {
      path: settingsPath(output),
      differences: changed.join("\n"),
    });
  const isDrawn = settings.options.seed === undefined;
  const input = before.input && changed.length === 0 ? before.input : settings.input;
  return { ...settings, seed: isDrawn ? before.seed : settings.seed, ...(input && { input }) };
}
