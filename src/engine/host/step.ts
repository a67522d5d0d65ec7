import { JaugeError } from "../../errors.js";
import { type Pointer, viewAt } from "../native/ffi.js";
import type { Llama } from "../native/llama.js";
import type { MemoryOperation, Run, Step, StepResult, TokenLogprobs } from "../protocol.js";
import type { SamplingSettings } from "../sampling.js";
import { BatchBuffer } from "./batch.js";
import type { ComputeContext } from "./compute-context.js";
import { logprobsOf } from "./logits.js";
import { greedySampler, type SamplerFactory, type TokenSampler } from "./samplers.js";
import type { Vocabulary } from "./vocabulary.js";

/** A micro-batch under way. */
interface MicroBatch {
  runs: Run[];
  /** Each run's first row of logits. */
  rows: number[];
  started: number;
  /** What `llama_decode` returned. */
  status: Promise<number>;
}

/** Carries out steps on one context: memory operations, one micro-batch, and the choice of the next tokens. */
export class StepRunner {
  private readonly batch: BatchBuffer;
  private readonly samplers = new Map<number, TokenSampler>();
  private readonly memory: Pointer;
  /** A micro-batch begun before it was asked for. */
  private ahead: MicroBatch | undefined;
  private logitsView = new Float32Array(0);
  private logitsAddress: Pointer = 0n;

  constructor(
    private readonly llama: Llama,
    private readonly context: ComputeContext,
    private readonly vocabulary: Vocabulary,
    private readonly factory: SamplerFactory,
    capacity: number,
  ) {
    this.batch = new BatchBuffer(capacity);
    this.memory = llama.llama_get_memory(context.pointer) ?? 0n;
  }

  async run(step: Step): Promise<StepResult> {
    this.freeSamplers(step.freeSamplers);
    const begun = await this.takeBegun(step);
    if (!begun) for (const operation of step.memory) this.applyMemory(operation);
    const result: StepResult = { status: "ok", chosen: [], pieces: [], decodeMs: 0 };
    if (step.runs.length === 0) return result;

    const batch = begun ?? this.begin(step.runs);
    const status = await batch.status;
    if (status === 1) return { ...result, status: "full" };
    if (status !== 0) throw new JaugeError("decode-failed", { status, log: "" });

    if (this.batch.outputRows > 0) this.readLogits();
    // A device computes on after the call; it is done when the logits are there.
    result.decodeMs = performance.now() - batch.started;
    step.runs.forEach((run, index) => {
      result.chosen.push(this.choose(run, batch.rows[index]!, result));
    });
    if (step.ahead) this.beginNext(step.runs, result.chosen);
    return result;
  }

  /** Undoes what was begun ahead: the context is as the last step left it, and no one computes on it. */
  async settle(): Promise<void> {
    await this.takeBegun({ memory: [], freeSamplers: [], runs: [] });
  }

  /** Starts to compute a micro-batch. The background thread owns the context until `status` is there. */
  private begin(runs: Run[]): MicroBatch {
    const rows = this.fillBatch(runs);
    const started = performance.now();
    const status = this.context.decode(this.batch);
    return { runs, rows, started, status };
  }

  /** Begins the micro-batch that continues these runs by what they chose. */
  private beginNext(runs: Run[], chosen: Int32Array[]): void {
    const next = runs.map((run, index): Run => {
      const tokens = chosen[index]!;
      return { ...run, position: run.position + run.tokens.length, tokens };
    });
    const goesOn = ({ tokens }: Run) => tokens.length === 1 && !this.vocabulary.endsGeneration(tokens[0]!);
    if (!next.every(goesOn)) return;
    this.ahead = this.begin(next);
    // Whoever takes it sees the failure; without this, Node would also end the process.
    this.ahead.status.catch(() => {});
  }

  /**
   * The micro-batch that was begun ahead, where it has all that `step` asks for; its `rows` are those of the step's
   * runs. What no one asks for is removed from the KV cache.
   */
  private async takeBegun(step: Step): Promise<MicroBatch | undefined> {
    const begun = this.ahead;
    if (!begun) return undefined;
    this.ahead = undefined;
    await begun.status;
    const places = step.runs.map((run) => begun.runs.findIndex((other) => isSame(run, other)));
    const serves = step.runs.length > 0 && step.memory.length === 0 && !places.includes(-1);
    begun.runs.forEach(({ sequence, position }, place) => {
      if (serves && places.includes(place)) return;
      this.llama.llama_memory_seq_rm(this.memory, sequence, position, -1);
    });
    return serves ? { ...begun, rows: places.map((place) => begun.rows[place]!) } : undefined;
  }

