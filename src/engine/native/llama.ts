import koffi, { type LibraryHandle } from "koffi";
import { declare, type Pointer } from "./ffi.js";
import {
  type Batch,
  batch,
  type ContextParams,
  chainParams,
  contextParams,
  type ModelParams,
  modelParams,
} from "./structures.js";

/** Functions of include/llama.h at v0.5.0, under their own names. Addresses of model, context, … are opaque. */
export type Llama = ReturnType<typeof llamaFunctions>;

const progressCallback = koffi.proto("bool jauge_progress(float progress, void *data)");

/**
 * Runs `use` with a `llama_progress_callback` that calls `onProgress` on this thread: for native calls made in the
 * background only. Returning false asks the native side to stop.
 */
export async function withProgressCallback<Result>(
  onProgress: (fraction: number) => boolean,
  use: (callback: Pointer) => Promise<Result>,
): Promise<Result> {
  const callback = koffi.register(onProgress, koffi.pointer(progressCallback));
  try {
    return await use(callback);
  } finally {
    koffi.unregister(callback);
  }
}

export function llamaFunctions(library: LibraryHandle) {
  return {
    ...general(library),
    ...models(library),
    ...contexts(library),
    ...vocabulary(library),
    ...samplers(library),
  };
}

function general(l: LibraryHandle) {
  return {
    llama_version: declare<[], string>(l, "llama_version", "str"),
    llama_backend_init: declare<[], void>(l, "llama_backend_init", "void"),
    llama_print_system_info: declare<[], string>(l, "llama_print_system_info", "str"),
    llama_max_devices: declare<[], number>(l, "llama_max_devices", "size_t"),
    llama_max_tensor_buft_overrides: declare<[], number>(l, "llama_max_tensor_buft_overrides", "size_t"),
    llama_max_parallel_sequences: declare<[], number>(l, "llama_max_parallel_sequences", "size_t"),
    llama_model_default_params: declare<[], ModelParams>(l, "llama_model_default_params", modelParams),
    llama_context_default_params: declare<[], ContextParams>(
      l,
      "llama_context_default_params",
      contextParams,
    ),
  };
}

function models(l: LibraryHandle) {
  const count = (name: string) => declare<[model: Pointer], number>(l, name, "int32", "void *");
  const flag = (name: string) => declare<[model: Pointer], boolean>(l, name, "bool", "void *");
  return {
    llama_model_load_from_file: declare<[path: string, params: ModelParams], Pointer | null>(
      ...([l, "llama_model_load_from_file", "void *", "str", modelParams] as const),
    ),
    llama_model_free: declare<[model: Pointer], void>(l, "llama_model_free", "void", "void *"),
    llama_model_get_vocab: declare<[model: Pointer], Pointer>(l, "llama_model_get_vocab", "void *", "void *"),
    llama_model_n_ctx_train: count("llama_model_n_ctx_train"),
    llama_model_n_embd: count("llama_model_n_embd"),
    llama_model_n_embd_out: count("llama_model_n_embd_out"),
    llama_model_n_layer: count("llama_model_n_layer"),
    llama_model_n_layer_nextn: count("llama_model_n_layer_nextn"),
    llama_model_n_cls_out: declare<[model: Pointer], number>(l, "llama_model_n_cls_out", "uint32", "void *"),
    llama_model_size: declare<[model: Pointer], number>(l, "llama_model_size", "uint64", "void *"),
    llama_model_n_params: declare<[model: Pointer], number>(l, "llama_model_n_params", "uint64", "void *"),
    llama_model_has_encoder: flag("llama_model_has_encoder"),
    llama_model_has_decoder: flag("llama_model_has_decoder"),
    llama_model_is_recurrent: flag("llama_model_is_recurrent"),
    llama_model_is_hybrid: flag("llama_model_is_hybrid"),
    llama_model_is_diffusion: flag("llama_model_is_diffusion"),
    llama_model_desc: declare<[model: Pointer, text: Uint8Array, size: number], number>(
      ...([l, "llama_model_desc", "int32", "void *", "void *", "size_t"] as const),
    ),
    llama_model_meta_val_str: declare<[model: Pointer, key: string, text: Uint8Array, size: number], number>(
      ...([l, "llama_model_meta_val_str", "int32", "void *", "str", "void *", "size_t"] as const),
    ),
    llama_adapter_lora_init: declare<[model: Pointer, path: string], Pointer | null>(
      ...([l, "llama_adapter_lora_init", "void *", "void *", "str"] as const),
    ),
    llama_set_adapters_lora: declare<
      [context: Pointer, adapters: BigUint64Array, count: number, scales: Float32Array],
      number
    >(...([l, "llama_set_adapters_lora", "int32", "void *", "void *", "size_t", "void *"] as const)),
  };
}

