import { JaugeError } from "../../errors.js";
import { embeddedAtOnce, longestEmbedded, planBeside } from "../../plan/embedding.js";
import type { Plan } from "../../plan/plan.js";
import { inBackground, type Pointer, viewAt } from "../native/ffi.js";
import type { Native } from "../native/open.js";
import type { Pooling } from "../protocol.js";
import { BatchBuffer } from "./batch.js";
import type { ComputeContext } from "./compute-context.js";
import { contextParams, poolingTypes } from "./parameters.js";

/**
 * Embeds texts in the context of a plan for embeddings. What that one does not embed (texts beside a conversation, another
 * pooling) is computed in a context beside it, which is gone when they are: see `planBeside`.
 */
export class Embedder {
  /** As large as was needed so far. */
  private batch = new BatchBuffer(0);

  constructor(
    private readonly native: Native,
    /** `size` is the length of a vector. */
    private readonly loaded: { model: Pointer; context: ComputeContext; plan: Plan; size: number },
    /** Gives a context beside the plan's what that one has. */
    private readonly prepare: (context: Pointer, plan: Plan) => ComputeContext,
  ) {}

  /** One vector per text; with pooling `none`, that of its last token. Errors: `text-too-long`, `embeddings-unsupported`. */
  async embed(texts: Int32Array[], pooling: Pooling): Promise<Float32Array[]> {
    const { model, context, plan } = this.loaded;
    const longest = texts.reduce((most, text) => Math.max(most, text.length), 1);
    const limit = Math.max(plan.contextLength, 1);
    if (longest > limit) throw new JaugeError("text-too-long", { tokens: longest, limit });
    if (texts.some((text) => text.length === 0))
      throw new JaugeError("embeddings-unsupported", { reason: "a text has no tokens" });
    if (pooling === "rank" && !this.isReranker)
      throw new JaugeError("embeddings-unsupported", { reason: "it was not made for ranking" });
    const beside = planBeside(plan, longest, pooling);
    if (!beside) return this.embedIn(context, plan, texts);
    const params = contextParams(this.native, beside);
    const pointer = await inBackground(this.native.llama.llama_init_from_model, model, params);
    if (pointer === null) throw new JaugeError("context-failed", { reason: "embeddings", log: "" });
    try {
      return await this.embedIn(this.prepare(pointer, beside), beside, texts);
    } finally {
      this.native.llama.llama_free(pointer);
    }
  }

  private async embedIn(context: ComputeContext, plan: Plan, texts: Int32Array[]): Promise<Float32Array[]> {
    const capacity = longestEmbedded(plan);
    const parallelTexts = embeddedAtOnce(plan);
    const batch = this.batchOf(capacity);
    const vectors: Float32Array[] = [];
    let start = 0;
    while (start < texts.length) {
      batch.clear();
      let end = start;
      while (
        end < texts.length &&
        end - start < parallelTexts &&
        batch.length + texts[end]!.length <= capacity
      ) {
        batch.add(end - start, 0, texts[end]!, texts[end]!.length);
        end++;
      }
      vectors.push(...(await this.compute(context, batch, texts.slice(start, end))));
      start = end;
    }
    return vectors;
  }

  /** What was allocated stays so until the process ends: each is at least twice as large as the one before. */
  private batchOf(capacity: number): BatchBuffer {
    if (this.batch.capacity < capacity)
      this.batch = new BatchBuffer(Math.max(capacity, 2 * this.batch.capacity));
    return this.batch;
  }

  private async compute(
    context: ComputeContext,
    batch: BatchBuffer,
    texts: Int32Array[],
  ): Promise<Float32Array[]> {
    const { llama } = this.native;
    const { pointer } = context;
    const { model, size: length } = this.loaded;
    const memory = llama.llama_get_memory(pointer);
    if (memory !== null) llama.llama_memory_clear(memory, false);
    const encoderOnly = llama.llama_model_has_encoder(model) && !llama.llama_model_has_decoder(model);
    const status = await (encoderOnly ? context.encode(batch) : context.decode(batch));
    if (status !== 0) throw new JaugeError("decode-failed", { status, log: "" });
    const pooled = llama.llama_pooling_type(pointer) !== 0;
    const ranking = llama.llama_pooling_type(pointer) === 4;
    const size = ranking ? Math.max(1, llama.llama_model_n_cls_out(model)) : length;
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

  /** Whether the model says that its pooling gives a rank: others have no layer to rank with. */
  private get isReranker(): boolean {
    const { llama } = this.native;
    const value = (key: string) => {
      const text = new Uint8Array(128);
      const length = llama.llama_model_meta_val_str(this.loaded.model, key, text, text.length);
      return Buffer.from(text.subarray(0, Math.max(0, length))).toString();
    };
    return value(`${value("general.architecture")}.pooling_type`) === String(poolingTypes.rank);
  }
}