  /** Errors: `grammar-invalid`. */
  createSampler(id: number, settings: SamplingSettings, history: Int32Array): null {
    this.samplers.set(id, this.factory.create(settings, history));
    return null;
  }

  private freeSamplers(ids: number[]): void {
    for (const id of ids) {
      this.samplers.get(id)?.free();
      this.samplers.delete(id);
    }
  }

  private applyMemory(operation: MemoryOperation): void {
    const { llama, memory } = this;
    switch (operation.kind) {
      case "remove":
        llama.llama_memory_seq_rm(memory, operation.sequence, operation.from, operation.to);
        break;
      case "copy":
        llama.llama_memory_seq_cp(memory, operation.source, operation.target, operation.from, operation.to);
        break;
      case "shift":
        llama.llama_memory_seq_add(memory, operation.sequence, operation.from, operation.to, operation.by);
        break;
      case "clear":
        llama.llama_memory_clear(memory, false);
        break;
    }
  }

  /** Puts the runs into the batch; returns each one's first row of logits. */
  private fillBatch(runs: Run[]): number[] {
    this.batch.clear();
    return runs.map((run) => this.batch.add(run.sequence, run.position, run.tokens, run.outputs));
  }

  /** Looks at the logits of this micro-batch: rows in the order of the batch. Waits for the devices. */
  private readLogits(): void {
    const address = this.llama.llama_get_logits(this.context.pointer);
    if (address === null) throw new JaugeError("decode-failed", { status: 0, log: "no logits" });
    const length = this.batch.outputRows * this.vocabulary.size;
    if (address === this.logitsAddress && this.logitsView.length >= length) return;
    this.logitsAddress = address;
    this.logitsView = new Float32Array(viewAt(address, length * 4));
  }

  private row(index: number): Float32Array {
    const { size } = this.vocabulary;
    return this.logitsView.subarray(index * size, (index + 1) * size);
  }

  /** The tokens that a run's outputs lead to; see `Run.mode`. */
  private choose(run: Run, firstRow: number, result: StepResult): Int32Array {
    const { tokens, outputs, mode } = run;
    const sampler = run.sampler === undefined ? greedySampler : this.samplers.get(run.sampler);
    if (!sampler) throw new Error(`no sampler ${run.sampler}`);
    const chosen = new Int32Array(outputs);
    const firstOutput = tokens.length - outputs;
    let count = 0;
    for (; count < outputs; count++) {
      const last = count === outputs - 1;
      const following = last ? run.next : tokens[firstOutput + count + 1];
      const logits = this.row(firstRow + count);
      const choice = sampler.choose(logits);
      const token = mode === "replay" && following !== undefined ? following : choice;
      sampler.accept(token);
      chosen[count] = token;
      this.report(run, logits, token, result, result.chosen.length);
      if (mode === "verify" && !last && token !== following) {
        const kept = run.position + firstOutput + count + 1;
        this.llama.llama_memory_seq_rm(this.memory, run.sequence, kept, -1);
        count++;
        break;
      }
    }
    return chosen.subarray(0, count);
  }

  private report(run: Run, logits: Float32Array, token: number, result: StepResult, index: number): void {
    this.vocabulary.introduce(token, result.pieces);
    if (run.logprobs !== undefined) {
      const entry = logprobsOf(logits, token, run.logprobs);
      for (const { token: other } of entry.top) this.vocabulary.introduce(other, result.pieces);
      result.logprobs ??= [];
      listAt<TokenLogprobs>(result.logprobs, index).push(entry);
    }
    if (run.logits) {
      result.logits ??= [];
      listAt<Float32Array>(result.logits, index).push(logits.slice());
    }
  }
}

function listAt<Item>(lists: (Item[] | undefined)[], index: number): Item[] {
  const list = lists[index] ?? [];
  lists[index] = list;
  return list;
}

/** Whether two runs of one token compute the same. */
function isSame(a: Run, b: Run): boolean {
  const single = a.tokens.length === 1 && b.tokens.length === 1 && a.outputs === 1 && b.outputs === 1;
  return single && a.sequence === b.sequence && a.position === b.position && a.tokens[0] === b.tokens[0];
}
