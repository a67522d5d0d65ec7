import { JaugeError } from "../../errors.js";
import { alternatingRows, mostOutputs, type Plan, streams, streamsFrom } from "../../plan/plan.js";
import { inBackground, type Pointer } from "../native/ffi.js";
import type { Native } from "../native/open.js";
import { reserveGraph } from "../native/reserve-graph.js";
import type { BatchBuffer } from "./batch.js";

/**
 * A context as what computes batches. Where batches of two kinds alternate in it (streamed ones, and smaller ones that are
 * computed where the weights are), ggml lays its buffers out anew with each change, for the rows that come then and by best
 * fit, so that fewer rows than were reserved may take more. Here it lays out the largest batch of the kind first, for
 * which there is room, and what comes then fits into that layout.
 */
export class ComputeContext {
  private wasStreamed = true;

  constructor(
    private readonly native: Native,
    readonly pointer: Pointer,
    private readonly plan: Plan,
  ) {}

  /** Makes the buffers large enough for both kinds, so that none grows later; as llama.cpp leaves it, streamed ones come last. */
  reserve(): void {
    const rows = alternatingRows(this.plan);
    if (rows.length === 0) return;
    for (const tokens of [...rows, this.microBatch]) this.layOut(tokens);
  }

  /** Computes a batch on a background thread, which owns the context until then. Returns what `llama_decode` does. */
  decode(batch: BatchBuffer): Promise<number> {
    this.prepare(batch.length);
    return inBackground(this.native.llama.llama_decode, this.pointer, batch.native);
  }

  /** The same with `llama_encode`. */
  encode(batch: BatchBuffer): Promise<number> {
    this.prepare(batch.length);
    return inBackground(this.native.llama.llama_encode, this.pointer, batch.native);
  }

  private prepare(tokens: number): void {
    if (!streams(this.plan)) return;
    const from = streamsFrom(this.plan);
    const isStreamed = tokens >= from;
    if (isStreamed !== this.wasStreamed) this.layOut(isStreamed ? this.microBatch : from - 1);
    this.wasStreamed = isStreamed;
  }

  private get microBatch(): number {
    return this.native.llama.llama_n_ubatch(this.pointer);
  }

  private layOut(tokens: number): void {
    const outputs = Math.min(tokens, mostOutputs(this.plan));
    const sequences = Math.min(tokens, this.plan.sequences);
    if (!reserveGraph(this.native.library, this.pointer, tokens, sequences, outputs))
      throw new JaugeError("context-failed", { reason: "", log: "" });
  }
}
