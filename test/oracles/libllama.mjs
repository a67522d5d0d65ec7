// libllama declared a second time, apart from src/engine/native: an oracle must not share the mistakes of what it checks.
// Layouts and signatures: include/llama.h of llama.cpp v0.5.0.
import koffi from "koffi";
import "./structures.mjs";

koffi.struct("llama_token_data_array", {
  data: "void *",
  size: "size_t",
  selected: "int64_t",
  sorted: "bool",
});
koffi.struct("llama_sampler_chain_params", { no_perf: "bool" });

/** Loads the libraries at these paths and returns their functions under their own names. */
export function openLibllama({ directory, ggmlBase, ggml, llama }) {
  koffi.load(ggmlBase, { global: true });
  const ggmlLibrary = koffi.load(ggml, { global: true });
  const library = koffi.load(llama);
  ggmlLibrary.func("void ggml_backend_load_all_from_path(const char *path)")(directory);
  return Object.fromEntries(
    signatures.map((signature) => [/(\w+)\(/.exec(signature)[1], library.func(signature)]),
  );
}

const signatures = [
  "llama_model_params llama_model_default_params()",
  "llama_context_params llama_context_default_params()",
  "void *llama_model_load_from_file(const char *path, llama_model_params params)",
  "void llama_model_free(void *model)",
  "void *llama_model_get_vocab(void *model)",
  "int32_t llama_model_n_embd(void *model)",
  "int32_t llama_vocab_n_tokens(void *vocab)",
  "void *llama_init_from_model(void *model, llama_context_params params)",
  "void llama_free(void *context)",
  "void *llama_get_memory(void *context)",
  "void llama_memory_clear(void *memory, bool data)",
  "int32_t llama_tokenize(void *vocab, const uint8_t *text, int32_t length, _Out_ int32_t *tokens, int32_t most, bool special, bool parse)",
  "llama_batch llama_batch_get_one(int32_t *tokens, int32_t count)",
  "int32_t llama_decode(void *context, llama_batch batch)",
  "void *llama_get_logits_ith(void *context, int32_t index)",
  "void *llama_get_embeddings_ith(void *context, int32_t index)",
  "void *llama_get_embeddings_seq(void *context, int32_t sequence)",
  "void *llama_adapter_lora_init(void *model, const char *path)",
  "int32_t llama_set_adapters_lora(void *context, void **adapters, size_t count, float *scales)",
  "void *llama_sampler_chain_init(llama_sampler_chain_params params)",
  "void llama_sampler_chain_add(void *chain, void *sampler)",
  "void llama_sampler_apply(void *sampler, _Inout_ llama_token_data_array *candidates)",
  "void llama_sampler_accept(void *sampler, int32_t token)",
  "void llama_sampler_free(void *sampler)",
  "void *llama_sampler_init_greedy()",
  "void *llama_sampler_init_dist(uint32_t seed)",
  "void *llama_sampler_init_top_k(int32_t k)",
  "void *llama_sampler_init_top_p(float p, size_t keep)",
  "void *llama_sampler_init_min_p(float p, size_t keep)",
  "void *llama_sampler_init_typical(float p, size_t keep)",
  "void *llama_sampler_init_temp(float t)",
  "void *llama_sampler_init_temp_ext(float t, float range, float exponent)",
  "void *llama_sampler_init_xtc(float p, float t, size_t keep, uint32_t seed)",
  "void *llama_sampler_init_top_n_sigma(float n)",
  "void *llama_sampler_init_mirostat_v2(uint32_t seed, float tau, float eta)",
  "void *llama_sampler_init_penalties(int32_t vocabulary, int32_t last, float repeat, float frequency, float presence)",
  "void *llama_sampler_init_dry(void *vocab, float multiplier, float base, int32_t allowed, int32_t last, const char **breakers, size_t count)",
  "void *llama_sampler_init_logit_bias(int32_t vocabulary, int32_t count, uint8_t *bias)",
  "void *llama_sampler_init_grammar(void *vocab, const char *grammar, const char *root)",
];
