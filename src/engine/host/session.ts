import { JaugeError } from "../../errors.js";
import { alternatingBatches } from "../../plan/graph-kinds.js";
import type { Plan } from "../../plan/plan.js";
import { inBackground, keepFreedMemory, type Pointer } from "../native/ffi.js";
import { createThreadpool } from "../native/ggml.js";
import { withProgressCallback } from "../native/llama.js";
import type { Native } from "../native/open.js";
import type { ContextParams } from "../native/structures.js";
import type { MemoryUse, ModelFacts, OpenedModel } from "../protocol.js";
import { ComputeContext } from "./compute-context.js";
import { listDevices, memoryUse, sharesCores } from "./devices.js";
import { Embedder } from "./embedding.js";
import type { ImportanceCollector } from "./importance.js";
import { contextParams, modelParams } from "./parameters.js";
import { SamplerFactory } from "./samplers.js";
import { WindowScorer } from "./score.js";
import { checkState, type StateOwner, sealState } from "./state-file.js";
import { StepRunner } from "./step.js";
import { Vocabulary } from "./vocabulary.js";

/** A model, its context and all that works on them, in this process. */
export class Session {
  readonly steps: StepRunner;
  readonly embedder: Embedder;
  readonly scorer: WindowScorer;

  private constructor(
    private readonly native: Native,
    private readonly context: ComputeContext,
    private readonly plan: Plan,
    readonly vocabulary: Vocabulary,
    readonly opened: OpenedModel,
    embedder: Embedder,
    readonly importance?: ImportanceCollector,
  ) {
    const factory = new SamplerFactory(native.llama, vocabulary, opened.context.length);
    this.steps = new StepRunner(native.llama, context, vocabulary, factory, opened.context.batch);
    this.embedder = embedder;
    this.scorer = new WindowScorer(native.llama, context, vocabulary.size, opened.context, importance);
  }

  /**
   * Loads the model of a plan and makes its context, which `importance` watches where it is there. `onProgress` gets 0
   * to 1 and cancels the load by returning false. Errors: `model-load-failed`, `adapter-load-failed`, `context-failed`, `device-unknown`, `cancelled`.
   */
  static async open(
    native: Native,
    backend: string,
    plan: Plan,
    dry: boolean,
    onProgress: (fraction: number) => boolean,
    importance?: ImportanceCollector,
  ): Promise<Session> {
    const { llama } = native;
    const started = performance.now();
    if (sharesCores(native, plan)) keepFreedMemory();
    const model = await loadModel(native, plan, dry, onProgress);
    const adapters = dry ? [] : await loadAdapters(native, plan, model);
    const params = { ...contextParams(native, plan), cb_eval: importance?.callback ?? null };
    const pointer = await inBackground(llama.llama_init_from_model, model, params);
    if (pointer === null) throw new JaugeError("context-failed", { reason: "", log: "" });
    const context = new ComputeContext(native, pointer, plan, allLayers(native, model));
    if (!dry) context.reserve();
    setAdapters(native, pointer, adapters);
    attachThreadpools(native, pointer, plan);

    const vocabulary = new Vocabulary(llama, llama.llama_model_get_vocab(model));
    const facts = modelFacts(native, model, pointer, vocabulary);
    const opened: OpenedModel = {
      backend,
      libraryVersion: native.version,
      systemInfo: llama.llama_print_system_info(),
      description: description(native, model),
      devices: listDevices(native),
      memory: memoryUse(native, pointer, dry),
      model: facts,
      context: {
        length: llama.llama_n_ctx_seq(pointer),
        sequences: llama.llama_n_seq_max(pointer),
        batch: llama.llama_n_batch(pointer),
        microBatch: llama.llama_n_ubatch(pointer),
        outputs: params.n_outputs_max,
      },
      loadMs: performance.now() - started,
    };
    const prepare = (other: Pointer, its: Plan) => {
      const prepared = new ComputeContext(native, other, its, allLayers(native, model));
      prepared.reserve();
      setAdapters(native, other, adapters);
      return prepared;
    };
    const embedder = new Embedder(native, { model, context, plan, size: facts.embeddingSize }, prepare);
    return new Session(native, context, plan, vocabulary, opened, embedder, importance);
  }

  async memory(): Promise<MemoryUse[]> {
    await this.steps.settle();
    return memoryUse(this.native, this.context.pointer, false);
  }

  /** Writes a sequence's KV state and tokens to a file. Errors: `state-unusable`. */
  async saveState(path: string, sequence: number, tokens: Int32Array): Promise<number> {
    await this.steps.settle();
    const { llama } = this.native;
    const bytes = await inBackground(
      llama.llama_state_seq_save_file,
      this.context.pointer,
      path,
      sequence,
      tokens,
      tokens.length,
    );
    if (bytes === 0) throw new JaugeError("state-unusable", { path, reason: "it could not be written" });
    return sealState(path, this.stateOwner);
  }

  /** Reads a sequence's KV state back; returns its tokens. Errors: `state-unusable`. */
  async loadState(path: string, sequence: number): Promise<Int32Array> {
    const { llama } = this.native;
    await this.steps.settle();
    await checkState(path, this.stateOwner);
    const tokens = new Int32Array(this.opened.context.length);
    const found = new BigUint64Array(1);
    const bytes = await inBackground(
      ...([
        llama.llama_state_seq_load_file,
        this.context.pointer,
        path,
        sequence,
        tokens,
        tokens.length,
        found,
      ] as const),
    );
    if (bytes === 0)
      throw new JaugeError("state-unusable", {
        path,
        reason: "it is of another setting, or longer than the context",
      });
    return tokens.slice(0, Number(found[0]));
  }