function contexts(l: LibraryHandle) {
  const count = (name: string) => declare<[context: Pointer], number>(l, name, "uint32", "void *");
  type StateFile = [context: Pointer, path: string, sequence: number, tokens: Int32Array, count: number];
  return {
    llama_init_from_model: declare<[model: Pointer, params: ContextParams], Pointer | null>(
      ...([l, "llama_init_from_model", "void *", "void *", contextParams] as const),
    ),
    llama_free: declare<[context: Pointer], void>(l, "llama_free", "void", "void *"),
    llama_n_ctx: count("llama_n_ctx"),
    llama_n_ctx_seq: count("llama_n_ctx_seq"),
    llama_n_batch: count("llama_n_batch"),
    llama_n_ubatch: count("llama_n_ubatch"),
    llama_n_seq_max: count("llama_n_seq_max"),
    llama_pooling_type: declare<[context: Pointer], number>(l, "llama_pooling_type", "int32", "void *"),
    llama_attach_threadpool: declare<[context: Pointer, pool: Pointer, batchPool: Pointer], void>(
      ...([l, "llama_attach_threadpool", "void", "void *", "void *", "void *"] as const),
    ),
    llama_get_memory: declare<[context: Pointer], Pointer | null>(l, "llama_get_memory", "void *", "void *"),
    llama_memory_clear: declare<[memory: Pointer, data: boolean], void>(
      l,
      "llama_memory_clear",
      "void",
      "void *",
      "bool",
    ),
    llama_memory_seq_rm: declare<[memory: Pointer, sequence: number, from: number, to: number], boolean>(
      ...([l, "llama_memory_seq_rm", "bool", "void *", "int32", "int32", "int32"] as const),
    ),
    llama_memory_seq_cp: declare<
      [memory: Pointer, source: number, target: number, from: number, to: number],
      void
    >(...([l, "llama_memory_seq_cp", "void", "void *", "int32", "int32", "int32", "int32"] as const)),
    llama_memory_seq_add: declare<
      [memory: Pointer, sequence: number, from: number, to: number, by: number],
      void
    >(...([l, "llama_memory_seq_add", "void", "void *", "int32", "int32", "int32", "int32"] as const)),
    llama_memory_can_shift: declare<[memory: Pointer], boolean>(
      l,
      "llama_memory_can_shift",
      "bool",
      "void *",
    ),
    llama_state_seq_save_file: declare<StateFile, number>(
      ...([l, "llama_state_seq_save_file", "size_t", "void *", "str", "int32", "void *", "size_t"] as const),
    ),
    llama_state_seq_load_file: declare<[...StateFile, found: BigUint64Array], number>(
      ...([
        l,
        "llama_state_seq_load_file",
        "size_t",
        "void *",
        "str",
        "int32",
        "void *",
        "size_t",
        "void *",
      ] as const),
    ),
    llama_decode: declare<[context: Pointer, batch: Batch], number>(
      l,
      "llama_decode",
      "int32",
      "void *",
      batch,
    ),
    llama_encode: declare<[context: Pointer, batch: Batch], number>(
      l,
      "llama_encode",
      "int32",
      "void *",
      batch,
    ),
    llama_synchronize: declare<[context: Pointer], void>(l, "llama_synchronize", "void", "void *"),
    llama_get_logits: declare<[context: Pointer], Pointer | null>(l, "llama_get_logits", "void *", "void *"),
    llama_get_embeddings_seq: declare<[context: Pointer, sequence: number], Pointer | null>(
      ...([l, "llama_get_embeddings_seq", "void *", "void *", "int32"] as const),
    ),
    llama_get_embeddings_ith: declare<[context: Pointer, index: number], Pointer | null>(
      ...([l, "llama_get_embeddings_ith", "void *", "void *", "int32"] as const),
    ),
  };
}

