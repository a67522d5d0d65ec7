import { JaugeError } from "../../errors.js";
import type { Llama } from "./llama.js";
import type { ContextParams, ModelParams } from "./structures.js";

/**
 * Holds the struct layouts of `structures.ts` against what the library itself fills in: every field of its
 * default parameters must read as its source says. A field moved, added or removed shifts those after it.
 * Source: llama_model_default_params and llama_context_default_params, llama.cpp v0.5.0.
 */
export function checkLayouts(llama: Llama): void {
  check("llama_model_params", llama.llama_model_default_params(), modelDefaults);
  check("llama_context_params", llama.llama_context_default_params(), contextDefaults);
}

function check<Structure extends object>(name: string, found: Structure, expected: Structure): void {
  for (const field of Object.keys(expected) as (keyof Structure & string)[]) {
    const value = typeof found[field] === "bigint" ? Number(found[field]) : found[field];
    if (value !== expected[field]) {
      throw new JaugeError("library-layout", { structure: name, field, found: String(value) });
    }
  }
}

const modelDefaults: ModelParams = {
  devices: null,
  tensor_buft_overrides: null,
  n_gpu_layers: -1,
  split_mode: 1,
  load_mode: -1,
  lazy_mode: 1,
  main_gpu: 0,
  tensor_split: null,
  progress_callback: null,
  progress_callback_user_data: null,
  kv_overrides: null,
  vocab_only: false,
  check_tensors: false,
  use_extra_bufts: true,
  no_host: false,
  no_alloc: false,
  load_mtp: false,
};

const contextDefaults: ContextParams = {
  n_ctx: 512,
  n_batch: 2048,
  n_ubatch: 512,
  n_seq_max: 1,
  n_rs_seq: 0,
  n_outputs_max: 0,
  n_outputs_max_per_seq: 1,
  n_threads: 4,
  n_threads_batch: 4,
  ctx_type: 0,
  rope_scaling_type: -1,
  pooling_type: -1,
  attention_type: -1,
  flash_attn_type: -1,
  rope_freq_base: 0,
  rope_freq_scale: 0,
  yarn_ext_factor: -1,
  yarn_attn_factor: -1,
  yarn_beta_fast: -1,
  yarn_beta_slow: -1,
  yarn_orig_ctx: 0,
  defrag_thold: -1,
  cb_eval: null,
  cb_eval_user_data: null,
  type_k: 1,
  type_v: 1,
  abort_callback: null,
  abort_callback_data: null,
  embeddings: false,
  offload_kqv: true,
  no_perf: true,
  op_offload: true,
  swa_full: true,
  kv_unified: false,
  samplers: null,
  n_samplers: 0,
  ctx_other: null,
};