  private get stateOwner(): StateOwner {
    const { architecture, parameters, vocabularySize } = this.opened.model;
    const { kvTypeK, kvTypeV, kvLayout, sequences } = this.plan;
    const kvStreams = kvLayout === "unified" ? 1 : sequences;
    return { architecture, parameters, vocabularySize, kvTypeK, kvTypeV, kvStreams };
  }
}

/**
 * Exact bytes per device that a plan would take, by making its model and context without allocating: weights, KV
 * cache and the compute buffers of its very graphs. Both are freed again. Errors: those of `Session.open`.
 */
export async function measurePlan(native: Native, plan: Plan): Promise<MemoryUse[]> {
  const model = await loadModel(native, plan, true, () => true);
  const usual = contextParams(native, plan);
  try {
    const uses = await measureContext(native, model, usual);
    for (const params of alternatingContexts(plan, usual, allLayers(native, model))) {
      const others = await measureContext(native, model, params);
      for (const use of uses) {
        const other = others.find(({ device }) => device === use.device);
        use.computeBytes = Math.max(use.computeBytes, other?.computeBytes ?? 0);
      }
    }
    return uses;
  } finally {
    native.llama.llama_model_free(model);
  }
}

/** Contexts that take as much as `ComputeContext.reserve` takes later, or as batches that it cannot reserve take. */
function alternatingContexts(plan: Plan, usual: ContextParams, layers: number): ContextParams[] {
  return alternatingBatches(plan, layers).map(({ rows, sequences }) => ({
    ...{ ...usual, n_batch: rows, n_ubatch: rows, n_seq_max: sequences },
    n_ctx: plan.kvLayout === "unified" ? usual.n_ctx : plan.contextLength * sequences,
    n_outputs_max: Math.min(rows, usual.n_outputs_max),
  }));
}

/** Layers of a model, those for multi-token prediction included. */
function allLayers({ llama }: Native, model: Pointer): number {
  return llama.llama_model_n_layer(model) + llama.llama_model_n_layer_nextn(model);
}

async function measureContext(native: Native, model: Pointer, params: ContextParams): Promise<MemoryUse[]> {
  const context = await inBackground(native.llama.llama_init_from_model, model, params);
  if (context === null) throw new JaugeError("context-failed", { reason: "", log: "" });
  const memory = memoryUse(native, context, true);
  native.llama.llama_free(context);
  return memory;
}

async function loadModel(
  native: Native,
  plan: Plan,
  dry: boolean,
  onProgress: (fraction: number) => boolean,
): Promise<Pointer> {
  let cancelled = false;
  const report = (fraction: number) => {
    cancelled ||= !onProgress(fraction);
    return !cancelled;
  };
  return withProgressCallback(report, async (callback) => {
    const params = { ...modelParams(native, plan, dry), progress_callback: callback };
    const model = await inBackground(native.llama.llama_model_load_from_file, plan.modelPath, params);
    if (cancelled) throw new JaugeError("cancelled", {});
    if (model === null)
      throw new JaugeError("model-load-failed", { path: plan.modelPath, reason: "", log: "" });
    return model;
  });
}

interface Adapter {
  pointer: Pointer;
  scale: number;
}

async function loadAdapters(native: Native, plan: Plan, model: Pointer): Promise<Adapter[]> {
  const adapters: Adapter[] = [];
  for (const { path, scale } of plan.adapters) {
    const pointer = await inBackground(native.llama.llama_adapter_lora_init, model, path);
    if (pointer === null) throw new JaugeError("adapter-load-failed", { path, log: "" });
    adapters.push({ pointer, scale });
  }
  return adapters;
}

function setAdapters(native: Native, context: Pointer, adapters: Adapter[]): void {
  if (adapters.length === 0) return;
  const pointers = new BigUint64Array(adapters.map(({ pointer }) => pointer));
  const scales = new Float32Array(adapters.map(({ scale }) => scale));
  native.llama.llama_set_adapters_lora(context, pointers, adapters.length, scales);
}

function attachThreadpools(native: Native, context: Pointer, plan: Plan): void {
  const options = { spins: !sharesCores(native, plan) };
  const decode = createThreadpool(native.ggml, plan.threads, options);
  if (decode === undefined) return;
  const batch =
    plan.threadsBatch === plan.threads ? decode : createThreadpool(native.ggml, plan.threadsBatch, options);
  native.llama.llama_attach_threadpool(context, decode, batch ?? decode);
}

function modelFacts({ llama }: Native, model: Pointer, context: Pointer, vocabulary: Vocabulary): ModelFacts {
  const memory = llama.llama_get_memory(context);
  const text = new Uint8Array(128);
  const length = llama.llama_model_meta_val_str(model, "general.architecture", text, text.length);
  return {
    architecture: Buffer.from(text.subarray(0, Math.max(0, length))).toString(),
    parameters: Number(llama.llama_model_n_params(model)),
    bytes: Number(llama.llama_model_size(model)),
    trainedContextLength: llama.llama_model_n_ctx_train(model),
    hiddenSize: llama.llama_model_n_embd(model),
    embeddingSize: llama.llama_model_n_embd_out(model),
    layers: llama.llama_model_n_layer(model),
    vocabularySize: vocabulary.size,
    hasEncoder: llama.llama_model_has_encoder(model),
    hasDecoder: llama.llama_model_has_decoder(model),
    isRecurrent: llama.llama_model_is_recurrent(model) || llama.llama_model_is_hybrid(model),
    canShift: memory !== null && llama.llama_memory_can_shift(memory),
    tokens: vocabulary.facts(),
  };
}

function description({ llama }: Native, model: Pointer): string {
  const text = new Uint8Array(256);
  const length = llama.llama_model_desc(model, text, text.length);
  return Buffer.from(text.subarray(0, Math.min(Math.max(0, length), 255))).toString();
}