function vocabulary(l: LibraryHandle) {
  const token = (name: string) => declare<[vocab: Pointer], number>(l, name, "int32", "void *");
  const flag = (name: string) => declare<[vocab: Pointer], boolean>(l, name, "bool", "void *");
  type Tokenize = [
    vocab: Pointer,
    text: Uint8Array,
    bytes: number,
    tokens: Int32Array,
    max: number,
    special: boolean,
    parse: boolean,
  ];
  type Detokenize = [
    vocab: Pointer,
    tokens: Int32Array,
    count: number,
    text: Uint8Array,
    max: number,
    remove: boolean,
    unparse: boolean,
  ];
  return {
    llama_vocab_n_tokens: token("llama_vocab_n_tokens"),
    llama_vocab_type: token("llama_vocab_type"),
    llama_vocab_bos: token("llama_vocab_bos"),
    llama_vocab_eos: token("llama_vocab_eos"),
    llama_vocab_eot: token("llama_vocab_eot"),
    llama_vocab_pad: token("llama_vocab_pad"),
    llama_vocab_nl: token("llama_vocab_nl"),
    llama_vocab_get_add_bos: flag("llama_vocab_get_add_bos"),
    llama_vocab_get_add_eos: flag("llama_vocab_get_add_eos"),
    llama_vocab_is_eog: declare<[vocab: Pointer, token: number], boolean>(
      l,
      "llama_vocab_is_eog",
      "bool",
      "void *",
      "int32",
    ),
    llama_vocab_is_control: declare<[vocab: Pointer, token: number], boolean>(
      ...([l, "llama_vocab_is_control", "bool", "void *", "int32"] as const),
    ),
    llama_vocab_get_text: declare<[vocab: Pointer, token: number], string>(
      l,
      "llama_vocab_get_text",
      "str",
      "void *",
      "int32",
    ),
    llama_tokenize: declare<Tokenize, number>(
      ...([
        l,
        "llama_tokenize",
        "int32",
        "void *",
        "void *",
        "int32",
        "void *",
        "int32",
        "bool",
        "bool",
      ] as const),
    ),
    llama_detokenize: declare<Detokenize, number>(
      ...([
        l,
        "llama_detokenize",
        "int32",
        "void *",
        "void *",
        "int32",
        "void *",
        "int32",
        "bool",
        "bool",
      ] as const),
    ),
    llama_token_to_piece: declare<
      [vocab: Pointer, token: number, text: Uint8Array, size: number, leftStrip: number, special: boolean],
      number
    >(
      ...([
        l,
        "llama_token_to_piece",
        "int32",
        "void *",
        "int32",
        "void *",
        "int32",
        "int32",
        "bool",
      ] as const),
    ),
  };
}

function samplers(l: LibraryHandle) {
  const make = <A extends unknown[]>(name: string, ...parameters: string[]) =>
    declare<A, Pointer | null>(l, name, "void *", ...parameters);
  return {
    llama_sampler_chain_init: declare<[params: { no_perf: boolean }], Pointer>(
      l,
      "llama_sampler_chain_init",
      "void *",
      chainParams,
    ),
    llama_sampler_chain_add: declare<[chain: Pointer, sampler: Pointer], void>(
      ...([l, "llama_sampler_chain_add", "void", "void *", "void *"] as const),
    ),
    llama_sampler_apply: declare<[sampler: Pointer, candidates: Pointer], void>(
      ...([l, "llama_sampler_apply", "void", "void *", "void *"] as const),
    ),
    llama_sampler_accept: declare<[sampler: Pointer, token: number], void>(
      l,
      "llama_sampler_accept",
      "void",
      "void *",
      "int32",
    ),
    llama_sampler_free: declare<[sampler: Pointer], void>(l, "llama_sampler_free", "void", "void *"),
    llama_sampler_init_greedy: make<[]>("llama_sampler_init_greedy"),
    llama_sampler_init_dist: make<[seed: number]>("llama_sampler_init_dist", "uint32"),
    llama_sampler_init_top_k: make<[k: number]>("llama_sampler_init_top_k", "int32"),
    llama_sampler_init_top_p: make<[p: number, keep: number]>("llama_sampler_init_top_p", "float", "size_t"),
    llama_sampler_init_min_p: make<[p: number, keep: number]>("llama_sampler_init_min_p", "float", "size_t"),
    llama_sampler_init_typical: make<[p: number, keep: number]>(
      "llama_sampler_init_typical",
      "float",
      "size_t",
    ),
    llama_sampler_init_temp_ext: make<[t: number, range: number, exponent: number]>(
      "llama_sampler_init_temp_ext",
      "float",
      "float",
      "float",
    ),
    llama_sampler_init_top_n_sigma: make<[n: number]>("llama_sampler_init_top_n_sigma", "float"),
    llama_sampler_init_xtc: make<[p: number, t: number, keep: number, seed: number]>(
      ...(["llama_sampler_init_xtc", "float", "float", "size_t", "uint32"] as const),
    ),
    llama_sampler_init_mirostat_v2: make<[seed: number, tau: number, eta: number]>(
      "llama_sampler_init_mirostat_v2",
      "uint32",
      "float",
      "float",
    ),
    llama_sampler_init_penalties: make<
      [vocabulary: number, last: number, repeat: number, frequency: number, presence: number]
    >(...(["llama_sampler_init_penalties", "int32", "int32", "float", "float", "float"] as const)),
    llama_sampler_init_dry: make<
      [
        vocab: Pointer,
        multiplier: number,
        base: number,
        allowed: number,
        last: number,
        breakers: string[],
        count: number,
      ]
    >("llama_sampler_init_dry", "void *", "float", "float", "int32", "int32", "const char **", "size_t"),
    llama_sampler_init_logit_bias: make<[vocabulary: number, count: number, bias: Uint8Array]>(
      ...(["llama_sampler_init_logit_bias", "int32", "int32", "void *"] as const),
    ),
    llama_sampler_init_grammar: make<[vocab: Pointer, grammar: string, root: string]>(
      ...(["llama_sampler_init_grammar", "void *", "str", "str"] as const),
    ),
  };
}
