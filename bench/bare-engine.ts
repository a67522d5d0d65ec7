import koffi from "koffi";
import { NativeArray, type Pointer, viewAt } from "../src/engine/native/ffi.js";
import type { Ggml } from "../src/engine/native/ggml.js";
import { findLibraries } from "../src/engine/native/libraries.js";
import { type Native, openNative } from "../src/engine/native/open.js";
import { type Batch, threadpoolParams } from "../src/engine/native/structures.js";

/** What a bare context is made with; the rest is llama.cpp's defaults. */
export interface BareOptions {
  modelPath: string;
  threads: number;
  sequences: number;
  /** Tokens that one sequence may hold. */
  contextLength: number;
  microBatch: number;
  /** Tokens that one call may bring; cut into micro-batches by the library. */
  batch: number;
  /** How eagerly idle compute threads look for work: 0 sleeps, 100 spins. ggml's own default where absent. */
  poll?: number;
  flashAttention: "auto" | "on" | "off";
}

/**
 * A model and a context of the native library, and one batch that is filled in place: the least there can be between
 * a loop and `llama_decode`. Calls are direct, so compute starts on the thread that asks for it.
 */
export class BareEngine {
  readonly vocabulary: number;
  readonly memory: Pointer;
  private readonly native: Native;
  private readonly model: Pointer;
  private readonly context: Pointer;
  private readonly tokens: Int32Array;
  private readonly positions: Int32Array;
  private readonly sequencePointers: BigUint64Array;
  private readonly outputs: Int8Array;
  private readonly sequenceAddresses: bigint[];
  private readonly batch: Batch;
  private logits = { address: 0n, view: new Float32Array() };

  constructor(options: BareOptions) {
    this.native = openNative(findLibraries({ backend: "cpu" }));
    const { llama, ggml } = this.native;
    silence(this.native);
    const model = llama.llama_model_load_from_file(options.modelPath, llama.llama_model_default_params());
    if (!model) throw new Error(`${options.modelPath}: the library does not load it`);
    const context = llama.llama_init_from_model(model, {
      ...llama.llama_context_default_params(),
      n_ctx: options.contextLength * options.sequences,
      n_seq_max: options.sequences,
      n_batch: options.batch,
      n_ubatch: options.microBatch,
      n_outputs_max: options.sequences,
      n_threads: options.threads,
      n_threads_batch: options.threads,
      flash_attn_type: { auto: -1, on: 1, off: 0 }[options.flashAttention],
    });
    if (!context) throw new Error("the library makes no context");
    const pool = createThreadpool(ggml, options.threads, options.poll);
    if (pool) llama.llama_attach_threadpool(context, pool, pool);
    this.model = model;
    this.context = context;
    this.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model));
    this.memory = llama.llama_get_memory(context)!;

    const tokens = new NativeArray(Int32Array, options.batch);
    const positions = new NativeArray(Int32Array, options.batch);
    const counts = new NativeArray(Int32Array, options.batch);
    const pointers = new NativeArray(BigUint64Array, options.batch);
    const outputs = new NativeArray(Int8Array, options.batch);
    const sequences = new NativeArray(Int32Array, options.sequences);
    counts.view.fill(1);
    sequences.view.forEach((_, sequence) => {
      sequences.view[sequence] = sequence;
    });
    this.tokens = tokens.view;
    this.positions = positions.view;
    this.sequencePointers = pointers.view;
    this.outputs = outputs.view;
    this.sequenceAddresses = Array.from(
      sequences.view,
      (sequence) => sequences.address + BigInt(4 * sequence),
    );
    this.batch = {
      n_tokens: 0,
      token: tokens.address,
      embd: null,
      pos: positions.address,
      n_seq_id: counts.address,
      seq_id: pointers.address,
      logits: outputs.address,
    };
  }

  /** Puts a token into the batch. */
  add(token: number, position: number, sequence: number, output: boolean): void {
    const index = this.batch.n_tokens++;
    this.tokens[index] = token;
    this.positions[index] = position;
    this.sequencePointers[index] = this.sequenceAddresses[sequence]!;
    this.outputs[index] = output ? 1 : 0;
  }

  /** Computes the batch and empties it. */
  decode(): void {
    const status = this.native.llama.llama_decode(this.context, this.batch);
    if (status !== 0) throw new Error(`llama_decode returned ${status}`);
    this.batch.n_tokens = 0;
  }

  /** Waits for what was decoded; needed only where no logits are read. */
  synchronize(): void {
    this.native.llama.llama_synchronize(this.context);
  }

  /** The most probable token after each output of the last batch, in the order of the batch. */
  greedy(outputs: number): number[] {
    const address = this.native.llama.llama_get_logits(this.context)!;
    if (address !== this.logits.address || this.logits.view.length < outputs * this.vocabulary) {
      this.logits = { address, view: new Float32Array(viewAt(address, outputs * this.vocabulary * 4)) };
    }
    return Array.from({ length: outputs }, (_, row) =>
      argmax(this.logits.view, row * this.vocabulary, this.vocabulary),
    );
  }

  /** Copies a whole sequence into another, which must be empty. */
  copy(from: number, to: number): void {
    this.native.llama.llama_memory_seq_cp(this.memory, from, to, -1, -1);
  }

  /** Removes what a sequence holds from a position on. */
  truncate(sequence: number, position: number): void {
    this.native.llama.llama_memory_seq_rm(this.memory, sequence, position, -1);
  }

  clear(): void {
    this.native.llama.llama_memory_clear(this.memory, false);
  }

  close(): void {
    this.native.llama.llama_free(this.context);
    this.native.llama.llama_model_free(this.model);
  }
}

function argmax(values: Float32Array, start: number, length: number): number {
  let best = start;
  let most = values[start]!;
  for (let index = start + 1; index < start + length; index++) {
    const value = values[index]!;
    if (value > most) {
      most = value;
      best = index;
    }
  }
  return best - start;
}

/** Keeps the library's log out of the terminal and out of the time. */
function silence({ library }: Native): void {
  const callback = koffi.proto("void jauge_bench_log(int32 level, const char *text, void *data)");
  const pointer = koffi.pointer(callback);
  const nothing = koffi.register(() => {}, pointer);
  library.func("llama_log_set", "void", [pointer, "void *"])(nothing, null);
}

/** As `createThreadpool` of ggml.ts, with a choice of how eagerly its threads look for work. */
function createThreadpool(ggml: Ggml, threads: number, poll?: number): Pointer | undefined {
  const cpu = ggml.deviceByType(0);
  const create = cpu && ggml.procedure(ggml.deviceRegistry(cpu), "ggml_threadpool_new");
  if (!create) return undefined;
  const params = { ...ggml.defaultThreadpoolParams(threads), ...(poll !== undefined && { poll }) };
  const prototype = koffi.proto("void *", [koffi.pointer(threadpoolParams)]);
  return (koffi.call(create, prototype, params) as Pointer | null) ?? undefined;
}
