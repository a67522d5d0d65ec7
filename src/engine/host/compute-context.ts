import { JaugeError } from "../../errors.js";
import {
  alternatingBatches,
  canReserve,
  type GraphKind,
  graphKinds,
  type ReservedBatch,
} from "../../plan/graph-kinds.js";
import { mostOutputs, type Plan } from "../../plan/plan.js";
import { inBackground, type Pointer } from "../native/ffi.js";
import type { Native } from "../native/open.js";
import { reserveGraph } from "../native/reserve-graph.js";
import type { BatchBuffer } from "./batch.js";

/**
 * A context as what computes batches. Where graphs of several kinds alternate in it (see `GraphKind`), ggml lays its buffers
 * out anew with each change, for the rows that come then and by best fit, so that fewer rows than were reserved may take more.
 * Here it lays out the largest batch of the kind first, for which there is room, and what comes then fits into that layout.
 */
export class ComputeContext {
  private readonly kinds: GraphKind[];
  /** That of the last layout, as an index: llama.cpp leaves that of a whole micro-batch. */
  private kind: number;

  constructor(
    private readonly native: Native,
    readonly pointer: Pointer,
    private readonly plan: Plan,
    private readonly layers: number,
  ) {
    this.kinds = graphKinds(plan, layers);
    this.kind = this.kinds.length - 1;
  }

  /** Makes the buffers large enough for all kinds, so that none grows later. */
  reserve(): void {
    const batches = alternatingBatches(this.plan, this.layers);
    if (batches.length === 0) return;
    for (const batch of batches) this.layOut(batch);
    this.layOut(this.kinds.at(-1)!.largest);
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
    let kind = this.kinds.length - 1;
    while (kind > 0 && tokens < this.kinds[kind]!.from) kind--;
    if (kind !== this.kind) this.layOut(this.kinds[kind]!.largest);
    this.kind = kind;
  }

  private layOut(batch: ReservedBatch): void {
    if (!canReserve(this.plan, batch)) return;
    const { rows, sequences } = batch;
    const outputs = Math.min(rows, mostOutputs(this.plan));
    if (!reserveGraph(this.native.library, this.pointer, rows, sequences, outputs))
      throw new JaugeError("context-failed", { reason: "", log: "" });
  }
}
