import { fileURLToPath } from "node:url";
import koffi from "koffi";

/**
 * The grammar engine of llama.cpp as an oracle: its parser, and its matcher over the tokens of the embedded model's
 * vocabulary. Texts are given byte by byte, with the byte tokens of that vocabulary (`<0x00>` is token 3).
 * Structs: `include/llama.h` of the pinned version.
 */
export interface NativeGrammar {
  /** Whether the text is in the language, from its first to its last byte. */
  accepts(text: string): boolean;
  /** Whether the text is the beginning of something in the language. */
  begins(text: string): boolean;
}

/** Parses a grammar. Throws where the native parser refuses it. */
export function nativeGrammar(text: string): NativeGrammar {
  lib.llama_sampler_free(start());
  return {
    accepts: (candidate) => matches(candidate, true),
    begins: (candidate) => matches(candidate, false),
  };

  function start(): unknown {
    const sampler = lib.llama_sampler_init_grammar(vocab, text, "root");
    if (!sampler) throw new Error(`the native parser refuses this grammar:\n${text.slice(0, 4000)}`);
    return sampler;
  }

  function matches(candidate: string, toTheEnd: boolean): boolean {
    const sampler = start();
    try {
      for (const byte of Buffer.from(candidate)) {
        if (!allowed(sampler, firstByteToken + byte)) return false;
        lib.llama_sampler_accept(sampler, firstByteToken + byte);
      }
      return !toTheEnd || allowed(sampler, endOfSequence);
    } finally {
      lib.llama_sampler_free(sampler);
    }
  }
}

function allowed(sampler: unknown, token: number): boolean {
  // { int32 id; float logit; float p }, and a llama_token_data_array of one that points to it.
  const data = Buffer.alloc(12);
  data.writeInt32LE(token, 0);
  const candidates = { data, size: 1, selected: -1, sorted: false };
  lib.llama_sampler_apply(sampler, candidates);
  return data.readFloatLE(4) !== Number.NEGATIVE_INFINITY;
}

const firstByteToken = 3;
const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = `${root}node_modules/@node-llama-cpp/linux-x64/bins/linux-x64`;

koffi.struct("NativeGrammarModelParams", {
  devices: "void *",
  tensor_buft_overrides: "void *",
  n_gpu_layers: "int32_t",
  split_mode: "int",
  load_mode: "int",
  lazy_mode: "int",
  main_gpu: "int32_t",
  tensor_split: "void *",
  progress_callback: "void *",
  progress_callback_user_data: "void *",
  kv_overrides: "void *",
  vocab_only: "bool",
  check_tensors: "bool",
  use_extra_bufts: "bool",
  no_host: "bool",
  no_alloc: "bool",
  load_mtp: "bool",
});
koffi.struct("NativeGrammarCandidates", {
  data: "void *",
  size: "size_t",
  selected: "int64_t",
  sorted: "bool",
});

const ggml = koffi.load(`${folder}/libggml.v0.5.0.so`);
const llama = koffi.load(`${folder}/libllama.v0.5.0.so`);
const lib = {
  llama_log_set: llama.func("void llama_log_set(void *callback, void *data)"),
  llama_model_default_params: llama.func("NativeGrammarModelParams llama_model_default_params()"),
  llama_model_load_from_file: llama.func(
    "void *llama_model_load_from_file(const char *path, NativeGrammarModelParams params)",
  ),
  llama_model_get_vocab: llama.func("void *llama_model_get_vocab(void *model)"),
  llama_vocab_eos: llama.func("int32_t llama_vocab_eos(void *vocab)"),
  llama_sampler_init_grammar: llama.func(
    "void *llama_sampler_init_grammar(void *vocab, const char *grammar, const char *root)",
  ),
  llama_sampler_apply: llama.func(
    "void llama_sampler_apply(void *sampler, _Inout_ NativeGrammarCandidates *candidates)",
  ),
  llama_sampler_accept: llama.func("void llama_sampler_accept(void *sampler, int32_t token)"),
  llama_sampler_free: llama.func("void llama_sampler_free(void *sampler)"),
};

koffi.proto("void NativeGrammarLog(int level, const char *text, void *data)");
const silence = koffi.register(() => {}, koffi.pointer("NativeGrammarLog"));
lib.llama_log_set(silence, null);
ggml.func("void ggml_backend_load_all_from_path(const char *path)")(folder);
const model = lib.llama_model_load_from_file(`${root}models/stories260K.gguf`, {
  ...lib.llama_model_default_params(),
  vocab_only: true,
});
const vocab = lib.llama_model_get_vocab(model);
const endOfSequence = lib.llama_vocab_eos(vocab);
