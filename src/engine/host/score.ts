import { JaugeError } from "../../errors.js";
import { viewAt } from "../native/ffi.js";
import type { Llama } from "../native/llama.js";
import type { ScoringWindow, WindowScore } from "../protocol.js";
import { BatchBuffer } from "./batch.js";
import type { ComputeContext } from "./compute-context.js";
import type { ImportanceCollector } from "./importance.js";
import { argmax, logSumExp } from "./logits.js";
import { BaseRows } from "./score-base.js";

/**
 * Scores windows of tokens: how probable the model finds each of the last tokens, and how far its predictions are from
 * another model's. Logits never leave the process; at most a micro-batch of them is there at a time.
 */
export class WindowScorer {
  private batch: BatchBuffer | undefined;

  constructor(
    private readonly llama: Llama,
    private readonly context: ComputeContext,
    private readonly vocabularySize: number,
    private readonly limits: { batch: number; outputs: number },
    private readonly importance: ImportanceCollector | undefined,
  ) {}

  /** Errors: `decode-failed`, `importance-not-finite`, those of the base's file. */
  async score(window: ScoringWindow): Promise<WindowScore> {
    const { tokens, firstScored } = window;
    const count = tokens.length - 1 - firstScored;
    const surprise = new Float64Array(count);
    const base = window.base && BaseRows.open(window.base, this.vocabularySize);
    const score: WindowScore = { surprise, decodeMs: 0 };
    if (window.base?.mode === "compare") {
      score.divergence = new Float64Array(count);
      score.sameTop = new Uint8Array(count);
    }
    try {
      const memory = this.llama.llama_get_memory(this.context.pointer);
      if (memory !== null) this.llama.llama_memory_clear(memory, true);
      // Layers drop the rows that no one asks the logits of: to see all activations, all are asked.
      const firstOutput = this.importance ? 0 : firstScored;
      for (let start = 0; start < tokens.length; ) {
        const end = this.endOfBatch(start, tokens.length, firstOutput);
        const { logits, firstRow } = await this.compute(tokens, start, end, firstOutput, score);
        for (
          let position = Math.max(start, firstScored);
          position < Math.min(end, tokens.length - 1);
          position++
        ) {
          const row = (position - firstRow) * this.vocabularySize;
          const values = logits.subarray(row, row + this.vocabularySize);
          const index = position - firstScored;
          const top = argmax(values);
          const normalizer = logSumExp(values, values[top]!);
          surprise[index] = normalizer - values[tokens[position + 1]!]!;
          if (!base) continue;
          if (base.mode === "write") base.write(index, values, top);
          else {
            const { divergence, baseTop } = base.compare(index, values, normalizer);
            score.divergence![index] = divergence;
            score.sameTop![index] = baseTop === top ? 1 : 0;
          }
        }
        start = end;
      }
    } finally {
      base?.close();
    }
    return score;
  }

  /** The end of the micro-batch that starts here: no more tokens than a batch takes, and no more outputs. */
  private endOfBatch(start: number, length: number, firstOutput: number): number {
    const outputsEnd = Math.max(start, firstOutput) + this.limits.outputs;
    return Math.min(length, start + this.limits.batch, outputsEnd);
  }

  /** Computes a micro-batch; `firstRow` is the position that the first row of logits belongs to. */
  private async compute(
    tokens: Int32Array,
    start: number,
    end: number,
    firstOutput: number,
    score: WindowScore,
  ): Promise<{ logits: Float32Array; firstRow: number }> {
    this.batch ??= new BatchBuffer(this.limits.batch);
    this.batch.clear();
    const firstRow = Math.min(end, Math.max(start, firstOutput));
    this.batch.add(0, start, tokens.subarray(start, end), end - firstRow);
    const started = performance.now();
    const decode = () => this.context.decode(this.batch!);
    const status = await (this.importance ? this.importance.during(decode) : decode());
    if (status !== 0) throw new JaugeError("decode-failed", { status, log: "" });
    if (firstRow === end) {
      score.decodeMs += performance.now() - started;
      return { logits: new Float32Array(0), firstRow };
    }
    // A device computes on after the call; it is done when the logits are there.
    const address = this.llama.llama_get_logits(this.context.pointer);
    score.decodeMs += performance.now() - started;
    if (address === null) throw new JaugeError("decode-failed", { status: 0, log: "no logits" });
    return {
      logits: new Float32Array(viewAt(address, (end - firstRow) * this.vocabularySize * 4)),
      firstRow,
    };
  }
}
