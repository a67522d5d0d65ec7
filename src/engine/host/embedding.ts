import { JaugeError } from "../../errors.js";
import type { Plan } from "../../plan/plan.js";
import { inBackground, type Pointer, viewAt } from "../native/ffi.js";
import type { Native } from "../native/open.js";
import type { Pooling } from "../protocol.js";
import { BatchBuffer } from "./batch.js";
import { contextParams } from "./parameters.js";

/** Sequences embedded at once: enough to fill micro-batches with short texts. */
const parallelTexts = 16;

/**
 * Embeds texts in a context of its own, made when first needed and made anew for another pooling or a longer
 * text: pooled embeddings need the whole text in one micro-batch.
 */
export class Embedder {
  private context: { pointer: Pointer; pooling: Pooling; batch: BatchBuffer } | undefined;

  constructor(
    private readonly native: Native,
    private readonly model: Pointer,
    private readonly plan: Plan,
    private readonly size: number,
  ) {}

  /** One vector per text; with pooling `none`, that of its last token. Errors: `text-too-long`, `embeddings-unsupported`. */
  async embed(texts: Int32Array[], pooling: Pooling): Promise<Float32Array[]> {
    const longest = Math.max(...texts.map((text) => text.length), 1);
    const limit = Math.max(this.plan.contextLength, 1);
    if (longest > limit) throw new JaugeError("text-too-long", { tokens: longest, limit });
    const { batch } = await this.contextFor(longest, pooling);
    const vectors: Float32Array[] = [];
    let start = 0;
    while (start < texts.length) {
      batch.clear();
      let end = start;
      while (
        end < texts.length &&
        end - start < parallelTexts &&
        batch.length + texts[end]!.length <= batch.capacity
      ) {
        batch.add(end - start, 0, texts[end]!, texts[end]!.length);
        end++;
      }
      vectors.push(...(await this.compute(texts.slice(start, end))));
      start = end;
    }
    return vectors;
  }

  close(): void {
    if (this.context) this.native.llama.llama_free(this.context.pointer);
    this.context = undefined;
  }

  private async compute(texts: Int32Array[]): Promise<Float32Array[]> {
    const { llama } = this.native;
    const { pointer, batch } = this.context!;
    const memory = llama.llama_get_memory(pointer);
    if (memory !== null) llama.llama_memory_clear(memory, false);
    const encoderOnly =
      llama.llama_model_has_encoder(this.model) && !llama.llama_model_has_decoder(this.model);
    const status = await inBackground(
      encoderOnly ? llama.llama_encode : llama.llama_decode,
      pointer,
      batch.native,
    );
    if (status !== 0) throw new JaugeError("decode-failed", { status, log: "" });
    const pooled = llama.llama_pooling_type(pointer) !== 0;
    const ranking = llama.llama_pooling_type(pointer) === 4;
    const size = ranking ? Math.max(1, llama.llama_model_n_cls_out(this.model)) : this.size;
    let lastToken = -1;
    return texts.map((text, sequence) => {
      lastToken += text.length;
      const address = pooled
        ? llama.llama_get_embeddings_seq(pointer, sequence)
        : llama.llama_get_embeddings_ith(pointer, lastToken);
      if (address === null)
        throw new JaugeError("embeddings-unsupported", { reason: "the model computed none" });
      return new Float32Array(viewAt(address, size * 4)).slice();
    });
  }

  private async contextFor(longest: number, pooling: Pooling) {
    const current = this.context;
    if (current && current.pooling === pooling && current.batch.capacity >= longest) return current;
    this.close();
    const capacity = Math.min(
      Math.max(Math.ceil(longest / 256) * 256, 512),
      Math.max(this.plan.contextLength, longest),
    );
    const params = contextParams(this.native, {
      ...this.plan,
      embeddings: { pooling },
      kvLayout: "unified",
      kvCells: capacity,
      sequences: parallelTexts,
      microBatch: capacity,
      outputs: capacity,
    });
    const pointer = await inBackground(this.native.llama.llama_init_from_model, this.model, params);
    if (pointer === null) throw new JaugeError("context-failed", { reason: "embeddings", log: "" });
    this.context = { pointer, pooling, batch: new BatchBuffer(capacity) };
    return this.context;
  }
}
