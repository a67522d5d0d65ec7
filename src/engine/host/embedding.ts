import { JaugeError } from "../../errors.js";
import type { Plan } from "../../plan/plan.js";
import { inBackground, type Pointer, viewAt } from "../native/ffi.js";
import type { Native } from "../native/open.js";
import type { Pooling } from "../protocol.js";
import { BatchBuffer } from "./batch.js";
import { contextParams, poolingTypes } from "./parameters.js";

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
    /** Gives a new context what the conversation's own has: LoRA adapters. */
    private readonly prepare: (context: Pointer) => void,
  ) {}

  /** One vector per text; with pooling `none`, that of its last token. Errors: `text-too-long`, `embeddings-unsupported`. */
  async embed(texts: Int32Array[], pooling: Pooling): Promise<Float32Array[]> {
    const longest = texts.reduce((most, text) => Math.max(most, text.length), 1);
    const limit = Math.max(this.plan.contextLength, 1);
    if (longest > limit) throw new JaugeError("text-too-long", { tokens: longest, limit });
    if (texts.some((text) => text.length === 0))
      throw new JaugeError("embeddings-unsupported", { reason: "a text has no tokens" });
    if (pooling === "rank" && !this.isReranker)
      throw new JaugeError("embeddings-unsupported", { reason: "it was not made for ranking" });
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
    const wanted = Math.min(Math.max(longest, 512), Math.max(longest, this.plan.contextLength));
    // libllama aborts where pooled micro-batches do not divide into the sequences.
    const capacity = Math.ceil(wanted / 256) * 256;
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
    this.prepare(pointer);
    this.context = { pointer, pooling, batch: new BatchBuffer(capacity) };
    return this.context;
  }

  /** Whether the model says that its pooling gives a rank: others have no layer to rank with. */
  private get isReranker(): boolean {
    const { llama } = this.native;
    const value = (key: string) => {
      const text = new Uint8Array(128);
      const length = llama.llama_model_meta_val_str(this.model, key, text, text.length);
      return Buffer.from(text.subarray(0, Math.max(0, length))).toString();
    };
    return value(`${value("general.architecture")}.pooling_type`) === String(poolingTypes.rank);
  }
}
